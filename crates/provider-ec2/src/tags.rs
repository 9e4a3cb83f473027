//! The tags by which an instance is known as ours, whoever launched it and whatever was forgotten since.

use aws_sdk_ec2::types::{ResourceType, Tag, TagSpecification};

/// The tag that names the pool.
pub const POOL_TAG: &str = "job-orchestrator:pool";
/// The tag that names the server, and so parts the instances of two servers in one account.
pub const SERVER_TAG: &str = "job-orchestrator:server";
/// The tag with the number of the instance's row.
pub const ROW_TAG: &str = "job-orchestrator:row";

/// What every instance and volume is marked with in the call that makes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tags {
    /// The pool's name.
    pub pool: String,
    /// The server's id.
    pub server: String,
    /// The number of the instance's row.
    pub row: u64,
}

/// The same as read back. People can change tags, so nothing of it is certain.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FoundTags {
    /// The pool's name.
    pub pool: Option<String>,
    /// The server's id.
    pub server: Option<String>,
    /// The number of the instance's row; nothing if what stands there is no number.
    pub row: Option<u64>,
}

impl Tags {
    /// The marks of one kind of resource.
    pub(crate) fn on(&self, resource: ResourceType) -> TagSpecification {
        let row = self.row.to_string();
        let tags = [(POOL_TAG, &self.pool), (SERVER_TAG, &self.server), (ROW_TAG, &row)];
        let tags = tags.map(|(key, value)| Tag::builder().key(key).value(value).build());
        TagSpecification::builder().resource_type(resource).set_tags(Some(tags.to_vec())).build()
    }
}

impl From<&[Tag]> for FoundTags {
    fn from(tags: &[Tag]) -> Self {
        let value = |key: &str| tags.iter().find(|tag| tag.key() == Some(key)).and_then(Tag::value);
        Self {
            pool: value(POOL_TAG).map(str::to_owned),
            server: value(SERVER_TAG).map(str::to_owned),
            row: value(ROW_TAG).and_then(|row| row.parse().ok()),
        }
    }
}
