//! The quota policy `my-policy`: the users in turn, a few jobs each.

use policy_sdk::quota::{Answer, Grant, Input, Policy, Reason};
use policy_sdk::{Description, Settings};

struct MyPolicy {
    jobs_per_turn: u32,
}

impl Policy for MyPolicy {
    fn configure(settings: &Settings) -> Result<Self, String> {
        settings.only(&["jobs_per_turn"])?;
        let jobs_per_turn = settings.whole("jobs_per_turn", 2, 1..=100)?;
        Ok(Self { jobs_per_turn: jobs_per_turn as u32 })
    }

    fn describe(&self) -> Description {
        Description::new("my-policy", "the users in turn, a few jobs each").version(env!("CARGO_PKG_VERSION")).setting(
            "jobs_per_turn",
            2,
            "jobs for a user before it is the next one's turn, 1 to 100",
        )
    }

    /// Whose last turn is the longest ago comes first.
    fn grant(&self, input: &Input) -> Answer {
        let mut left = input.free_slots.min(input.max_runs.saturating_sub(input.active));
        let mut users: Vec<_> = input.users.iter().collect();
        users.sort_by_key(|user| (user.last_turn, user.id));
        let mut answer = Answer::default();
        for user in users {
            let room = user.placeable.min(input.runs_per_user.saturating_sub(user.active));
            let jobs = room.min(self.jobs_per_turn).min(left);
            if jobs > 0 {
                answer.grants.push(Grant { user: user.id, jobs });
            } else if room > 0 {
                answer.reasons.push(Reason { user: user.id, text: "it is the turn of others".to_owned() });
            }
            left -= jobs;
        }
        answer
    }
}

policy_sdk::quota!(MyPolicy);

#[cfg(test)]
mod tests {
    use policy_sdk::quota::User;

    use super::*;

    #[test]
    fn whose_turn_is_longest_ago_goes_first() {
        let user = |id, last_turn| User { id, placeable: 9, last_turn, ..User::default() };
        let input = Input {
            runs_per_user: 5,
            max_runs: 100,
            free_slots: 3,
            users: vec![user(1, 7), user(2, 0), user(3, 9)],
            ..Input::default()
        };
        let answer = MyPolicy::configure(&Settings::default()).unwrap().grant(&input);
        assert_eq!(answer.grants, [Grant { user: 2, jobs: 2 }, Grant { user: 1, jobs: 1 }]);
        assert_eq!(answer.reasons[0].user, 3);
    }

    #[test]
    fn a_setting_out_of_range_is_refused() {
        let refused = MyPolicy::configure(&Settings::of([("jobs_per_turn", 0.into())]));
        assert!(refused.err().unwrap().contains("from 1 to 100"));
    }
}
