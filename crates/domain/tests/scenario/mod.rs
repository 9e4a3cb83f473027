//! Policies that only tests have, for the scenarios in tests/scenarios/test_policies.

use domain::UserId;
use domain::policy::{Author, NativeError};
use domain::scenario::Scenario;
use domain::schedule::Native;
use domain::schedule::policies::{Grant, Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};

pub fn policies(scenario: &Scenario) -> Result<Box<dyn Policies>, NativeError> {
    match scenario.policies.iter().find(|policy| policy.kind.is_none()).map(|policy| policy.name.as_str()) {
        Some("hostile") => Ok(Box::new(Hostile)),
        Some("stingy") => Ok(Box::new(Stingy)),
        _ => Ok(Box::new(scenario.natives()?)),
    }
}

fn author(name: &str) -> Author {
    Author { name: name.parse().unwrap(), digest: None }
}

/// Grants everybody everything, strangers too, and places every job everywhere.
struct Hostile;

impl Policies for Hostile {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        let stranger = UserId::try_from(666).unwrap();
        let users = input.users.iter().map(|user| user.user).chain([stranger]);
        let grants = users.clone().map(|user| Grant { user, jobs: u32::MAX }).collect();
        let reasons = users.map(|user| (user, "line\nbreak".to_owned())).collect();
        (QuotaAnswer { grants, reasons }, author("hostile"))
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        let pairs = (0..=input.jobs.len()).flat_map(|job| (0..=input.clients.len()).map(move |client| (job, client)));
        (RoutingAnswer { placements: pairs.collect(), reasons: Vec::new() }, author("hostile"))
    }
}

/// Gives nobody more than one active job, and says so.
struct Stingy;

impl Policies for Stingy {
    fn quota(&self, input: &QuotaInput<'_>) -> (QuotaAnswer, Author) {
        let (idle, busy): (Vec<_>, Vec<_>) = input.users.iter().partition(|user| user.active == 0);
        let grants = idle.iter().map(|user| Grant { user: user.user, jobs: 1 }).collect();
        let reasons = busy.iter().map(|user| (user.user, "one job each today".to_owned())).collect();
        (QuotaAnswer { grants, reasons }, author("stingy"))
    }

    fn routing(&self, input: &RoutingInput<'_>) -> (RoutingAnswer, Author) {
        Native.routing(input)
    }
}
