//! Reads of instances and decisions, on connections of their own.

use domain::pool::{InstanceId, PoolName};
use sqlx::{QueryBuilder, Row, Sqlite};

use super::rows::{COLUMNS, read};
use super::{Decision, InstanceRow, pool_rows};
use crate::Store;
use crate::clock::UnixMillis;
use crate::error::{Cause, StoreError};

/// Which instances a list shows, by their states.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InStates {
    /// All but those that are gone.
    Live,
    /// The stable word of a state.
    Only(String),
}

/// Which instances a list shows: all that pass every filter that is set.
#[derive(Debug, Clone, Default)]
pub struct InstanceFilter {
    pub pool: Option<PoolName>,
    pub states: Option<InStates>,
    /// Only instances with smaller numbers: the last one of the page before.
    pub before: Option<InstanceId>,
}

impl Store {
    /// At most `limit` instances, newest first; those that are gone too.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn instances(&self, filter: &InstanceFilter, limit: u32) -> Result<Vec<InstanceRow>, StoreError> {
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS).push(" FROM instances WHERE instances.id < ");
        query.push_bind(filter.before.map_or(i64::MAX, |instance| instance.0));
        if let Some(pool) = &filter.pool {
            query.push(" AND instances.pool = ").push_bind(pool.to_string());
        }
        match &filter.states {
            // Word for word the condition of the index `instances_live`.
            Some(InStates::Live) => query.push(" AND status <> 'gone'"),
            Some(InStates::Only(state)) => query.push(" AND status = ").push_bind(state.clone()),
            None => &mut query,
        };
        query.push(" ORDER BY instances.id DESC LIMIT ").push_bind(limit);
        let rows = query.build().fetch_all(&self.readers).await;
        let rows = rows.map_err(Cause::from).and_then(|rows| rows.iter().map(read).collect());
        rows.map_err(self.reading("a list of instances"))
    }

    /// All instances that were there at some time since, as since the first of a month, for what they cost; in no order.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn instances_since(&self, since: UnixMillis) -> Result<Vec<InstanceRow>, StoreError> {
        // The conditions are, word for word, those of the indexes `instances_live` and `instances_gone`.
        let query = format!(
            "SELECT {COLUMNS} FROM instances WHERE status <> 'gone' \
             UNION ALL SELECT {COLUMNS} FROM instances WHERE status = 'gone' AND gone_at >= $1"
        );
        let rows = sqlx::query(sqlx::AssertSqlSafe(query)).bind(since.0).fetch_all(&self.readers).await;
        let rows = rows.map_err(Cause::from).and_then(|rows| rows.iter().map(read).collect());
        rows.map_err(self.reading("the instances of a time"))
    }

    /// What an instance's launch call has to repeat byte for byte; `None` once it is not repeated any more.
    ///
    /// # Errors
    /// The database cannot be read.
    pub async fn launch_parameters(&self, instance: InstanceId) -> Result<Option<Vec<u8>>, StoreError> {
        let query = sqlx::query("SELECT parameters FROM instances WHERE id = $1").bind(instance.0);
        let row = query.fetch_optional(&self.readers).await.map_err(Cause::from);
        let parameters = row.and_then(|row| match row {
            Some(row) => row.try_get(0).map_err(Cause::from),
            None => Ok(None),
        });
        parameters.map_err(self.reading("the parameters of a launch"))
    }

    /// At most `limit` decisions in the log, of one pool or of all, before the one with the number `before`; the last one
    /// first.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn scaling_decisions(
        &self,
        pool: Option<&PoolName>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Decision>, StoreError> {
        let mut connection = self.reader("the log of scaling").await?;
        let decisions = pool_rows::decisions(&mut connection, pool, before, limit).await;
        decisions.map_err(self.reading("the log of scaling"))
    }
}
