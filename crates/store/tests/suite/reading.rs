use domain::schedule::snapshot::Shape;
use domain::{State, Status, WaitReason};
use store::{JobFilter, UnixMillis, Waiting};

use crate::harness::{House, job, limits, service, user};

#[tokio::test]
async fn lists_are_newest_first_and_go_on_where_they_stopped() {
    let house = House::with(limits(9, 9), &[4]).await;
    let mut ids = Vec::new();
    for of in [1, 2, 1, 1, 2] {
        ids.push(house.accept(of).await);
    }
    house.complete(ids[2], 0).await;
    let list = async |filter: JobFilter, limit| {
        house.store.jobs(&filter, limit).await.unwrap().iter().map(|row| row.id).collect::<Vec<_>>()
    };
    assert_eq!(list(JobFilter::default(), 2).await, [ids[4], ids[3]]);
    assert_eq!(list(JobFilter { before: Some(ids[3]), ..Default::default() }, 9).await, [ids[2], ids[1], ids[0]]);
    let of_one = JobFilter { user: Some(user(1)), service: Some(service()), ..Default::default() };
    assert_eq!(list(of_one.clone(), 9).await, [ids[3], ids[2], ids[0]]);
    assert_eq!(list(JobFilter { status: Some(Status::Completed), ..of_one }, 9).await, [ids[2]]);
    assert_eq!(list(JobFilter { service: Some("b".parse().unwrap()), ..Default::default() }, 9).await, []);
}

#[tokio::test]
async fn jobs_are_found_by_assignment_in_one_question() {
    let house = House::with(limits(9, 9), &[4]).await;
    let (first, second) = (house.accept(1).await, house.accept(2).await);
    let assignments = [house.assign(first, 0).await.unwrap(), house.complete(second, 0).await];
    let mut found: Vec<_> = house.store.by_assignment(&assignments).await.unwrap().iter().map(|row| row.id).collect();
    found.sort();
    assert_eq!(found, [first, second]);
    assert_eq!(house.store.by_assignment(&[]).await.unwrap(), []);
}

#[tokio::test]
async fn cleaning_takes_ended_jobs_once_and_keeps_their_history() {
    let house = House::with(limits(9, 9), &[4]).await;
    let (ended, waits) = (house.accept(1).await, house.accept(1).await);
    house.complete(ended, 0).await;
    let now = house.store.now();
    let later = UnixMillis(now.0 + 1000);
    let expired = house.store.expired(later, 9).await.unwrap();
    assert_eq!(expired.iter().map(|row| row.id).collect::<Vec<_>>(), [ended]);
    assert_eq!(house.store.expired(UnixMillis(now.0 - 10_000), 9).await.unwrap(), []);

    let keys = [ended, waits].map(async |id| house.row(id).await.payload);
    let [key, other] = keys;
    let keys = [key.await, other.await, "nobodys".parse().unwrap()];
    assert_eq!(house.store.needed_payloads(&keys).await.unwrap().len(), 2);
    assert_eq!(house.store.expire(vec![ended, waits]).await.unwrap(), [ended]);
    assert_eq!(house.store.expire(vec![ended]).await.unwrap(), []);
    assert_eq!(house.store.needed_payloads(&keys).await.unwrap(), keys[1..2]);
    assert_eq!(house.store.expired(later, 9).await.unwrap(), []);
    assert_eq!(house.row(ended).await.progress.state, State::Cleaned);
    assert_eq!(house.store.history(ended).await.unwrap().len(), 5);
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_waiting_job_knows_its_place_and_the_last_reason() {
    let house = House::with(limits(9, 9), &[4]).await;
    house.accept(2).await;
    let ids = [house.accept(1).await, house.store.accept(job(1, 2, 0)).await.unwrap().id(), house.accept(1).await];
    let urgent = house.store.accept(job(1, 1, 9)).await.unwrap().id();
    let last = house.row(ids[2]).await;
    assert_eq!(house.store.waiting(&last), Some(Waiting { reason: None, ahead: 3 }));
    let shape = Shape { slots: last.request.slots, requires: last.request.requires.clone() };
    let reason = WaitReason::NoFreeSlot { ahead: 1 };
    house.store.put_reasons(vec![(service(), user(1), shape, reason.clone())]);
    assert_eq!(house.store.waiting(&last).unwrap().reason, Some(reason));
    assert_eq!(house.store.waiting(&house.row(urgent).await).unwrap().ahead, 0);
    house.assign(ids[2], 0).await.unwrap();
    assert_eq!(house.store.waiting(&last), None);
}
