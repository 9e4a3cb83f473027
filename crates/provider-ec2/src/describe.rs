//! DescribeInstances: every instance of one server, whatever its state.

use aws_sdk_ec2::types::{Filter, Reservation};

use crate::attempts::Watch;
use crate::connect::Ec2;
use crate::error::CallError;
use crate::instance::Instance;
use crate::tags::SERVER_TAG;

const OPERATION: &str = "DescribeInstances";
/// The most that AWS puts into one page.
const PAGE: i32 = 1000;
/// More pages than any server has: what goes on after them never ends.
const PAGES: usize = 1000;

impl Ec2 {
    /// All instances that carry this server's tag, those that have just ended included. All pages or an error: half a list
    /// would make the rest look gone. An instance launched a moment ago may be missing (eventual consistency).
    pub async fn describe(&self, server: &str) -> Result<Vec<Instance>, CallError> {
        let ours = Filter::builder().name(format!("tag:{SERVER_TAG}")).values(server).build();
        let mut instances = Vec::new();
        let mut next = None;
        for _ in 0..PAGES {
            let watch = Watch::new();
            let call = self.client.describe_instances().filters(ours.clone()).max_results(PAGE).set_next_token(next);
            let sent = call.customize().interceptor(watch.interceptor()).send().await;
            let page = sent.map_err(|error| watch.error(OPERATION, &error))?;
            let told = page.reservations().iter().flat_map(Reservation::instances);
            for instance in told {
                instances.push(Instance::read(instance).ok_or_else(|| incomplete("an instance has no id"))?);
            }
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(instances);
            }
        }
        Err(incomplete("its pages do not end"))
    }
}

fn incomplete(why: &str) -> CallError {
    CallError::Unanswered { operation: OPERATION, why: why.to_owned() }
}
