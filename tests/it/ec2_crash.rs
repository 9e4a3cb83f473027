//! A server that dies at a step of an instance's life: one launch is one instance, nothing is forgotten, nothing is left.

use std::os::unix::process::ExitStatusExt;

use crate::harness::cloud::Cloud;

/// The whole way from nothing to nothing, over the death of the server at this point.
async fn dies_at(point: &str) {
    let Some(mut cloud) = Cloud::armed("", Some(point)) else { return };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    let mut process = cloud.server.process.take().unwrap();
    let status = tokio::task::spawn_blocking(move || process.ended()).await.unwrap();
    assert_eq!(status.signal(), Some(9), "{point} was not passed: {status}\n{}", cloud.server.log());
    cloud.server.disarm();
    cloud.server.start();
    let job = cloud.completed(id, "gate").await;
    assert_eq!((job.0["attempt"].as_u64(), cloud.beacon.times("gate")), (Some(1), 1), "{point}: {:#}", job.0);
    cloud.nothing_is_left().await;
    assert_eq!(cloud.hypervisor.account().instances().unwrap().len(), 1, "{point}");
    assert_eq!(cloud.instances().await.len(), 1, "{point}");
}

#[tokio::test]
async fn a_server_that_dies_between_row_and_call_makes_the_call_later() {
    dies_at("InstanceRequested").await;
}

#[tokio::test]
async fn a_server_that_dies_between_call_and_answer_finds_what_it_launched() {
    dies_at("InstanceAnswered").await;
}

#[tokio::test]
async fn a_server_that_dies_before_it_ends_an_instance_ends_it_later() {
    dies_at("InstanceEnding").await;
}
