//! TEMPORARY
use crate::config::pool_settings::Pool;
use crate::server::provider::ProviderError;
use domain::pool::{InstanceId, Launch};
#[derive(Debug, Default)]
pub struct Joining;
impl Joining {
    pub fn boot(&self, _pool: &Pool, _id: InstanceId, _launch: &Launch) -> Result<Vec<u8>, ProviderError> {
        Ok(Vec::new())
    }
}
