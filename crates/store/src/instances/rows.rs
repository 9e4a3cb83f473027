//! The rows of instances.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use domain::pool::{Instance, InstanceId, InstanceState, Moment};
use serde::Serialize;
use sqlx::query_builder::Separated;
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{InstanceRow, Registrant};
use crate::error::Cause;
use crate::row::Columns;

/// What the columns `launch` and `state` are.
pub(crate) const FORMAT: i64 = 1;

/// What [`read`] expects, in its order.
pub(crate) const COLUMNS: &str = "instances.id, instances.pool, instances.provider, instances.format, instances.launch, \
     instances.requested_at, instances.launched_at, instances.protected, instances.status, instances.state, \
     instances.client, instances.client_key, instances.client_url, instances.version";

/// A row that a transaction makes or changes.
#[derive(Debug, Clone)]
pub(crate) struct Changed {
    /// The version that is in the database; `None` for a new one.
    pub(crate) before: Option<u32>,
    pub(crate) now: Arc<InstanceRow>,
    /// Of a new one.
    pub(crate) parameters: Vec<u8>,
}

/// Those that are not gone. The condition is, word for word, that of the index `instances_live`.
pub(crate) async fn live(connection: &mut SqliteConnection) -> Result<BTreeMap<InstanceId, Arc<InstanceRow>>, Cause> {
    let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS} FROM instances WHERE status <> 'gone'"));
    let rows = sqlx::query(query).fetch_all(connection).await?;
    rows.iter().map(|row| read(row).map(|row| (row.id(), Arc::new(row)))).collect()
}

pub(crate) fn read(row: &SqliteRow) -> Result<InstanceRow, Cause> {
    let id = InstanceId(row.try_get(0)?);
    let mut columns = Columns::of(row, format!("instance {id}"));
    let _id: i64 = columns.raw()?;
    let pool = columns.parsed()?;
    let provider = columns.parsed()?;
    let format = columns.raw::<i64>()?;
    if format != FORMAT {
        return Err(columns.damaged(&format_args!("format {format}")));
    }
    let launch = columns.json()?;
    let requested_at = Moment(columns.number()?);
    let launched_at = columns.optional_number()?.map(Moment);
    let protected = columns.raw::<i64>()? != 0;
    let status = columns.raw::<String>()?;
    let state: InstanceState = columns.json()?;
    if state.as_str() != status {
        return Err(columns.damaged(&format_args!("the status {status} and the state {}", state.as_str())));
    }
    let client = match (columns.optional_parsed()?, columns.optional_parsed()?, columns.raw::<Option<String>>()?) {
        (Some(name), Some(key), Some(url)) => Some(Registrant { name, key, url }),
        (None, None, None) => None,
        _ => return Err(columns.damaged(&"half a client")),
    };
    let version = columns.number()?;
    let instance = Instance { id, pool, launch, requested_at, launched_at, protected, state };
    Ok(InstanceRow { instance, provider, version, client })
}

pub(crate) async fn insert(connection: &mut SqliteConnection, rows: &[&Changed]) -> Result<(), Cause> {
    let launches = rows.iter().map(|row| json(&row.now, &row.now.instance.launch)).collect::<Result<Vec<_>, _>>()?;
    let states = rows.iter().map(|row| json(&row.now, &row.now.instance.state)).collect::<Result<Vec<_>, _>>()?;
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO instances (id, pool, provider, format, launch, parameters, requested_at, launched_at, protected, \
         status, state, gone_at, client, client_key, client_url, version) ",
    );
    query.push_values(rows.iter().zip(launches).zip(states), |mut tuple, ((row, launch), state)| {
        let (instance, provider) = (&row.now.instance, &row.now.provider);
        tuple.push_bind(instance.id.0).push_bind(instance.pool.to_string()).push_bind(provider.to_string());
        tuple.push_bind(FORMAT).push_bind(launch).push_bind(parameters(row));
        tuple.push_bind(millis(instance.requested_at)).push_bind(instance.launched_at.map(millis));
        tuple.push_bind(i64::from(instance.protected)).push_bind(instance.state.as_str()).push_bind(state);
        tuple.push_bind(gone_at(&instance.state)).push_bind(client(&row.now)).push_bind(client_key(&row.now));
        tuple.push_bind(client_url(&row.now)).push_bind(row.now.version);
    });
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}

/// Compare-and-set on the version. That a row is not as it was read is impossible within the transaction; should it
/// happen, somebody else writes to this database, and nothing of the batch may stand.
pub(crate) async fn update(connection: &mut SqliteConnection, rows: &[&Changed]) -> Result<(), Cause> {
    let states = rows.iter().map(|row| json(&row.now, &row.now.instance.state)).collect::<Result<Vec<_>, _>>()?;
    let mut query = QueryBuilder::<Sqlite>::new(
        "WITH new (id, old_version, version, launched_at, protected, status, state, gone_at, client, client_key, \
         client_url) AS (",
    );
    query.push_values(rows.iter().zip(states), |mut tuple, (row, state)| {
        let instance = &row.now.instance;
        push_integer(&mut tuple, Some(instance.id.0));
        push_integer(&mut tuple, row.before.map(i64::from));
        push_integer(&mut tuple, Some(i64::from(row.now.version)));
        push_integer(&mut tuple, instance.launched_at.map(millis));
        push_integer(&mut tuple, Some(i64::from(instance.protected)));
        tuple.push_bind(instance.state.as_str()).push_bind(state);
        push_integer(&mut tuple, gone_at(&instance.state));
        tuple.push_bind(client(&row.now)).push_bind(client_key(&row.now)).push_bind(client_url(&row.now));
    });
    // A call is repeated only while nothing is known of it, and nothing returns to that.
    query.push(
        ") UPDATE instances SET version = new.version, launched_at = new.launched_at, protected = new.protected, \
         status = new.status, state = new.state, gone_at = new.gone_at, client = new.client, \
         client_key = new.client_key, client_url = new.client_url, \
         parameters = CASE WHEN new.status = 'requested' THEN instances.parameters ELSE NULL END \
         FROM new WHERE instances.id = new.id AND instances.version = new.old_version RETURNING instances.id",
    );
    let written = query.build().persistent(false).fetch_all(connection).await?;
    if written.len() == rows.len() {
        return Ok(());
    }
    let written = written.iter().map(|row| row.try_get(0).map(InstanceId)).collect::<Result<BTreeSet<_>, _>>()?;
    let lost = rows.iter().find(|row| !written.contains(&row.now.id()));
    let subject = lost.map_or_else(|| "an instance".to_owned(), |row| format!("instance {}", row.now.id()));
    Err(Cause::damaged(&subject, &"a version that changed under the writer"))
}

/// In a list of VALUES PostgreSQL takes a parameter for text unless told otherwise.
pub(super) fn push_integer(tuple: &mut Separated<'_, Sqlite, &'static str>, value: Option<i64>) {
    tuple.push("CAST(").push_bind_unseparated(value).push_unseparated(" AS BIGINT)");
}

fn parameters(row: &Changed) -> Option<Vec<u8>> {
    matches!(row.now.instance.state, InstanceState::Requested { .. }).then(|| row.parameters.clone())
}

fn json(row: &InstanceRow, value: &impl Serialize) -> Result<String, Cause> {
    let unstorable = |error: serde_json::Error| Cause::Unstorable {
        subject: format!("instance {}", row.id()),
        found: error.to_string(),
    };
    serde_json::to_string(value).map_err(unstorable)
}

fn client(row: &InstanceRow) -> Option<String> {
    row.client.as_ref().map(|client| client.name.to_string())
}

fn client_key(row: &InstanceRow) -> Option<String> {
    row.client.as_ref().map(|client| client.key.to_string())
}

fn client_url(row: &InstanceRow) -> Option<String> {
    row.client.as_ref().map(|client| client.url.clone())
}

pub(crate) fn gone_at(state: &InstanceState) -> Option<i64> {
    match state {
        InstanceState::Gone { since, .. } => Some(millis(*since)),
        _ => None,
    }
}

/// SQL has no unsigned integers; the year 292 million is far.
pub(super) fn millis(moment: Moment) -> i64 {
    i64::try_from(moment.0).unwrap_or(i64::MAX)
}
