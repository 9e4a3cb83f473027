//! The writer's SQL: a handful of statements a batch, each with all its rows, in the subset that SQLite and
//! PostgreSQL share.

use std::collections::BTreeSet;

use domain::JobId;
use sqlx::query_builder::Separated;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::draft::Plan;
use super::instances::PoolDraft;
use crate::command::{Command, NewJob};
use crate::error::Cause;
use crate::instances::{pool_rows, rows as instances};
use crate::ledger::Change;
use crate::policies::rows as policies;
use crate::row::{HistoryRow, JOB_COLUMNS, JobRow, outcome_of, read_job};

/// Rows in one statement at most; the widest has 17 parameters a row, and SQLite takes 32,766.
const ROWS: usize = 1_000;
/// Statements of so few rows are kept prepared. Longer ones are many different texts, and preparing costs less a row
/// than it does for one.
const KEPT: usize = 16;

/// The jobs that the commands name, by number or by assignment. Those that do not exist are left out.
pub(super) async fn touched_jobs(
    connection: &mut SqliteConnection,
    commands: &[Command],
) -> Result<Vec<JobRow>, Cause> {
    let mut ids = BTreeSet::new();
    let mut assignments = BTreeSet::new();
    let mut hand_ins = BTreeSet::new();
    for command in commands {
        match command {
            Command::Assign(call) => ids.extend(call.request.iter().map(|proposal| proposal.job.0)),
            Command::Kill(call) => {
                ids.insert(call.request.job.0);
            }
            Command::Expire(call) => ids.extend(call.request.iter().map(|job| job.0)),
            Command::Apply(call) => assignments.extend(call.request.iter().map(|report| report.assignment.to_string())),
            Command::Accept(call) => hand_ins.extend(hand_in(&call.request)),
            Command::PutClient(_)
            | Command::Activate(_)
            | Command::Pin(_)
            | Command::Resume(_)
            | Command::Scale(_)
            | Command::Register(_)
            | Command::OrderClient(_)
            | Command::Protect(_)
            | Command::OrderPool(_)
            | Command::KeepUsage(_)
            | Command::Probe(_)
            | Command::Verify(_)
            | Command::Close(_) => {}
        }
    }
    let mut jobs = jobs_where(connection, "jobs.id", ids).await?;
    jobs.extend(jobs_where(connection, "jobs.assignment", assignments).await?);
    jobs.extend(jobs_handed_in(connection, hand_ins).await?);
    Ok(jobs)
}

/// User, service and key of a new job that has one.
type HandInPlace<'a> = (i64, &'a str, &'a str);

fn hand_in(job: &NewJob) -> Option<HandInPlace<'_>> {
    let own = job.hand_in.as_ref()?;
    Some((job.request.user.get(), job.request.service.as_str(), own.key.as_str()))
}

/// The jobs that were handed in under these keys before.
async fn jobs_handed_in(
    connection: &mut SqliteConnection,
    hand_ins: BTreeSet<HandInPlace<'_>>,
) -> Result<Vec<JobRow>, Cause> {
    if hand_ins.is_empty() {
        return Ok(Vec::new());
    }
    let mut query = QueryBuilder::<Sqlite>::new("WITH asked (user_id, service, idempotency_key) AS (");
    query.push_values(&hand_ins, |mut tuple, (user, service, key)| {
        push_integer(&mut tuple, Some(*user));
        tuple.push_bind(service.to_string()).push_bind(key.to_string());
    });
    query.push(") SELECT ").push(JOB_COLUMNS).push(
        " FROM asked JOIN jobs ON jobs.user_id = asked.user_id AND jobs.service = asked.service \
         AND jobs.idempotency_key = asked.idempotency_key",
    );
    let rows = query.build().persistent(hand_ins.len() <= KEPT).fetch_all(connection).await?;
    rows.iter().map(read_job).collect()
}

/// Jobs whose `column` is one of `values`, which are all different.
pub(crate) async fn jobs_where<T>(
    connection: &mut SqliteConnection,
    column: &'static str,
    values: impl IntoIterator<Item = T>,
) -> Result<Vec<JobRow>, Cause>
where
    T: for<'q> sqlx::Encode<'q, Sqlite> + sqlx::Type<Sqlite>,
{
    let mut values = values.into_iter().peekable();
    let mut jobs = Vec::new();
    while values.peek().is_some() {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(JOB_COLUMNS).push(" FROM jobs WHERE ").push(column).push(" IN (");
        let mut list = query.separated(", ");
        let mut rows = 0;
        for value in values.by_ref().take(ROWS) {
            list.push_bind(value);
            rows += 1;
        }
        query.push(")");
        for row in query.build().persistent(rows <= KEPT).fetch_all(&mut *connection).await? {
            jobs.push(read_job(&row)?);
        }
    }
    Ok(jobs)
}

pub(super) async fn write(connection: &mut SqliteConnection, plan: &Plan) -> Result<(), Cause> {
    let (accepted, moved): (Vec<_>, Vec<_>) = plan.changes.iter().partition(|change| change.before.is_none());
    for rows in accepted.chunks(ROWS) {
        insert_jobs(connection, rows).await?;
    }
    for rows in moved.chunks(ROWS) {
        update_jobs(connection, rows).await?;
    }
    for rows in plan.history.chunks(ROWS) {
        insert_history(connection, rows).await?;
    }
    for rows in plan.clients.chunks(ROWS) {
        put_clients(connection, rows).await?;
    }
    for rows in plan.policies.activations.chunks(ROWS) {
        policies::insert_activations(connection, rows).await?;
    }
    for scope in &plan.policies.pins {
        policies::put_pin(connection, scope, plan.policies.in_force.pins().get(scope)).await?;
    }
    write_pools(connection, &plan.pools).await
}

async fn write_pools(connection: &mut SqliteConnection, draft: &PoolDraft) -> Result<(), Cause> {
    let (made, changed): (Vec<_>, Vec<_>) = draft.rows.values().partition(|row| row.before.is_none());
    for rows in made.chunks(ROWS) {
        instances::insert(connection, rows).await?;
    }
    for rows in changed.chunks(ROWS) {
        instances::update(connection, rows).await?;
    }
    let pools = &draft.pools;
    let learnt: Vec<_> = draft.learnt.iter().filter_map(|pool| Some((pool, pools.learnt.get(pool)?))).collect();
    for rows in learnt.chunks(ROWS) {
        pool_rows::put_learnt(connection, rows).await?;
    }
    for client in &draft.orders {
        pool_rows::put_order(connection, client, pools.order(client)).await?;
    }
    for rows in draft.decisions.chunks(ROWS) {
        pool_rows::insert_decisions(connection, rows).await?;
    }
    Ok(())
}

async fn insert_jobs(connection: &mut SqliteConnection, accepted: &[&Change]) -> Result<(), Cause> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO jobs (id, user_id, service, slots, requires, priority, labels, status, version, attempt, lost, \
         payload, payload_bytes, created_at, walltime_seconds, idempotency_key, content_digest) ",
    );
    query.push_values(accepted, |mut tuple, change| {
        let row = &change.now;
        let request = &row.request;
        tuple.push_bind(row.id.0).push_bind(request.user.get()).push_bind(request.service.to_string());
        tuple.push_bind(request.slots.get()).push_bind(request.requires.to_string()).push_bind(request.priority);
        tuple.push_bind(request.labels.to_string()).push_bind(row.status().as_str()).push_bind(row.version);
        tuple.push_bind(row.progress.attempt).push_bind(row.progress.lost);
        tuple.push_bind(row.payload.to_string()).push_bind(bytes(row.payload_bytes)).push_bind(row.created_at.0);
        tuple.push_bind(request.walltime.map(domain::Walltime::seconds));
        tuple.push_bind(row.hand_in.as_ref().map(|hand_in| hand_in.key.to_string()));
        tuple.push_bind(row.hand_in.as_ref().map(|hand_in| hand_in.digest.to_string()));
    });
    query.build().persistent(accepted.len() <= KEPT).execute(&mut *connection).await?;
    Ok(())
}

/// Compare-and-set on the version. That a row is not as it was read is impossible within the transaction; should it
/// happen, somebody else writes to this database, and nothing of the batch may stand.
async fn update_jobs(connection: &mut SqliteConnection, moved: &[&Change]) -> Result<(), Cause> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH new (id, old_version, version, status, attempt, lost, kill_at, kill_by, assignment, client, \
         client_number, last_client, outcome, result_bytes, ended_at) AS (",
    );
    query.push_values(moved, |mut tuple, change| push_new(&mut tuple, change));
    query.push(
        ") UPDATE jobs SET version = new.version, status = new.status, attempt = new.attempt, lost = new.lost, \
         kill_requested_at = new.kill_at, kill_requested_by = new.kill_by, assignment = new.assignment, \
         client = new.client, client_number = new.client_number, last_client = new.last_client, outcome = new.outcome, \
         result_bytes = new.result_bytes, ended_at = new.ended_at \
         FROM new WHERE jobs.id = new.id AND jobs.version = new.old_version RETURNING jobs.id",
    );
    let rows = query.build().persistent(moved.len() <= KEPT).fetch_all(&mut *connection).await?;
    if rows.len() == moved.len() {
        return Ok(());
    }
    let written = rows.iter().map(|row| row.try_get(0).map(JobId)).collect::<Result<BTreeSet<_>, _>>()?;
    let lost = moved.iter().find(|change| !written.contains(&change.now.id));
    Err(Cause::damaged(
        &lost.map_or_else(|| "a job".to_owned(), |change| format!("job {}", change.now.id)),
        &"a version that changed under the writer",
    ))
}

fn push_new(tuple: &mut Separated<'_, Sqlite, &'static str>, change: &Change) {
    let row = &change.now;
    let old_version = change.before.as_ref().map_or(0, |before| before.version);
    tuple.push("CAST(").push_bind_unseparated(row.id.0).push_unseparated(" AS BIGINT)");
    push_integer(tuple, Some(i64::from(old_version)));
    push_integer(tuple, Some(i64::from(row.version)));
    tuple.push_bind(row.status().as_str());
    push_integer(tuple, Some(i64::from(row.progress.attempt)));
    push_integer(tuple, Some(i64::from(row.progress.lost)));
    push_integer(tuple, row.kill.as_ref().map(|kill| kill.at.0));
    tuple.push_bind(row.kill.as_ref().map(|kill| kill.by.clone()));
    tuple.push_bind(row.placement.as_ref().map(|placement| placement.assignment.to_string()));
    tuple.push_bind(row.placement.as_ref().map(|placement| placement.client.to_string()));
    push_integer(tuple, row.client_number);
    tuple.push_bind(row.last_client.as_ref().map(ToString::to_string));
    tuple.push_bind(outcome_of(&row.progress.state));
    push_integer(tuple, row.result_bytes.map(bytes));
    push_integer(tuple, row.ended_at.map(|at| at.0));
}

/// In a list of VALUES PostgreSQL takes a parameter for text unless told otherwise.
fn push_integer(tuple: &mut Separated<'_, Sqlite, &'static str>, value: Option<i64>) {
    tuple.push("CAST(").push_bind_unseparated(value).push_unseparated(" AS BIGINT)");
}

async fn insert_history(connection: &mut SqliteConnection, history: &[HistoryRow]) -> Result<(), Cause> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO history (job, seq, at, from_status, to_status, attempt, client, code, reason, placed_by) ",
    );
    query.push_values(history, |mut tuple, row| {
        tuple
            .push_bind(row.job.0)
            .push_bind(row.seq)
            .push_bind(row.at.0)
            .push_bind(row.from.map(domain::Status::as_str));
        tuple.push_bind(row.to.as_str()).push_bind(row.attempt);
        tuple.push_bind(row.client.as_ref().map(ToString::to_string));
        let reason = row.reason.as_ref();
        tuple.push_bind(reason.map(|told| told.code.clone())).push_bind(reason.map(|told| told.text.clone()));
        tuple.push_bind(row.placed_by.as_ref().and_then(|by| serde_json::to_string(by).ok()));
    });
    query.build().persistent(history.len() <= KEPT).execute(&mut *connection).await?;
    Ok(())
}

async fn put_clients(connection: &mut SqliteConnection, clients: &[domain::ClientRecord]) -> Result<(), Cause> {
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO clients (name, services, slots, labels, state) ");
    query.push_values(clients, |mut tuple, client| {
        let services = client.services.iter().map(domain::ServiceName::as_str).collect::<serde_json::Value>();
        tuple.push_bind(client.name.to_string()).push_bind(services.to_string()).push_bind(client.slots);
        tuple.push_bind(client.labels.to_string()).push_bind(client.state.as_str());
    });
    query.push(
        " ON CONFLICT (name) DO UPDATE SET services = excluded.services, slots = excluded.slots, \
         labels = excluded.labels, state = excluded.state",
    );
    query.build().persistent(clients.len() <= KEPT).execute(&mut *connection).await?;
    Ok(())
}

/// SQL has no unsigned integers; no file has 2⁶³ bytes.
fn bytes(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}
