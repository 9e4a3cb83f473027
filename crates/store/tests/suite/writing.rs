use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use domain::{End, Event, Failure, JobId, State, Status, StepReason};
use store::{Applied, Cause, JobFilter, Report, Told};
use tokio::task::JoinSet;

use crate::harness::{House, job, limits, user};

#[tokio::test]
async fn many_at_once_get_dense_numbers_and_each_its_own() {
    let house = House::new().await;
    let mut waiters = JoinSet::new();
    for of in 0..300 {
        let store = house.store.clone();
        waiters.spawn(async move { (store.accept(job(of, 1, 0)).await.unwrap().id(), of) });
    }
    let mut owners = BTreeMap::new();
    while let Some(done) = waiters.join_next().await {
        let (id, of) = done.unwrap();
        owners.insert(id, of);
    }
    assert_eq!(owners.keys().copied().collect::<Vec<_>>(), (1..=300).map(JobId).collect::<Vec<_>>());
    for (id, of) in owners {
        assert_eq!(house.row(id).await.request.user, user(of));
    }
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_failing_command_fails_alone() {
    let house = House::new().await;
    let taken = job(1, 1, 0);
    house.store.accept(taken.clone()).await.unwrap();
    let mut waiters = JoinSet::new();
    for of in 0..60 {
        let store = house.store.clone();
        let new = if of % 20 == 7 { taken.clone() } else { job(of, 1, 0) };
        waiters.spawn(async move { (of, store.accept(new).await) });
    }
    let mut ids = Vec::new();
    while let Some(done) = waiters.join_next().await {
        match done.unwrap() {
            (of, Ok(accepted)) => ids.push((accepted.id(), of)),
            (of, Err(error)) => {
                assert_eq!(of % 20, 7, "{error}");
                assert!(matches!(error.cause(), Cause::Other(_)));
            }
        }
    }
    ids.sort();
    assert_eq!(ids.iter().map(|(id, _)| id.0).collect::<Vec<_>>(), (2..=58).collect::<Vec<_>>(), "still dense");
    for (id, of) in ids {
        assert_eq!(house.row(id).await.request.user, user(of));
    }
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_job_comes_back_as_it_was_handed_in() {
    let house = House::new().await;
    let new = job(-5, 3, 7);
    let id = house.store.accept(new.clone()).await.unwrap().id();
    let row = house.row(id).await;
    assert_eq!((row.request, row.payload, row.payload_bytes), (new.request, new.payload, 17));
    assert_eq!((row.progress.state, row.result_bytes, row.ended_at), (State::Queued, None, None));
}

#[tokio::test]
async fn every_step_of_a_life_is_in_the_history_in_order() {
    use Status::{Failed, Processing, Queued, Running, Submitted};

    let house = House::with(limits(5, 5), &[2]).await;
    let id = house.accept(1).await;
    let assignment = house.assign(id, 0).await.unwrap();
    // One transaction with several steps of one job.
    let mut ended = Report::new(assignment, Event::Ended(End::Exit(3)));
    ended.reason = Some(StepReason::Ran { duration_ms: 7 });
    ended.result_bytes = Some(1 << 40);
    let steps = [Event::Delivered, Event::Started].map(|event| Report::new(assignment, event));
    let applied = house.store.apply_all(steps.into_iter().chain([ended]).collect()).await.unwrap();
    assert_eq!(applied[2], Applied::Yes { job: id, from: Status::Running, to: Status::Failed });

    let row = house.row(id).await;
    assert_eq!(row.progress.state, State::Failed(Failure::Exit(3)));
    assert_eq!((row.result_bytes, row.ended_at.is_some()), (Some(1 << 40), true));
    assert_eq!(row.placement.unwrap().assignment, assignment, "who ran it stays known");
    let history = house.store.history(id).await.unwrap();
    let words: Vec<_> = history.iter().map(|step| (step.seq, step.from, step.to, step.attempt)).collect();
    assert_eq!(
        words,
        [
            (1, None, Queued, 0),
            (2, Some(Queued), Processing, 1),
            (3, Some(Processing), Submitted, 1),
            (4, Some(Submitted), Running, 1),
            (5, Some(Running), Failed, 1)
        ]
    );
    let told = Told { code: "ran".to_owned(), text: "7 ms on the client".to_owned() };
    assert_eq!((&history[3].reason, &history[4].reason), (&None, &Some(told)));
    assert_eq!(history[4].client.as_ref().unwrap().as_str(), "c0");
    house.assert_agrees().await;
}

#[tokio::test]
async fn late_repeated_and_foreign_reports_change_nothing() {
    let house = House::with(limits(5, 5), &[2]).await;
    let id = house.accept(1).await;
    let lost = house.assign(id, 0).await.unwrap();
    assert!(matches!(house.report(lost, Event::NotDelivered).await, Applied::Yes { to: Status::Queued, .. }));
    assert_eq!(house.report(lost, Event::Delivered).await, Applied::Missing, "no job has it any more");

    let assignment = house.assign(id, 0).await.unwrap();
    assert_eq!(house.row(id).await.last_client.unwrap().as_str(), "c0");
    house.report(assignment, Event::Ended(End::Exit(0))).await;
    let before = house.row(id).await;
    for event in [Event::Delivered, Event::Started, Event::Ended(End::Exit(1)), Event::DeclaredLost] {
        assert_eq!(house.report(assignment, event).await, Applied::Stale);
    }
    for event in [Event::Expired, Event::KillRequested] {
        assert_eq!(house.report(assignment, event).await, Applied::Stale, "not by a report");
    }
    let foreign = crate::harness::proposal(id, 0).placement.assignment;
    assert_eq!(house.report(foreign, Event::Started).await, Applied::Missing);
    assert_eq!(house.row(id).await, before);
}

#[tokio::test]
async fn an_old_report_in_the_batch_of_its_own_end_changes_nothing() {
    let house = House::with(limits(5, 5), &[2]).await;
    let id = house.accept(1).await;
    let assignment = house.assign(id, 0).await.unwrap();
    let reports = [Event::NotDelivered, Event::Delivered].map(|event| Report::new(assignment, event));
    let applied = house.store.apply_all(reports.into()).await.unwrap();
    assert_eq!(applied[1], Applied::Stale);
    assert_eq!(house.row(id).await.progress.state, State::Queued);
    house.assert_agrees().await;
}

#[tokio::test]
async fn who_waits_for_an_end_hears_it_once() {
    let house = House::with(limits(5, 5), &[2]).await;
    let mut finals = house.store.finals();
    let first = house.accept(1).await;
    let second = house.accept(1).await;
    house.complete(first, 0).await;
    house.store.expire(vec![first]).await.unwrap();
    house.store.request_kill(second, "a test".to_owned()).await.unwrap();
    assert_eq!(finals.try_recv(), Ok(first));
    assert_eq!(finals.try_recv(), Ok(second), "cleaning is not another end");
    assert!(finals.try_recv().is_err());
}

#[tokio::test]
async fn the_files_are_private() {
    let house = House::new().await;
    house.accept(1).await;
    for suffix in ["", "-wal", "-shm"] {
        let path = format!("{}{suffix}", house.path().display());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{path}");
    }
}

#[tokio::test]
async fn what_was_handed_in_before_the_close_is_committed() {
    let house = House::new().await;
    let mut waiters = JoinSet::new();
    for of in 0..50 {
        let store = house.store.clone();
        waiters.spawn(async move { store.accept(job(of, 1, 0)).await });
    }
    let first = waiters.join_next().await.unwrap().unwrap();
    assert!(first.is_ok());
    let other = house.store.clone();
    let house = house.restart().await;
    let mut answered = 1;
    while let Some(done) = waiters.join_next().await {
        match done.unwrap() {
            Ok(_) => answered += 1,
            Err(error) => assert!(matches!(error.cause(), Cause::Closed), "{error:?}"),
        }
    }
    assert_eq!(house.store.jobs(&JobFilter::default(), 100).await.unwrap().len(), answered);
    let error = other.accept(job(1, 1, 0)).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Closed));
}

#[tokio::test]
async fn a_dropped_writer_leaves_no_caller_waiting() {
    let dir = tempfile::tempdir().unwrap();
    let options = store::StoreOptions { path: dir.path().join("jobs.sqlite"), readers: 1 };
    let (store, task) = store::Store::open(options).await.unwrap();
    let waiter = store.accept(job(1, 1, 0));
    drop(task);
    assert!(matches!(waiter.await.unwrap_err().cause(), Cause::Closed));
}
