//! The rows of activations and pins.

use std::collections::BTreeMap;

use domain::ServiceName;
use domain::policy::{Settings, Value};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::{Activation, Chosen, Pin, PoliciesInForce, Scope};
use crate::error::Cause;
use crate::row::Columns;

/// What [`read_activation`] expects, in its order.
const COLUMNS: &str = "a.kind, a.service, a.generation, a.name, a.digest, a.settings, a.by_whom, a.source, a.at";

/// The last row of each scope.
const IN_FORCE: &str = " FROM (SELECT kind, service, MAX(generation) AS generation FROM policy_activations \
     GROUP BY kind, service) AS last JOIN policy_activations AS a \
     ON a.kind = last.kind AND a.service = last.service AND a.generation = last.generation";

pub(crate) async fn load(connection: &mut SqliteConnection) -> Result<PoliciesInForce, Cause> {
    let mut in_force = PoliciesInForce::default();
    let query = sqlx::AssertSqlSafe(format!("SELECT {COLUMNS}{IN_FORCE}"));
    for row in sqlx::query(query).fetch_all(&mut *connection).await? {
        let row = read_activation(&row)?;
        in_force.generation = in_force.generation.max(row.generation);
        in_force.last.insert(row.scope.clone(), row);
    }
    let query = "SELECT kind, service, digest, fault, since FROM policy_pins";
    let pins = sqlx::query(query).fetch_all(&mut *connection).await?;
    in_force.pins = pins.iter().map(read_pin).collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(in_force)
}

/// The rows of the last `requests` requests before the generation `before`, the last request first.
pub(crate) async fn log(
    connection: &mut SqliteConnection,
    requests: u32,
    before: Option<u64>,
) -> Result<Vec<Activation>, Cause> {
    let last: i64 = sqlx::query_scalar("SELECT COALESCE(MAX(generation), 0) FROM policy_activations")
        .fetch_one(&mut *connection)
        .await?;
    // Generations have no gaps.
    let before = before.map_or(i64::MAX, integer).min(last.saturating_add(1));
    let query = format!(
        "SELECT {COLUMNS} FROM policy_activations AS a WHERE a.generation >= $1 AND a.generation < $2 \
         ORDER BY a.generation DESC, a.kind, a.service"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(before.saturating_sub(requests.into())).bind(before);
    query.fetch_all(connection).await?.iter().map(read_activation).collect()
}

fn read_scope(columns: &mut Columns<'_>) -> Result<Scope, Cause> {
    let kind = columns.parsed()?;
    let service = columns.raw::<String>()?;
    let service = Some(service).filter(|service| !service.is_empty()).map(|service| service.parse::<ServiceName>());
    let service = service.transpose().map_err(|error| columns.damaged(&error))?;
    Ok(Scope { kind, service })
}

fn subject(of: &str, row: &SqliteRow) -> Result<String, Cause> {
    let (kind, service): (String, String) = (row.try_get(0)?, row.try_get(1)?);
    Ok(format!("{of} for {kind} of `{service}`"))
}

fn read_activation(row: &SqliteRow) -> Result<Activation, Cause> {
    let mut columns = Columns::of(row, subject("the policy", row)?);
    let scope = read_scope(&mut columns)?;
    let generation = columns.number()?;
    let settings = |text: &str| serde_json::from_str::<Settings>(text);
    let chosen = match (columns.optional_parsed()?, columns.optional_parsed()?, columns.raw::<Option<String>>()?) {
        (Some(name), Some(digest), Some(text)) => {
            Some(Chosen { name, digest, settings: settings(&text).map_err(|error| columns.damaged(&error))? })
        }
        (None, None, None) => None,
        _ => return Err(columns.damaged(&"half a choice")),
    };
    let by = columns.raw()?;
    let source = columns.parsed()?;
    Ok(Activation { generation, scope, chosen, by, source, at: columns.time()? })
}

fn read_pin(row: &SqliteRow) -> Result<(Scope, Pin), Cause> {
    let mut columns = Columns::of(row, subject("the pin", row)?);
    let scope = read_scope(&mut columns)?;
    Ok((scope, Pin { digest: columns.parsed()?, fault: columns.raw()?, since: columns.time()? }))
}

pub(crate) async fn insert_activations(connection: &mut SqliteConnection, rows: &[Activation]) -> Result<(), Cause> {
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO policy_activations (generation, kind, service, name, digest, settings, by_whom, source, at) ",
    );
    let settings = rows.iter().map(|row| row.chosen.as_ref().map(|chosen| text_of(&chosen.settings)).transpose());
    let settings = settings.collect::<Result<Vec<_>, _>>()?;
    query.push_values(rows.iter().zip(settings), |mut tuple, (row, settings)| {
        let chosen = row.chosen.as_ref();
        tuple.push_bind(integer(row.generation)).push_bind(row.scope.kind.as_str()).push_bind(service_of(&row.scope));
        tuple.push_bind(chosen.map(|chosen| chosen.name.to_string()));
        tuple.push_bind(chosen.map(|chosen| chosen.digest.to_string())).push_bind(settings);
        tuple.push_bind(row.by.clone()).push_bind(row.source.as_str()).push_bind(row.at.0);
    });
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}

/// Makes the pin of a scope what it is now. There are few, and seldom.
pub(crate) async fn put_pin(connection: &mut SqliteConnection, scope: &Scope, pin: Option<&Pin>) -> Result<(), Cause> {
    sqlx::query("DELETE FROM policy_pins WHERE kind = $1 AND service = $2")
        .bind(scope.kind.as_str())
        .bind(service_of(scope))
        .execute(&mut *connection)
        .await?;
    let Some(pin) = pin else { return Ok(()) };
    sqlx::query("INSERT INTO policy_pins (kind, service, digest, fault, since) VALUES ($1, $2, $3, $4, $5)")
        .bind(scope.kind.as_str())
        .bind(service_of(scope))
        .bind(pin.digest.to_string())
        .bind(&pin.fault)
        .bind(pin.since.0)
        .execute(connection)
        .await?;
    Ok(())
}

/// JSON has no infinity and no NaN: what is written has to be readable at the next start.
fn text_of(settings: &Settings) -> Result<String, Cause> {
    let unreadable = settings.0.iter().find(|(_, value)| matches!(value, Value::Number(number) if !number.is_finite()));
    if let Some((name, value)) = unreadable {
        return Err(Cause::Unstorable { subject: format!("the setting `{name}`"), found: value.to_string() });
    }
    let text = serde_json::to_string(settings);
    text.map_err(|error| Cause::Unstorable { subject: "a policy's settings".to_owned(), found: error.to_string() })
}

fn service_of(scope: &Scope) -> String {
    scope.service.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// SQL has no unsigned integers; 2⁶³ activations do not happen.
fn integer(generation: u64) -> i64 {
    i64::try_from(generation).unwrap_or(i64::MAX)
}
