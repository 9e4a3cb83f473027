//! What AWS refuses is told in words to decide by, and asked again only where that helps.

use provider_ec2::CallError;

use crate::bed::{Bed, request};
use crate::faulty_ec2::Fault;

/// The code of AWS, ours, and how often the call is sent.
const CODES: &[(&str, &str, usize)] = &[
    ("InsufficientInstanceCapacity", "no-capacity", 1),
    ("InsufficientHostCapacity", "no-capacity", 1),
    ("InsufficientFreeAddressesInSubnet", "no-capacity", 1),
    ("UnfulfillableCapacity", "no-capacity", 1),
    ("SpotMaxPriceTooLow", "no-capacity", 1),
    ("RequestLimitExceeded", "throttled", 3),
    ("Throttling", "throttled", 3),
    ("UnauthorizedOperation", "denied", 1),
    ("AuthFailure", "denied", 1),
    ("InvalidClientTokenId", "denied", 1),
    ("OptInRequired", "denied", 1),
    ("VcpuLimitExceeded", "limit", 1),
    ("InstanceLimitExceeded", "limit", 1),
    ("MaxSpotInstanceCountExceeded", "limit", 1),
    ("Unsupported", "unsupported", 1),
    ("UnsupportedOperation", "unsupported", 1),
    ("InvalidAMIID.NotFound", "misconfigured", 1),
    ("InvalidSubnetID.NotFound", "misconfigured", 1),
    ("InvalidGroup.NotFound", "misconfigured", 1),
    ("InvalidKeyPair.NotFound", "misconfigured", 1),
    ("InvalidLaunchTemplateName.NotFoundException", "misconfigured", 1),
    ("InvalidInstanceType", "misconfigured", 1),
    ("InvalidParameterValue", "misconfigured", 1),
    ("MissingParameter", "misconfigured", 1),
    ("IdempotentParameterMismatch", "token-mismatch", 1),
    ("IdempotentInstanceTerminated", "token-spent", 1),
    ("SomethingNew", "refused", 1),
    ("InternalError", "unanswered", 3),
    ("Unavailable", "unanswered", 3),
];

#[tokio::test]
async fn every_refusal_has_its_meaning_and_is_asked_again_only_where_that_helps() {
    for &(code, ours, times) in CODES {
        let bed = Bed::without_moto().await;
        bed.aws.story(move |_| Fault::Refuse(code));
        let refused = bed.ec2.launch(&request(1)).await.unwrap_err();
        assert_eq!(refused.code(), ours, "{code}: {refused:?}");
        assert_eq!(bed.aws.calls("RunInstances").len(), times, "{code}: {refused:?}");
    }
}

#[tokio::test]
async fn a_refusal_has_the_words_of_aws() {
    let bed = Bed::without_moto().await;
    bed.aws.story(|_| Fault::Refuse("InsufficientInstanceCapacity"));
    let refused = bed.ec2.launch(&request(1)).await.unwrap_err();
    let words = "AWS refused RunInstances: InsufficientInstanceCapacity: told so by a test (request req-1)";
    assert_eq!(refused.to_string(), words);
    let CallError::NoCapacity(said) = refused else { panic!("{refused:?}") };
    assert_eq!((said.code.as_str(), said.message.as_str()), ("InsufficientInstanceCapacity", "told so by a test"));
}

#[tokio::test]
async fn a_moment_of_throttling_is_waited_out() {
    let bed = Bed::new().await;
    bed.aws.story(|call| if call.time == 1 { Fault::Refuse("RequestLimitExceeded") } else { Fault::None });
    bed.ec2.launch(&request(1)).await.unwrap();
    assert_eq!(bed.aws.calls("RunInstances").len(), 2);
}
