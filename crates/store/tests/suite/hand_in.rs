//! What is handed in twice under one key is one job.

use domain::JobId;
use store::{Accepted, HandIn, NewJob};
use tokio::task::JoinSet;

use crate::harness::{House, job};

fn under(key: &str, digest: u8, of: i64) -> NewJob {
    let digest = format!("{digest:064x}").parse().unwrap();
    NewJob { hand_in: Some(HandIn { key: key.parse().unwrap(), digest }), ..job(of, 1, 0) }
}

#[tokio::test]
async fn a_repeat_is_the_same_job_and_other_content_is_none() {
    let house = House::new().await;
    let accept = async |new| house.store.accept(new).await.unwrap();
    assert_eq!(accept(under("k", 1, 1)).await, Accepted::New(JobId(1)));
    assert_eq!(accept(under("k", 1, 1)).await, Accepted::Known(JobId(1)));
    assert_eq!(accept(under("k", 2, 1)).await, Accepted::OtherContent(JobId(1)));
    assert_eq!(accept(under("k", 1, 2)).await, Accepted::New(JobId(2)), "another user's key is another");
    assert_eq!(accept(under("l", 1, 1)).await, Accepted::New(JobId(3)));
    house.assert_agrees().await;
}

#[tokio::test]
async fn repeats_at_once_make_one_job() {
    let house = House::new().await;
    let mut repeats = JoinSet::new();
    for _ in 0..20 {
        let store = house.store.clone();
        repeats.spawn(async move { store.accept(under("k", 1, 1)).await.unwrap() });
    }
    let repeats = repeats.join_all().await;
    assert_eq!(repeats.iter().filter(|accepted| matches!(accepted, Accepted::New(_))).count(), 1);
    assert!(repeats.iter().all(|accepted| accepted.id() == JobId(1)));
}

#[tokio::test]
async fn a_key_outlives_a_restart() {
    let house = House::new().await;
    house.store.accept(under("k", 1, 1)).await.unwrap();
    let house = house.restart().await;
    assert_eq!(house.store.accept(under("k", 1, 1)).await.unwrap(), Accepted::Known(JobId(1)));
    assert_eq!(house.row(JobId(1)).await.hand_in.unwrap().key.as_str(), "k");
}
