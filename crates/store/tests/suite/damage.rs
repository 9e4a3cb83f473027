use std::time::{Duration, Instant};

use domain::JobId;
use sqlx::Connection;
use store::{Cause, Store, StoreError, StoreOptions};
use tokio::task::JoinSet;

use crate::harness::{House, job, limits, proposal};

#[tokio::test]
async fn a_damaged_row_is_named_and_hurts_nobody_else() {
    let house = House::with(limits(9, 9), &[4]).await;
    let (bad, good) = (house.accept(1).await, house.accept(1).await);
    house.meddle("UPDATE jobs SET status = 'Running' WHERE id = 1").await;
    let error = house.store.job(bad).await.unwrap_err();
    let Cause::Damaged { subject, .. } = error.cause() else { panic!("{error:?}") };
    assert_eq!(subject, "job 1");

    let store = house.store.clone();
    let (killed, also) =
        tokio::join!(store.request_kill(bad, "x".to_owned()), house.store.request_kill(good, "x".to_owned()));
    assert!(matches!(killed.unwrap_err().cause(), Cause::Damaged { .. }));
    assert_eq!(also.unwrap(), store::KillRequest::KilledInQueue);
    assert!(house.store.verify().await.is_err());
}

#[tokio::test]
async fn a_row_that_cannot_be_is_refused_in_every_column() {
    let house = House::new().await;
    for (column, sql) in [
        ("user", "UPDATE jobs SET user_id = 9007199254740992"),
        ("slots", "UPDATE jobs SET slots = 0"),
        ("service", "UPDATE jobs SET service = 'NO SUCH'"),
        ("requires", "UPDATE jobs SET requires = '>>'"),
        ("status", "UPDATE jobs SET status = 'Lost'"),
        ("outcome", "UPDATE jobs SET status = 'Failed'"),
        ("kill", "UPDATE jobs SET kill_requested_at = 1"),
        ("placement", "UPDATE jobs SET client = 'c0'"),
        ("attempt", "UPDATE jobs SET attempt = -1"),
        ("payload", "UPDATE jobs SET payload = '../x'"),
        ("type", "UPDATE jobs SET labels = x'ff'"),
    ] {
        let id = house.accept(1).await;
        house.meddle(sql).await;
        let error = house.store.job(id).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Damaged { .. }), "{column}: {error:?}");
        house.meddle("DELETE FROM history").await;
        house.meddle("DELETE FROM jobs").await;
    }
}

#[tokio::test]
async fn a_change_behind_the_writers_back_is_seen_by_verify() {
    let house = House::new().await;
    house.accept(1).await;
    house.meddle("UPDATE jobs SET priority = 3").await;
    let differences = house.store.verify().await.unwrap();
    assert!(differences.iter().any(|line| line.contains("only in the database")), "{differences:?}");
}

#[tokio::test]
async fn a_writer_elsewhere_makes_it_busy_for_all_at_once_and_nothing_is_lost() {
    let house = House::new().await;
    let mut raw = house.raw().await;
    let held = raw.begin_with("BEGIN IMMEDIATE").await.unwrap();
    let asked = Instant::now();
    let mut waiters = JoinSet::new();
    for of in 0..8 {
        let store = house.store.clone();
        waiters.spawn(async move { store.accept(job(of, 1, 0)).await });
    }
    while let Some(failed) = waiters.join_next().await {
        let error = failed.unwrap().unwrap_err();
        assert!(matches!(error.cause(), Cause::Busy(_)), "{error:?}");
    }
    assert!(asked.elapsed() < Duration::from_secs(20), "two waits of 5 s at most, not one each");
    held.rollback().await.unwrap();
    assert_eq!(house.accept(1).await, JobId(1), "no number was spent");
}

#[tokio::test]
async fn a_row_that_is_not_as_it_was_read_is_not_written() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    house.meddle("CREATE TRIGGER t BEFORE UPDATE ON jobs BEGIN SELECT RAISE(IGNORE); END").await;
    let error = house.store.assign(vec![proposal(id, 0)]).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Damaged { .. }), "{error:?}");
    house.meddle("DROP TRIGGER t").await;
    assert_eq!(house.store.history(id).await.unwrap().len(), 1, "nor is its history");
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_file_that_is_no_database_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("jobs.sqlite");
    std::fs::write(&path, "a letter to a friend, long enough to be read as a header ".repeat(99)).unwrap();
    let Err(error) = Store::open(StoreOptions { path, readers: 1 }).await else { panic!("opened") };
    assert!(matches!(error, StoreError::Open { cause: Cause::Corrupt(_), .. }), "{error:?}");
}

#[tokio::test]
async fn a_database_of_a_newer_program_is_refused() {
    let house = House::new().await;
    house.meddle("INSERT INTO _sqlx_migrations VALUES (9999, 'later', CURRENT_TIMESTAMP, TRUE, x'00', 1)").await;
    let path = house.path();
    let Err(error) = Store::open(StoreOptions { path, readers: 1 }).await else { panic!("opened") };
    assert!(matches!(error.cause(), Cause::Migration(_)), "{error:?}");
}

/// A database as the first version of this program left it: its reasons have no codes.
#[tokio::test]
async fn a_reason_of_the_first_version_is_told_as_noted() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    house.store.request_kill(id, "somebody".to_owned()).await.unwrap();
    let migration = include_str!("../../../../migrations/sqlite/0002_promises.sql");
    let (_, filled) = migration.split_once("UPDATE history").unwrap();
    house.meddle("UPDATE history SET code = NULL").await;
    let mut raw = house.raw().await;
    sqlx::query(sqlx::AssertSqlSafe(format!("UPDATE history{filled}"))).execute(&mut raw).await.unwrap();
    let reasons: Vec<_> = house.store.history(id).await.unwrap().into_iter().map(|step| step.reason).collect();
    let told = store::Told { code: "noted".to_owned(), text: "end requested by somebody".to_owned() };
    assert_eq!(reasons, [None, Some(told)]);
}
