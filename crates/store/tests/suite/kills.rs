use domain::{End, Event, JobId, KillProof, State, Status};
use store::{AssignRefusal, KillRequest};

use crate::harness::{House, client, limits};

#[tokio::test]
async fn a_job_killed_in_the_queue_never_runs() {
    let house = House::with(limits(5, 5), &[4]).await;
    let id = house.accept(1).await;
    let other = house.accept(1).await;
    assert_eq!(house.store.request_kill(id, "user 1".to_owned()).await.unwrap(), KillRequest::KilledInQueue);
    assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::KillRequested));
    let snapshot = house.store.snapshot();
    let heads = &snapshot.services[0].users[0].waiting[0].heads;
    assert_eq!(heads.iter().map(|head| head.job).collect::<Vec<_>>(), [other]);

    let house = house.restart().await;
    let row = house.row(id).await;
    assert_eq!((row.progress.state, row.kill.unwrap().by.as_str()), (State::Killed(KillProof::Gone), "user 1"));
    let again = house.store.request_kill(id, "user 2".to_owned()).await.unwrap();
    assert_eq!(again, KillRequest::AlreadyFinal(Status::Killed));
    let missing = house.store.request_kill(JobId(99), "x".to_owned()).await.unwrap();
    assert_eq!(missing, KillRequest::Missing);
}

#[tokio::test]
async fn a_kill_of_a_running_job_is_remembered_until_it_is_proven() {
    let house = House::with(limits(5, 5), &[4]).await;
    let id = house.accept(1).await;
    let assignment = house.assign(id, 0).await.unwrap();
    house.report(assignment, Event::Started).await;
    let asked = house.store.request_kill(id, "user 1".to_owned()).await.unwrap();
    assert_eq!(asked, KillRequest::Requested { client: client(0), assignment });
    let again = house.store.request_kill(id, "user 2".to_owned()).await.unwrap();
    assert_eq!(again, KillRequest::AlreadyRequested { client: client(0), assignment });

    let house = house.restart().await;
    let work = house.store.client_work(&client(0));
    assert_eq!(work.to_kill.iter().map(|active| active.job).collect::<Vec<_>>(), [id]);
    assert_eq!(house.row(id).await.kill.unwrap().by, "user 1", "the first one counts");
    house.report(assignment, Event::Ended(End::Killed)).await;
    assert_eq!(house.row(id).await.progress.state, State::Killed(KillProof::Gone));
    assert_eq!(house.store.client_work(&client(0)), store::ClientWork::default());
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_killed_job_that_comes_back_does_not_wait_again() {
    let house = House::with(limits(5, 5), &[4]).await;
    let id = house.accept(1).await;
    let assignment = house.assign(id, 0).await.unwrap();
    house.store.request_kill(id, "user 1".to_owned()).await.unwrap();
    let work = house.store.client_work(&client(0));
    assert_eq!((work.to_deliver.len(), work.to_kill.len(), work.active.len()), (0, 1, 1));
    house.report(assignment, Event::NotDelivered).await;
    let row = house.row(id).await;
    assert_eq!((row.progress.state, row.ended_at.is_some()), (State::Killed(KillProof::Gone), true));
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_killed_job_whose_client_is_given_up_says_so_also_after_a_restart() {
    let house = House::with(limits(5, 5), &[4]).await;
    let id = house.accept(1).await;
    let assignment = house.assign(id, 0).await.unwrap();
    house.report(assignment, Event::Started).await;
    house.store.request_kill(id, "user 1".to_owned()).await.unwrap();
    house.report(assignment, Event::DeclaredLost).await;
    let house = house.restart().await;
    assert_eq!(house.row(id).await.progress.state, State::Killed(KillProof::ClientLost));
}
