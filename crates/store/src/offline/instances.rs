//! The rows of instances and pools without a server: what is wrong with them, and what a restore makes of them.

use std::sync::Arc;

use domain::pool::instance::Call;
use domain::pool::{Instance, InstanceId, InstanceState};
use sqlx::{Row, SqliteConnection};

use super::Inspection;
use crate::clock::UnixMillis;
use crate::error::{Cause, StoreError};
use crate::instances::rows::{self, Changed};
use crate::instances::{InstanceRow, pool_rows};

/// Rows read or written at once.
const BATCH: u16 = 1_000;

impl Inspection {
    /// What is wrong with the rows of instances, pools and orders, each in words; empty if all is well.
    ///
    /// # Errors
    /// They cannot be read at all.
    pub async fn instance_faults(&mut self) -> Result<Vec<String>, StoreError> {
        self.find_instance_faults().await.map_err(Self::failed("instances"))
    }

    async fn find_instance_faults(&mut self) -> Result<Vec<String>, Cause> {
        let query = format!(
            "SELECT {}, instances.gone_at FROM instances WHERE instances.id > $1 ORDER BY instances.id LIMIT $2",
            rows::COLUMNS
        );
        let mut faults = Vec::new();
        let mut after = InstanceId(0);
        loop {
            let query = sqlx::query(sqlx::AssertSqlSafe(query.clone())).bind(after.0).bind(BATCH);
            let found = query.fetch_all(&mut self.connection).await?;
            let Some(last) = found.last() else { break };
            after = InstanceId(last.try_get(0)?);
            for row in &found {
                match rows::read(row) {
                    Ok(instance) => faults.extend(contradiction(&instance, row.try_get("gone_at")?)),
                    Err(cause) => faults.push(cause.to_string()),
                }
            }
        }
        // Of an instance that makes no sense it was told already.
        if faults.is_empty() {
            faults.extend(pool_rows::load(&mut self.connection).await.err().map(|cause| cause.to_string()));
        }
        Ok(faults)
    }
}

fn contradiction(row: &InstanceRow, gone_at: Option<i64>) -> Option<String> {
    let (id, state) = (row.id(), &row.instance.state);
    if gone_at != rows::gone_at(state) {
        return Some(format!("instance {id} is {} and the time of its end says otherwise", state.as_str()));
    }
    let registered = row.client.as_ref().map(|client| &client.name);
    let is_foreign = state.client().is_some_and(|client| Some(client) != registered);
    is_foreign.then(|| format!("instance {id} has a client that did not register"))
}

/// What the former server asked its provider for after the backup, or what it heard, nobody knows. A call is not made
/// again: the token would be another, and would make another instance. What there is of it is found by its tag, as after a
/// token that was used; what is not found is given up.
pub(super) async fn forget_open_calls(connection: &mut SqliteConnection) -> Result<(), Cause> {
    let state = InstanceState::Requested { call: Call::Taken { since: UnixMillis::wall().moment() } };
    let live = rows::live(&mut *connection).await?.into_values();
    let taken: Vec<Changed> = live
        .filter(|row| matches!(row.instance.state, InstanceState::Requested { .. }))
        .map(|row| {
            let instance = Instance { state: state.clone(), ..row.instance.clone() };
            let now = InstanceRow { instance, version: row.version + 1, ..row.as_ref().clone() };
            Changed { before: Some(row.version), now: Arc::new(now), parameters: Vec::new() }
        })
        .collect();
    for rows in taken.iter().collect::<Vec<_>>().chunks(BATCH.into()) {
        rows::update(connection, rows).await?;
    }
    Ok(())
}
