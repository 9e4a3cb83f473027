//! The rows of what pools learnt, of operators' orders and of decisions.

use std::collections::BTreeMap;

use domain::ClientName;
use domain::pool::{Learnt, PoolName};
use sqlx::sqlite::SqliteRow;
use sqlx::{QueryBuilder, Row, Sqlite, SqliteConnection};

use super::decision::KEPT;
use super::{Decision, DrainOrder, Numbers, Pools, rows};
use crate::error::Cause;
use crate::row::Columns;

/// What the column `learnt` is.
const LEARNT_FORMAT: i64 = 1;
/// What the column `told` is.
const TOLD_FORMAT: i64 = 1;

/// What [`read_decision`] expects, in its order.
const DECISION: &str = "d.id, d.pool, d.at, d.demand, d.waiting, d.free_slots, d.booting, d.live, d.format, d.told";

/// All that is kept in memory, in four statements.
pub(crate) async fn load(connection: &mut SqliteConnection) -> Result<Pools, Cause> {
    let live = rows::live(&mut *connection).await?;
    let clients = live.values().filter_map(|row| Some((row.client.as_ref()?.name.clone(), row.id())));
    let clients = clients.collect();
    let learnt = sqlx::query("SELECT pool, format, learnt FROM pool_learnt").fetch_all(&mut *connection).await?;
    let learnt = learnt.iter().map(read_learnt).collect::<Result<_, _>>()?;
    let orders = "SELECT client, drained_by, since, deadline FROM client_orders";
    let orders = sqlx::query(orders).fetch_all(&mut *connection).await?;
    let orders = orders.iter().map(read_order).collect::<Result<_, _>>()?;
    let last = format!(
        "SELECT {DECISION} FROM (SELECT MAX(id) AS id FROM scaling_decisions GROUP BY pool) AS last \
         JOIN scaling_decisions AS d ON d.id = last.id"
    );
    let last = sqlx::query(sqlx::AssertSqlSafe(last)).fetch_all(connection).await?;
    let decisions = last.iter().map(|row| read_decision(row).map(|decision| (decision.pool.clone(), decision)));
    let decisions = decisions.collect::<Result<BTreeMap<_, _>, _>>()?;
    Ok(Pools { live, clients, learnt, orders, decisions })
}

fn read_learnt(row: &SqliteRow) -> Result<(PoolName, Learnt), Cause> {
    let mut columns = Columns::of(row, format!("what the pool {} learnt", row.try_get::<String, _>(0)?));
    let pool = columns.parsed()?;
    let format = columns.raw::<i64>()?;
    if format != LEARNT_FORMAT {
        return Err(columns.damaged(&format_args!("format {format}")));
    }
    Ok((pool, columns.json()?))
}

fn read_order(row: &SqliteRow) -> Result<(ClientName, DrainOrder), Cause> {
    let mut columns = Columns::of(row, format!("the order about client {}", row.try_get::<String, _>(0)?));
    let client = columns.parsed()?;
    Ok((client, DrainOrder { by: columns.raw()?, since: columns.time()?, deadline: columns.optional_time()? }))
}

fn read_decision(row: &SqliteRow) -> Result<Decision, Cause> {
    let id: i64 = row.try_get(0)?;
    let mut columns = Columns::of(row, format!("scaling decision {id}"));
    let _id: i64 = columns.raw()?;
    let pool = columns.parsed()?;
    let at = columns.time()?;
    let numbers = Numbers {
        demand: columns.number()?,
        waiting: columns.number()?,
        free_slots: columns.number()?,
        booting: columns.number()?,
        live: columns.number()?,
    };
    let format = columns.raw::<i64>()?;
    if format != TOLD_FORMAT {
        return Err(columns.damaged(&format_args!("format {format}")));
    }
    Ok(Decision { id, pool, at, numbers, told: columns.json()? })
}

/// At most `limit` decisions, of one pool or of all, before the one with the number `before`; the last one first.
pub(super) async fn decisions(
    connection: &mut SqliteConnection,
    pool: Option<&PoolName>,
    before: Option<i64>,
    limit: u32,
) -> Result<Vec<Decision>, Cause> {
    let query = format!(
        "SELECT {DECISION} FROM scaling_decisions AS d WHERE d.id < $1 AND ($2 IS NULL OR d.pool = $2) \
         ORDER BY d.id DESC LIMIT $3"
    );
    let query = sqlx::query(sqlx::AssertSqlSafe(query)).bind(before.unwrap_or(i64::MAX));
    let rows = query.bind(pool.map(ToString::to_string)).bind(limit).fetch_all(connection).await?;
    rows.iter().map(read_decision).collect()
}

pub(crate) async fn put_learnt(
    connection: &mut SqliteConnection,
    learnt: &[(&PoolName, &Learnt)],
) -> Result<(), Cause> {
    let text = |(pool, learnt): &(&PoolName, &Learnt)| {
        let unstorable = |error: serde_json::Error| Cause::Unstorable {
            subject: format!("what the pool {pool} learnt"),
            found: error.to_string(),
        };
        serde_json::to_string(learnt).map_err(unstorable)
    };
    let texts = learnt.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut query = QueryBuilder::<Sqlite>::new("INSERT INTO pool_learnt (pool, format, learnt) ");
    query.push_values(learnt.iter().zip(texts), |mut tuple, ((pool, _), text)| {
        tuple.push_bind(pool.to_string()).push_bind(LEARNT_FORMAT).push_bind(text);
    });
    query.push(" ON CONFLICT (pool) DO UPDATE SET format = excluded.format, learnt = excluded.learnt");
    query.build().persistent(false).execute(connection).await?;
    Ok(())
}

/// Makes the order about a client what it is now. There are few, and seldom.
pub(crate) async fn put_order(
    connection: &mut SqliteConnection,
    client: &ClientName,
    order: Option<&DrainOrder>,
) -> Result<(), Cause> {
    let deleted = sqlx::query("DELETE FROM client_orders WHERE client = $1").bind(client.to_string());
    deleted.execute(&mut *connection).await?;
    let Some(order) = order else { return Ok(()) };
    sqlx::query("INSERT INTO client_orders (client, drained_by, since, deadline) VALUES ($1, $2, $3, $4)")
        .bind(client.to_string())
        .bind(&order.by)
        .bind(order.since.0)
        .bind(order.deadline.map(|deadline| deadline.0))
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes decisions and forgets what is too long ago of their pools.
pub(crate) async fn insert_decisions(connection: &mut SqliteConnection, decisions: &[Decision]) -> Result<(), Cause> {
    let text = |decision: &Decision| {
        let unstorable = |error: serde_json::Error| Cause::Unstorable {
            subject: format!("scaling decision {}", decision.id),
            found: error.to_string(),
        };
        serde_json::to_string(&decision.told).map_err(unstorable)
    };
    let texts = decisions.iter().map(text).collect::<Result<Vec<_>, _>>()?;
    let mut query = QueryBuilder::<Sqlite>::new(
        "INSERT INTO scaling_decisions (id, pool, at, demand, waiting, free_slots, booting, live, format, told) ",
    );
    query.push_values(decisions.iter().zip(texts), |mut tuple, (decision, text)| {
        let numbers = &decision.numbers;
        tuple.push_bind(decision.id).push_bind(decision.pool.to_string()).push_bind(decision.at.0);
        tuple.push_bind(numbers.demand).push_bind(i64::try_from(numbers.waiting).unwrap_or(i64::MAX));
        tuple.push_bind(numbers.free_slots).push_bind(numbers.booting).push_bind(numbers.live);
        tuple.push_bind(TOLD_FORMAT).push_bind(text);
    });
    query.build().persistent(false).execute(&mut *connection).await?;
    for decision in decisions {
        sqlx::query(
            "DELETE FROM scaling_decisions WHERE pool = $1 AND id <= (SELECT id FROM scaling_decisions \
             WHERE pool = $1 ORDER BY id DESC LIMIT 1 OFFSET $2)",
        )
        .bind(decision.pool.to_string())
        .bind(KEPT)
        .execute(&mut *connection)
        .await?;
    }
    Ok(())
}
