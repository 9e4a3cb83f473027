//! What each error code of AWS means here.
//!
//! The codes and their meaning: <https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html>; which of them
//! the SDK takes for throttling: `aws_runtime::retries::classifiers::THROTTLING_ERRORS`.

use crate::error::{CallError, Said};

/// The error that a refusal becomes; nothing if AWS failed on the way, and whether it did what it was asked is not known.
pub type Meaning = Option<fn(Said) -> CallError>;

/// The codes that begin with one of the words on the left; the first line that fits counts.
const MEANINGS: &[(&[&str], Meaning)] = &[
    (NO_CAPACITY, Some(CallError::NoCapacity)),
    (THROTTLED, Some(CallError::Throttled)),
    (DENIED, Some(CallError::Denied)),
    (LIMIT, Some(CallError::Limit)),
    (UNSUPPORTED, Some(CallError::Unsupported)),
    (&["IdempotentParameterMismatch"], Some(CallError::TokenMismatch)),
    (&["IdempotentInstanceTerminated"], Some(CallError::TokenSpent)),
    (&["InvalidInstanceID"], Some(CallError::NotFound)),
    (MISCONFIGURED, Some(CallError::Misconfigured)),
    (DOUBT, None),
];

/// "Not enough capacity to fulfill your request", by place: instances, spot (`UnfulfillableCapacity`; a price in the
/// template that is below the market's), a subnet without free addresses (another subnet has some), volumes, hosts.
const NO_CAPACITY: &[&str] = &[
    "InsufficientInstanceCapacity",
    "InsufficientHostCapacity",
    "InsufficientCapacity",
    "InsufficientReservedInstance",
    "InsufficientVolumeCapacity",
    "InsufficientAddressCapacity",
    "InsufficientFreeAddressesInSubnet",
    "ReservationCapacityExceeded",
    "UnfulfillableCapacity",
    "SpotMaxPriceTooLow",
];

const THROTTLED: &[&str] = &[
    "RequestLimitExceeded",
    "Throttling",
    "ThrottledException",
    "RequestThrottled",
    "TooManyRequestsException",
    "EC2ThrottledException",
    "BandwidthLimitExceeded",
    "PriorRequestNotComplete",
    "SlowDown",
];

/// The caller, not what it asks for: rights, keys, the account, or a clock that makes signatures invalid.
/// `OperationNotPermitted` is termination protection.
const DENIED: &[&str] = &[
    "UnauthorizedOperation",
    "AuthFailure",
    "AccessDenied",
    "Blocked",
    "ExpiredToken",
    "IncompleteSignature",
    "InvalidClientTokenId",
    "InvalidSecurity.RequestHasExpired",
    "MissingAuthenticationToken",
    "OperationNotPermitted",
    "OptInRequired",
    "PendingVerification",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClient",
];

/// Quotas of the account: only less use or a higher quota helps.
const LIMIT: &[&str] = &[
    "VcpuLimitExceeded",
    "InstanceLimitExceeded",
    "MaxSpotInstanceCountExceeded",
    "SpotInstanceCountLimitExceeded",
    "MaxIOPSLimitExceeded",
    "VolumeLimitExceeded",
    "NetworkInterfaceLimitExceeded",
    "PrivateIpAddressLimitExceeded",
    "ResourceLimitExceeded",
    "ResourceCountExceeded",
    "RequestResourceCountExceeded",
];

/// `Unsupported` is the answer for a type that does not exist in the zone, `UnsupportedOperation` for one that the image
/// does not fit.
const UNSUPPORTED: &[&str] = &["Unsupported", "VolumeTypeNotAvailableInZone"];

/// `InvalidAMIID.NotFound`, `InvalidSubnetID.NotFound`, `InvalidParameterValue`, `InvalidInstanceType`, and their like.
const MISCONFIGURED: &[&str] = &[
    "Invalid",
    "Missing",
    "Unknown",
    "MalformedQueryString",
    "ValidationError",
    "VPCIdNotSpecified",
    "VPCResourceNotSpecified",
    "DefaultVpcDoesNotExist",
    "TagLimitExceeded",
    "TagPolicyViolation",
    "SecurityGroupsPer",
    "SecurityGroupLimitExceeded",
];

/// "Retry your request": an error of the servers, which may come after the work was done.
const DOUBT: &[&str] = &["InternalError", "InternalFailure", "ServiceUnavailable", "Unavailable", "RequestTimeout"];

/// What a refusal means, by its code and the status of HTTP. A code that nobody wrote down is a refusal, unless the
/// status says that the servers failed. What has no code is not AWS's word, and says nothing.
pub fn meaning(code: Option<&str>, status: u16) -> Meaning {
    let code = code?;
    let known = MEANINGS.iter().find(|(begins, _)| begins.iter().any(|begin| code.starts_with(begin)));
    match known {
        Some((_, meaning)) => *meaning,
        None if status >= 500 => None,
        None => Some(CallError::Refused),
    }
}

/// Whether this says that there is no capacity.
pub fn is_no_capacity(code: &str) -> bool {
    NO_CAPACITY.iter().any(|begin| code.starts_with(begin))
}
