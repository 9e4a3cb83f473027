//! The routing policy `my-policy`: each job where most slots are free, bad clients last.

use policy_sdk::routing::{Answer, Input, Placement, Policy, Reason};
use policy_sdk::{Description, Settings};

struct MyPolicy {
    bad_after: u32,
}

impl Policy for MyPolicy {
    fn configure(settings: &Settings) -> Result<Self, String> {
        settings.only(&["bad_after"])?;
        Ok(Self { bad_after: settings.whole("bad_after", 3, 1..=1000)? as u32 })
    }

    fn describe(&self) -> Description {
        Description::new("my-policy", "each job where most slots are free, bad clients last")
            .version(env!("CARGO_PKG_VERSION"))
            .setting("bad_after", 3, "failures in a row that make a client the last choice, 1 to 1000")
    }

    fn place(&self, input: &Input) -> Answer {
        let mut free: Vec<u32> = input.clients.iter().map(|client| client.free).collect();
        let mut answer = Answer::default();
        for (job, asked) in input.jobs.iter().enumerate() {
            let shape = &input.shapes[asked.shape as usize];
            let fitting = input
                .clients
                .iter()
                .enumerate()
                .filter(|(index, client)| free[*index] >= shape.slots && shape.kinds.contains(&client.kind));
            let best = fitting.max_by_key(|(index, client)| (client.recent_failures < self.bad_after, free[*index]));
            if let Some((client, _)) = best {
                free[client] -= shape.slots;
                answer.placements.push(Placement { job: job as u32, client: client as u32 });
            } else {
                answer.reasons.push(Reason { job: job as u32, text: "no client has enough slots free".to_owned() });
            }
        }
        answer
    }
}

policy_sdk::routing!(MyPolicy);

#[cfg(test)]
mod tests {
    use policy_sdk::routing::{Client, Job, Kind, Shape};

    use super::*;

    #[test]
    fn a_bad_client_comes_last() {
        let client = |free, recent_failures| Client { slots: 4, free, recent_failures, ..Client::default() };
        let input = Input {
            jobs: vec![Job::default(), Job::default(), Job::default()],
            shapes: vec![Shape { slots: 2, kinds: vec![0], ..Shape::default() }],
            clients: vec![client(4, 3), client(2, 0)],
            kinds: vec![Kind::default()],
        };
        let answer = MyPolicy::configure(&Settings::default()).unwrap().place(&input);
        let clients: Vec<u32> = answer.placements.iter().map(|placement| placement.client).collect();
        assert_eq!(clients, [1, 0, 0]);
    }
}
