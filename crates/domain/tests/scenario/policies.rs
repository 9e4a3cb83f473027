//! The policies that a scenario can name.

use domain::UserId;
use domain::schedule::Native;
use domain::schedule::policies::{Grant, Policies, QuotaAnswer, QuotaInput, RoutingAnswer, RoutingInput};

pub fn named(name: &str) -> Result<Box<dyn Policies>, String> {
    match name {
        "native" => Ok(Box::new(Native)),
        "hostile" => Ok(Box::new(Hostile)),
        "stingy" => Ok(Box::new(Stingy)),
        other => Err(format!("`{other}` is not one of the policies native, hostile, stingy")),
    }
}

/// Grants everybody everything, strangers too, and places every job everywhere.
struct Hostile;

impl Policies for Hostile {
    fn quota(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let stranger = UserId::try_from(666).unwrap();
        let users = input.users.iter().map(|user| user.user).chain([stranger]);
        let grants = users.clone().map(|user| Grant { user, jobs: u32::MAX }).collect();
        QuotaAnswer { grants, reasons: users.map(|user| (user, "line\nbreak".to_owned())).collect() }
    }

    fn routing(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        let pairs = (0..=input.jobs.len()).flat_map(|job| (0..=input.clients.len()).map(move |client| (job, client)));
        RoutingAnswer { placements: pairs.collect() }
    }
}

/// Gives nobody more than one active job, and says so.
struct Stingy;

impl Policies for Stingy {
    fn quota(&self, input: &QuotaInput<'_>) -> QuotaAnswer {
        let (idle, busy): (Vec<_>, Vec<_>) = input.users.iter().partition(|user| user.active == 0);
        QuotaAnswer {
            grants: idle.iter().map(|user| Grant { user: user.user, jobs: 1 }).collect(),
            reasons: busy.iter().map(|user| (user.user, "one job each today".to_owned())).collect(),
        }
    }

    fn routing(&self, input: &RoutingInput<'_>) -> RoutingAnswer {
        Native.routing(input)
    }
}
