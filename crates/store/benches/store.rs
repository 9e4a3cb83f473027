//! What the store costs where it must stay cheap: `cargo bench -p store`. One run, so read differences under 15 % as
//! noise. It takes a minute and 2 GB in the temporary directory.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;
use std::time::{Duration, Instant};

use domain::{AssignmentId, ClientRecord, ClientState, JobRequest, Labels, Limits, Requires, ServiceName, Slots};
use sqlx::{Connection, SqliteConnection};
use store::{NewJob, Store, StoreOptions, WriterTask};
use tokio::task::JoinSet;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(async {
        for waiters in [1, 16, 64] {
            accepts(waiters).await?;
        }
        depth(1_000, "Queued").await?;
        depth(1_000_000, "Queued").await?;
        depth(1_000_000, "Completed").await
    })
}

fn service() -> Outcome<ServiceName> {
    Ok("a".parse()?)
}

async fn open(dir: &Path) -> Outcome<(Store, WriterTask)> {
    Ok(Store::open(StoreOptions { path: dir.join("jobs.sqlite"), readers: 2 }).await?)
}

async fn accepts(waiters: usize) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let (store, task) = open(dir.path()).await?;
    let mut writer = JoinSet::new();
    writer.spawn(task.run());
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for _ in 0..waiters {
        let store = store.clone();
        tasks.spawn(async move {
            let mut latencies = Vec::new();
            while began.elapsed() < Duration::from_secs(4) {
                let asked = Instant::now();
                store.accept(job()?).await?;
                latencies.push(asked.elapsed());
            }
            Outcome::Ok(latencies)
        });
    }
    let mut latencies = tasks.join_all().await.into_iter().collect::<Outcome<Vec<Vec<_>>>>()?.concat();
    let rate = latencies.len() as u128 * 1000 / began.elapsed().as_millis();
    latencies.sort();
    let at = |percent: usize| latencies[latencies.len() * percent / 100];
    println!("accept, {waiters} waiters: {rate}/s, p50 {:?}, p99 {:?}", at(50), at(99));
    store.close().await;
    Ok(())
}

fn job() -> Outcome<NewJob> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    let request = JobRequest {
        user: i64::from(random[0]).try_into()?,
        service: service()?,
        slots: Slots::ONE,
        priority: 0,
        requires: Requires::default(),
        labels: Labels::default(),
        walltime: None,
    };
    let payload = AssignmentId::from_random(random).to_string().parse()?;
    Ok(NewJob { request, payload, payload_bytes: 1000, hand_in: None })
}

/// Opening, and a snapshot of 1,000 users, with so many jobs of one status.
async fn depth(jobs: i64, status: &'static str) -> Outcome<()> {
    let dir = tempfile::tempdir()?;
    let (store, task) = open(dir.path()).await?;
    let mut writer = JoinSet::new();
    writer.spawn(task.run());
    store.close().await;
    writer.join_next().await;
    fill(dir.path(), jobs, status).await?;

    let began = Instant::now();
    let (store, task) = open(dir.path()).await?;
    println!("open with {jobs} {status}: {:?}", began.elapsed());
    writer.spawn(task.run());
    store.configure(BTreeMap::from([(service()?, Limits { runs_per_user: 5, max_runs: 1000 })]));
    for index in 0..10 {
        let record = ClientRecord {
            name: format!("c{index}").parse()?,
            services: [service()?].into(),
            slots: 16,
            labels: Labels::default(),
            state: ClientState::Ready,
        };
        store.put_client(record).await?;
    }
    let mut times: Vec<_> = (0..101)
        .map(|_| {
            let began = Instant::now();
            let snapshot = store.snapshot();
            let took = began.elapsed();
            assert!(snapshot.clients.len() == 10);
            took
        })
        .collect();
    times.sort();
    println!("snapshot with {jobs} {status}: median {:?}", times[50]);
    store.close().await;
    Ok(())
}

async fn fill(dir: &Path, jobs: i64, status: &'static str) -> Outcome<()> {
    let path = dir.join("jobs.sqlite");
    let mut raw = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await?;
    let statement = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
         INSERT INTO jobs (id, user_id, service, slots, requires, priority, labels, status, version, attempt, lost, \
         payload, payload_bytes, created_at, ended_at) \
         SELECT i, i % 1000, 'a', 1, '', 0, '', $2, 1, 0, 0, lower(hex(randomblob(16))), 1000, \
         1790000000000 + i, CASE WHEN $2 = 'Completed' THEN 1790000000000 + i END FROM n";
    sqlx::query(statement).bind(jobs).bind(status).execute(&mut raw).await?;
    raw.close().await?;
    Ok(())
}
