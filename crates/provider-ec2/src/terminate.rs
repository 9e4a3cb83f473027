//! TerminateInstances: ends instances for good.

use crate::attempts::Watch;
use crate::connect::Ec2;
use crate::error::CallError;
use crate::instance::{InstanceId, InstanceState};

const OPERATION: &str = "TerminateInstances";
/// In one call. AWS takes a thousand, and asks for fewer.
const AT_ONCE: usize = 100;

/// What became of each.
type Ends = Vec<(InstanceId, Result<InstanceState, CallError>)>;

impl Ec2 {
    /// Ends these instances, and says of each in which state it is now, or why not. To end one again is no error.
    ///
    /// AWS refuses a whole call for one instance that it does not know or that may not be ended: then each is asked by
    /// itself, so that the others end.
    pub async fn terminate(&self, ids: &[InstanceId]) -> Ends {
        let mut ends = Vec::with_capacity(ids.len());
        for ids in ids.chunks(AT_ONCE) {
            match self.terminate_together(ids).await {
                Err(error) if ids.len() > 1 && is_about_one(&error) => {
                    for id in ids {
                        ends.extend(each(
                            std::slice::from_ref(id),
                            self.terminate_together(std::slice::from_ref(id)).await,
                        ));
                    }
                }
                outcome => ends.extend(each(ids, outcome)),
            }
        }
        ends
    }

    async fn terminate_together(&self, ids: &[InstanceId]) -> Result<Ends, CallError> {
        let watch = Watch::new();
        let call = self.client.terminate_instances();
        let call = call.set_instance_ids(Some(ids.iter().map(|id| id.as_str().to_owned()).collect()));
        let sent = call.customize().interceptor(watch.interceptor()).send().await;
        let told = sent.map_err(|error| watch.error(OPERATION, &error))?;
        let state = |id: &InstanceId| {
            let change = told.terminating_instances().iter().find(|change| change.instance_id() == Some(id.as_str()));
            change
                .map(|change| InstanceState::read(change.current_state()))
                .ok_or_else(|| CallError::Unanswered { operation: OPERATION, why: format!("the answer has no {id}") })
        };
        Ok(ids.iter().map(|id| (id.clone(), state(id))).collect())
    }
}

/// Whether the refusal may be that of one instance among others.
fn is_about_one(error: &CallError) -> bool {
    matches!(
        error,
        CallError::NotFound(_)
            | CallError::Denied(_)
            | CallError::Misconfigured(_)
            | CallError::Refused(_)
            | CallError::Unsupported(_)
    )
}

/// What a call says of each of its instances.
fn each(ids: &[InstanceId], outcome: Result<Ends, CallError>) -> Ends {
    outcome.unwrap_or_else(|error| ids.iter().map(|id| (id.clone(), Err(error.clone()))).collect())
}
