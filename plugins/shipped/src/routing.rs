//! Routing: the words of the WIT and those of the domain.

use std::collections::BTreeSet;

use domain::schedule::policies::{RoutingAnswer, RoutingClient, RoutingInput, RoutingJob, RoutingKind, RoutingShape};
use domain::{ClientName, JobId, Labels, Requires, ServiceName, Slots};
use policy_sdk::routing::{Answer, Input, Kind, Placement, Policy, Reason};
use policy_sdk::{Description, Settings};

use crate::settings;

/// A routing policy of the domain as one of the SDK.
pub struct Routing<P>(P);

impl<P: domain::policy::Routing> Policy for Routing<P> {
    fn configure(given: &Settings) -> Result<Self, String> {
        P::configure(&settings::to_domain(given)).map(Self).map_err(|error| error.to_string())
    }

    fn describe(&self) -> Description {
        settings::description_to_sdk(self.0.describe())
    }

    fn place(&self, input: &Input) -> Answer {
        match Names::of(input) {
            Some(names) => to_sdk(self.0.place(&names.to_domain(input))),
            None => panic!("a name, label or number that cannot be"),
        }
    }
}

/// What the domain's input only borrows.
struct Names {
    clients: Vec<ClientName>,
    shapes: Vec<(ServiceName, Slots, Requires)>,
    kinds: Vec<(BTreeSet<ServiceName>, Labels)>,
}

impl Names {
    /// `None` where the host said what cannot be.
    fn of(input: &Input) -> Option<Self> {
        let clients = input.clients.iter().map(|client| client.name.parse().ok()).collect::<Option<_>>()?;
        let shapes = input.shapes.iter().map(|shape| {
            Some((shape.service.parse().ok()?, shape.slots.try_into().ok()?, shape.requires.parse().ok()?))
        });
        Some(Self {
            clients,
            shapes: shapes.collect::<Option<_>>()?,
            kinds: input.kinds.iter().map(kind_to_domain).collect::<Option<_>>()?,
        })
    }

    fn to_domain(&self, input: &Input) -> RoutingInput<'_> {
        let jobs = input.jobs.iter().map(|job| RoutingJob {
            job: JobId(job.id),
            shape: job.shape as usize,
            attempt: job.attempt,
            last_client: job.last_client.map(|client| client as usize),
        });
        let shapes = input.shapes.iter().zip(&self.shapes);
        let shapes = shapes.map(|(shape, (service, slots, requires))| RoutingShape {
            service,
            slots: *slots,
            requires,
            kinds: shape.kinds.iter().map(|kind| *kind as usize).collect(),
        });
        let clients = input.clients.iter().zip(&self.clients).map(|(client, name)| RoutingClient {
            name,
            kind: client.kind as usize,
            slots: client.slots,
            free: client.free,
            running: client.running,
            recent_failures: client.recent_failures,
        });
        RoutingInput {
            jobs: jobs.collect(),
            shapes: shapes.collect(),
            clients: clients.collect(),
            kinds: self.kinds.iter().map(|(services, labels)| RoutingKind { services, labels }).collect(),
        }
    }
}

fn kind_to_domain(kind: &Kind) -> Option<(BTreeSet<ServiceName>, Labels)> {
    let services = kind.services.iter().map(|service| service.parse().ok()).collect::<Option<_>>()?;
    let labels: std::collections::BTreeMap<String, String> =
        kind.labels.iter().map(|label| (label.key.clone(), label.value.clone())).collect();
    Some((services, labels.try_into().ok()?))
}

fn to_sdk(answer: RoutingAnswer) -> Answer {
    let placements = answer.placements.into_iter();
    let reasons = answer.reasons.into_iter();
    Answer {
        placements: placements.map(|(job, client)| Placement { job: index(job), client: index(client) }).collect(),
        reasons: reasons.map(|(job, text)| Reason { job: index(job), text }).collect(),
    }
}

/// An index into one of the input's lists, which are shorter than 2^32 on every machine of 32 bits.
fn index(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use domain::policy::routing::LeastLoaded;
    use policy_sdk::routing::{Client, Job, Label, Shape};

    use super::*;

    #[test]
    fn a_routing_policy_answers_the_same_in_both_words() {
        let client = |name: &str, kind, free| Client {
            name: name.to_owned(),
            kind,
            slots: 4,
            free,
            running: 4 - free,
            recent_failures: 0,
        };
        let kind = |value: &str| Kind {
            services: vec!["example".to_owned()],
            labels: vec![Label { key: "gpu".to_owned(), value: value.to_owned() }],
        };
        let shape = |requires: &str, kinds| Shape {
            service: "example".to_owned(),
            slots: 1,
            requires: requires.to_owned(),
            kinds,
        };
        let input = Input {
            jobs: vec![
                Job { id: 7, shape: 1, attempt: 0, last_client: None },
                Job { id: 8, shape: 0, attempt: 1, last_client: Some(0) },
            ],
            shapes: vec![shape("", vec![0, 1]), shape("gpu", vec![1])],
            clients: vec![client("http://10.0.0.1:9000", 0, 4), client("http://10.0.0.2:9000", 1, 2)],
            kinds: vec![kind("false"), kind("true")],
        };
        let answer = Routing::<LeastLoaded>::configure(&Settings::default()).unwrap().place(&input);
        // The second job would go to the emptier first client, had it not just been lost there.
        let expected = [Placement { job: 0, client: 1 }, Placement { job: 1, client: 1 }];
        assert_eq!(answer.placements, expected);
    }
}
