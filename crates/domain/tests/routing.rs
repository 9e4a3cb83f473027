//! What `best-fit` promises beyond the scenarios.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeSet;

use domain::policy::routing::BestFit;
use domain::policy::{Routing, Settings, Value};
use domain::schedule::policies::{RoutingAnswer, RoutingClient, RoutingInput, RoutingJob, RoutingKind, RoutingShape};
use domain::{ClientName, JobId, Labels, Requires, ServiceName, Slots};

/// Each client's labels, slots and free slots; each job's requirements and slots.
fn place(settings: &[(&str, bool)], clients: &[(&str, u32, u32)], jobs: &[(&str, u32)]) -> RoutingAnswer {
    let settings = settings.iter().map(|(name, flag)| ((*name).to_owned(), Value::Flag(*flag))).collect();
    let policy = BestFit::configure(&Settings(settings)).unwrap();
    let service: ServiceName = "example".parse().unwrap();
    let services = BTreeSet::from([service.clone()]);
    let labels: Vec<Labels> = clients.iter().map(|(labels, ..)| labels.parse().unwrap()).collect();
    let requires: Vec<Requires> = jobs.iter().map(|(requires, _)| requires.parse().unwrap()).collect();
    let names: Vec<ClientName> = (0..clients.len()).map(|index| format!("c{index}").parse().unwrap()).collect();
    let fitting = |requires: &Requires| (0..labels.len()).filter(|kind| requires.hold_for(&labels[*kind])).collect();
    policy.place(&RoutingInput {
        jobs: (0..jobs.len()).map(|shape| RoutingJob { job: JobId(1), shape, attempt: 0, last_client: None }).collect(),
        shapes: (0..jobs.len())
            .map(|job| RoutingShape {
                service: &service,
                slots: Slots::try_from(jobs[job].1).unwrap(),
                requires: &requires[job],
                kinds: fitting(&requires[job]),
            })
            .collect(),
        clients: (0..clients.len())
            .map(|kind| {
                let (_, slots, free) = clients[kind];
                RoutingClient { name: &names[kind], kind, slots, free, running: 0, recent_failures: 0 }
            })
            .collect(),
        kinds: labels.iter().map(|labels| RoutingKind { services: &services, labels }).collect(),
    })
}

fn placed(settings: &[(&str, bool)], clients: &[(&str, u32, u32)], jobs: &[(&str, u32)]) -> Vec<usize> {
    place(settings, clients, jobs).placements.into_iter().map(|(_, client)| client).collect()
}

#[test]
fn the_client_that_the_job_fills_best_is_taken() {
    assert_eq!(placed(&[], &[("", 8, 8), ("", 4, 3), ("", 4, 2)], &[("", 2), ("", 2), ("", 2)]), [2, 1, 0]);
}

#[test]
fn spreading_takes_the_emptiest_instead() {
    assert_eq!(placed(&[("spread", true)], &[("", 4, 2), ("", 8, 4)], &[("", 1), ("", 2), ("", 1)]), [1, 1, 0]);
}

#[test]
fn labels_that_the_job_asks_for_are_not_too_many() {
    let clients = [("gpu,arch=arm64", 1, 1), ("gpu,tpu,nic", 1, 1), ("", 1, 1)];
    assert_eq!(placed(&[], &clients, &[("gpu,arch=arm64", 1), ("", 1), ("gpu", 1)]), [0, 2, 1]);
}

#[test]
fn a_label_that_is_false_is_none() {
    assert_eq!(placed(&[], &[("ssd", 1, 1), ("gpu=false,tpu=false", 1, 1)], &[("", 1)]), [1]);
}

#[test]
fn price_counts_unless_it_shall_not() {
    let clients = [("price_per_hour=10", 1, 1), ("price_per_hour=9.5", 1, 1)];
    assert_eq!(placed(&[], &clients, &[("", 1)]), [1]);
    assert_eq!(placed(&[("price", false)], &clients, &[("", 1)]), [0]);
}

#[test]
fn a_price_that_is_none_costs_nothing() {
    for price in ["price_per_hour=-1", "price_per_hour=cheap", "price_per_hour=inf", "price_per_hour=NaN"] {
        assert_eq!(placed(&[], &[("price_per_hour=0.1", 1, 1), (price, 1, 1)], &[("", 1)]), [1], "{price}");
    }
}

#[test]
fn a_job_left_out_is_told_why_in_numbers_and_holds_up_nobody() {
    let answer = place(&[], &[("", 4, 3), ("", 8, 2)], &[("", 4), ("", 1), ("", 4)]);
    assert_eq!(answer.placements, [(1, 1)]);
    let told = |most| format!("needs 4 slots free on one client; 2 clients fit, with {most} at most");
    assert_eq!(answer.reasons, [(0, told(3)), (2, told(3))]);
}

#[test]
fn a_setting_that_cannot_be_is_refused_with_what_would_do() {
    let refused =
        |name: &str, value| BestFit::configure(&Settings([(name.to_owned(), value)].into())).unwrap_err().to_string();
    assert_eq!(refused("price", Value::Whole(1)), "`price` is 1, and has to be true or false");
    assert_eq!(refused("cost", Value::Flag(true)), "`cost` is no setting of this policy; it takes price, spread");
}
