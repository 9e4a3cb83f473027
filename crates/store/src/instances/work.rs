//! Who had the use of clients: what an instance cost is divided by it.

use std::time::Duration;

use domain::ClientName;
use domain::pool::cost::Work;
use sqlx::{QueryBuilder, Sqlite};

use super::rows::push_integer;
use crate::Store;
use crate::clock::UnixMillis;
use crate::error::{Cause, StoreError};
use crate::row::Columns;

/// Stays asked for in one statement.
const STAYS: usize = 1_000;

/// A client from one moment to another, as from the launch of its instance to its end. What ran there under the same name
/// before it is another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stay {
    pub client: ClientName,
    pub from: UnixMillis,
    pub until: UnixMillis,
}

/// Of each attempt that began during a stay what of it is in the clipped stay, together for each user, service and number
/// of slots; one that goes on lasts until the end of it. The conditions on `given` are those of the index
/// `history_placed`.
const WORK: &str = ", work (stay, service, user_id, slots, since, until) AS (\
     SELECT stays.stay, jobs.service, jobs.user_id, jobs.slots, \
     CASE WHEN given.at > stays.since THEN given.at ELSE stays.since END, \
     CASE WHEN ended.at < stays.until THEN ended.at ELSE stays.until END \
     FROM stays JOIN history AS given ON given.client = stays.client \
     AND given.at >= stays.began AND given.at < stays.until \
     AND given.from_status = 'Queued' AND given.to_status = 'Processing' \
     JOIN jobs ON jobs.id = given.job \
     LEFT JOIN history AS ended ON ended.job = given.job AND ended.attempt = given.attempt \
     AND ended.from_status IN ('Processing', 'Submitted', 'Running', 'Unknown') \
     AND ended.to_status NOT IN ('Processing', 'Submitted', 'Running', 'Unknown')) \
     SELECT stay, service, user_id, slots, CAST(SUM(until - since) AS BIGINT) FROM work \
     WHERE since < until GROUP BY stay, service, user_id, slots ORDER BY stay, service, user_id, slots";

impl Store {
    /// What was done during each stay between two moments, in the order of the stays. Costs the attempts that began
    /// during them.
    ///
    /// # Errors
    /// The database cannot be read, or a row makes no sense.
    pub async fn work(
        &self,
        stays: &[Stay],
        from: UnixMillis,
        until: UnixMillis,
    ) -> Result<Vec<Vec<Work>>, StoreError> {
        let mut all = Vec::with_capacity(stays.len());
        for stays in stays.chunks(STAYS) {
            all.extend(self.work_of(stays, from, until).await.map_err(self.reading("what was done on clients"))?);
        }
        Ok(all)
    }

    async fn work_of(&self, stays: &[Stay], from: UnixMillis, until: UnixMillis) -> Result<Vec<Vec<Work>>, Cause> {
        let mut query = QueryBuilder::<Sqlite>::new("WITH stays (stay, client, began, since, until) AS (");
        query.push_values(stays.iter().zip(0_i64..), |mut tuple, (stay, index)| {
            push_integer(&mut tuple, Some(index));
            tuple.push_bind(stay.client.to_string());
            for at in [stay.from, stay.from.max(from), stay.until.min(until)] {
                push_integer(&mut tuple, Some(at.0));
            }
        });
        query.push(")").push(WORK);
        let mut works = vec![Vec::new(); stays.len()];
        for row in query.build().persistent(false).fetch_all(&self.readers).await? {
            let mut columns = Columns::of(&row, "work on a client".to_owned());
            let stay: usize = columns.number()?;
            let (service, user, slots) = (columns.parsed()?, columns.number()?, columns.number()?);
            let time = Duration::from_millis(columns.number()?);
            let work = works.get_mut(stay).ok_or_else(|| columns.damaged(&format_args!("stay {stay}")))?;
            work.push(Work { service, user, slots, time });
        }
        Ok(works)
    }
}
