//! A job that was lost with its clients rests before it is tried again.

use domain::{Event, JobId, WaitReason};
use store::Report;

use crate::harness::{House, limits, proposal};

/// Loses the job's next attempt.
async fn lose(house: &House, id: JobId) {
    let assignment = house.assign(id, 0).await.unwrap();
    house.report(assignment, Event::Delivered).await;
    house.report(assignment, Event::DeclaredLost).await;
}

fn heads(house: &House) -> Vec<JobId> {
    let users = house.store.snapshot().services.into_iter().flat_map(|service| service.users);
    users.flat_map(|user| user.waiting).flat_map(|waiting| waiting.heads).map(|head| head.job).collect()
}

async fn reason(house: &House, id: JobId) -> Option<WaitReason> {
    house.store.waiting(&house.row(id).await).unwrap().reason
}

#[tokio::test]
async fn a_first_loss_costs_no_rest_and_a_second_does() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    lose(&house, id).await;
    assert_eq!((heads(&house), house.store.next_rest_ends_in()), (vec![id], None));
    lose(&house, id).await;
    assert_eq!(heads(&house), [], "it is not offered to a decision");
    let rest = house.store.next_rest_ends_in().unwrap().as_secs();
    assert!((5..=10).contains(&rest), "{rest}");
    let Some(WaitReason::RetryBackoff { seconds }) = reason(&house, id).await else { panic!("no reason") };
    assert!((5..=10).contains(&seconds), "{seconds}");
    house.assert_agrees().await;
}

#[tokio::test]
async fn others_of_its_queue_are_not_held_up() {
    let house = House::with(limits(9, 9), &[4]).await;
    let (unlucky, other) = (house.accept(1).await, house.accept(1).await);
    lose(&house, unlucky).await;
    lose(&house, unlucky).await;
    let waiting = &house.store.snapshot().services[0].users[0].waiting[0];
    assert_eq!((waiting.queued, waiting.heads.len(), waiting.heads[0].job), (1, 1, other));
    assert_eq!(reason(&house, other).await, None);
}

#[tokio::test]
async fn a_rest_starts_again_with_the_server() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    lose(&house, id).await;
    lose(&house, id).await;
    let house = house.restart().await;
    assert!(house.store.next_rest_ends_in().unwrap().as_secs() >= 5);
    assert_eq!(heads(&house), []);
}

#[tokio::test]
async fn a_refused_delivery_costs_no_rest() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    lose(&house, id).await;
    for _ in 0..5 {
        let assignment = house.assign(id, 0).await.unwrap();
        house.store.apply(Report::new(assignment, Event::NotDelivered)).await.unwrap();
    }
    assert_eq!((heads(&house), house.row(id).await.progress.lost), (vec![id], 1));
}

#[tokio::test]
async fn a_resting_job_that_is_killed_leaves_nothing_behind() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    lose(&house, id).await;
    lose(&house, id).await;
    house.store.request_kill(id, "a test".to_owned()).await.unwrap();
    assert_eq!(house.store.next_rest_ends_in(), None);
    assert!(house.store.assign(vec![proposal(id, 0)]).await.unwrap()[0].is_err());
    house.assert_agrees().await;
}
