//! What to launch.

use std::fmt;

use crate::tags::Tags;

/// The most that AWS takes as user data, in bytes before base64
/// (<https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/user-data.html>: "limited to 16 KB, in raw form").
const USER_DATA_BYTES: usize = 16 * 1024;
/// The longest token, in characters of ASCII (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
const TOKEN_CHARACTERS: usize = 64;

/// One instance, marked as ours, which asks for metadata by tokens only and is gone for good when it shuts down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchRequest {
    /// The same for every repeat of this launch, and for no other.
    pub token: ClientToken,
    /// The marks on the instance and its volumes.
    pub tags: Tags,
    /// Such as `c7i.large`.
    pub machine_type: String,
    /// Such as `ami-0123456789abcdef0`; nothing if the template names it.
    pub image: Option<String>,
    /// Where it shall run.
    pub place: Place,
    /// Ids of security groups; none means those of the template, or the default one.
    pub security_groups: Vec<String>,
    /// The name of the key pair of people who may log in.
    pub key_name: Option<String>,
    /// The name or the ARN of an IAM instance profile. What it may do, jobs on the instance might.
    pub profile: Option<String>,
    /// What this request leaves open.
    pub template: Option<LaunchTemplate>,
    /// What the instance finds when it boots.
    pub user_data: UserData,
    /// How it is paid.
    pub market: Market,
}

/// Where an instance runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In the default subnet of a zone of AWS's choice, or where the template says.
    Anywhere,
    /// In the default subnet of this availability zone.
    Zone(String),
    /// In this subnet, and so in its zone.
    Subnet(String),
}

/// A launch template, whose values count where the request has none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LaunchTemplate {
    /// Which.
    pub name: TemplateName,
    /// A number, `$Latest` or `$Default`; nothing means the default one.
    pub version: Option<String>,
}

/// How a launch template is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TemplateName {
    /// Such as `lt-0123456789abcdef0`.
    Id(String),
    /// As people call it.
    Name(String),
}

/// How an instance is paid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Market {
    /// By the hour, until it is ended.
    OnDemand,
    /// For less, asked for once; AWS may end it after a warning of two minutes.
    Spot,
}

/// A key by which AWS recognizes the repeat of a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientToken(String);

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no client token: it has 1 to {TOKEN_CHARACTERS} visible characters of ASCII")]
pub struct InvalidToken(String);

impl ClientToken {
    /// Takes what AWS takes.
    pub fn new(token: impl Into<String>) -> Result<Self, InvalidToken> {
        let token = token.into();
        let fits = (1..=TOKEN_CHARACTERS).contains(&token.len()) && token.bytes().all(|byte| byte.is_ascii_graphic());
        if fits { Ok(Self(token)) } else { Err(InvalidToken(token)) }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// What an instance finds when it boots. It has a secret, so it is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData(Vec<u8>);

/// More user data than an instance can be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the user data has {bytes} bytes, AWS takes at most {USER_DATA_BYTES}; shorten the pool's `setup`, or let it \
         fetch what it needs"
)]
pub struct UserDataTooLarge {
    /// What it has.
    pub bytes: usize,
}

impl UserData {
    /// Takes what AWS takes: at most 16,384 bytes.
    pub fn new(bytes: Vec<u8>) -> Result<Self, UserDataTooLarge> {
        if bytes.len() > USER_DATA_BYTES { Err(UserDataTooLarge { bytes: bytes.len() }) } else { Ok(Self(bytes)) }
    }

    /// As the API wants it.
    pub(crate) fn base64(&self) -> String {
        aws_smithy_types::base64::encode(&self.0)
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UserData({} bytes)", self.0.len())
    }
}
