//! Quota: the words of the WIT and those of the domain.

use domain::schedule::policies::{QuotaAnswer, QuotaInput, QuotaUser};
use domain::{Limits, ServiceName, UserId};
use policy_sdk::quota::{Answer, Grant, Input, Policy, Reason, User};
use policy_sdk::{Description, Settings};

use crate::settings;

/// A quota policy of the domain as one of the SDK.
pub struct Quota<P>(P);

impl<P: domain::policy::Quota> Policy for Quota<P> {
    fn configure(given: &Settings) -> Result<Self, String> {
        P::configure(&settings::to_domain(given)).map(Self).map_err(|error| error.to_string())
    }

    fn describe(&self) -> Description {
        settings::description_to_sdk(self.0.describe())
    }

    fn grant(&self, input: &Input) -> Answer {
        let Ok(service) = input.service.parse::<ServiceName>() else {
            panic!("no service name: {}", input.service);
        };
        to_sdk(self.0.grant(&to_domain(input, &service)))
    }
}

fn to_domain<'a>(input: &Input, service: &'a ServiceName) -> QuotaInput<'a> {
    QuotaInput {
        service,
        limits: Limits { runs_per_user: input.runs_per_user, max_runs: input.max_runs },
        active: input.active,
        free_slots: input.free_slots,
        users: input.users.iter().map(user_to_domain).collect(),
    }
}

fn user_to_domain(user: &User) -> QuotaUser {
    let Ok(id) = UserId::try_from(user.id) else {
        panic!("no user id: {}", user.id);
    };
    QuotaUser {
        user: id,
        placeable: user.placeable,
        queued: user.queued,
        active: user.active,
        active_everywhere: user.active_everywhere,
        oldest_wait_ms: user.oldest_wait_ms,
        top_priority: user.top_priority,
        last_turn: user.last_turn,
        usage: user.usage,
    }
}

fn to_sdk(answer: QuotaAnswer) -> Answer {
    Answer {
        grants: answer.grants.into_iter().map(|grant| Grant { user: grant.user.get(), jobs: grant.jobs }).collect(),
        reasons: answer.reasons.into_iter().map(|(user, text)| Reason { user: user.get(), text }).collect(),
    }
}

#[cfg(test)]
mod tests {
    use domain::policy::quota::RoundRobin;

    use super::*;

    #[test]
    fn a_quota_policy_answers_the_same_in_both_words() {
        let user = |id, active, last_turn| User {
            id,
            placeable: 9,
            queued: 12,
            active,
            oldest_wait_ms: 5,
            last_turn,
            ..User::default()
        };
        let input = Input {
            service: "example".to_owned(),
            runs_per_user: 5,
            max_runs: 100,
            active: 3,
            free_slots: 4,
            users: vec![user(-7, 0, 2), user(1 << 40, 4, 1), user((1 << 53) - 1, 0, 3)],
        };
        let answer = Quota::<RoundRobin>::configure(&Settings::default()).unwrap().grant(&input);
        let grants: Vec<(i64, u32)> = answer.grants.iter().map(|grant| (grant.user, grant.jobs)).collect();
        assert_eq!(grants, [(1 << 40, 1), (-7, 1), ((1 << 53) - 1, 1), (-7, 1)]);
    }

    #[test]
    fn a_setting_that_the_policy_does_not_know_is_refused() {
        let refused = Quota::<RoundRobin>::configure(&Settings::of([("bonus", 2.0.into())])).err().unwrap();
        assert!(refused.contains("bonus"), "{refused}");
    }
}
