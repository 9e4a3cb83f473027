//! One instant of all pools, out of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::policy::scaling::ScalingMinute;
use domain::pool::cost;
use domain::pool::plan::{Action, wind_down};
use domain::pool::{InstanceView, Learnt, Moment, Money, PoolName, PoolView};
use store::{StoreError, UnixMillis};

use crate::config::pool_settings::Pool;
use crate::server::parts::Parts;

/// How old the sum of a month may be: it is read from the database.
const SPENT_FOR: Duration = Duration::from_secs(30);

/// Looks.
pub(super) struct Observer {
    parts: Parts,
    started: Moment,
    spent: BTreeMap<PoolName, Money>,
    spent_at: Option<Instant>,
}

/// What was seen.
pub(super) struct Scene {
    pub pools: Vec<Watched>,
    started: Moment,
    /// What is there of pools that are not configured any more.
    removed: Vec<Vec<InstanceView>>,
}

/// A pool of the configuration.
pub(super) struct Watched {
    pub pool: Pool,
    learnt: Learnt,
    instances: Vec<InstanceView>,
    spent: Money,
    history: Vec<ScalingMinute>,
}

impl Observer {
    pub(super) fn new(parts: Parts, started: Moment) -> Self {
        Self { parts, started, spent: BTreeMap::new(), spent_at: None }
    }

    pub(super) async fn look(&mut self, now: Moment) -> Result<Scene, StoreError> {
        self.count_the_month(now).await?;
        let store = &self.parts.store;
        let rows = store.pools();
        let configured = &self.parts.settings.scaling.pools;
        let pools = configured.iter().map(|pool| {
            let name = &pool.settings.name;
            Watched {
                pool: pool.clone(),
                learnt: rows.learnt(name),
                instances: store.instance_views(name),
                spent: self.spent.get(name).copied().unwrap_or_default(),
                history: store.minutes(name, &pool.settings.services),
            }
        });
        let names: BTreeSet<&PoolName> = configured.iter().map(|pool| &pool.settings.name).collect();
        let others: BTreeSet<&PoolName> = rows.live().map(|row| &row.instance.pool).collect();
        let removed = others.difference(&names).map(|name| store.instance_views(name)).collect();
        Ok(Scene { pools: pools.collect(), started: self.started, removed })
    }

    /// Only where a cap or a policy could ask.
    async fn count_the_month(&mut self, now: Moment) -> Result<(), StoreError> {
        if self.spent_at.is_some_and(|at| at.elapsed() < SPENT_FOR) || self.parts.settings.scaling.pools.is_empty() {
            return Ok(());
        }
        let since = month_of(self.parts.store.now());
        let rows = self.parts.store.instances_since(since).await?;
        let mut pools: BTreeMap<PoolName, Vec<_>> = BTreeMap::new();
        for row in rows {
            pools.entry(row.instance.pool.clone()).or_default().push(row.instance);
        }
        let sum = |instances: &Vec<_>| cost::spent(instances, since.moment(), now);
        self.spent = pools.iter().map(|(pool, instances)| (pool.clone(), sum(instances))).collect();
        self.spent_at = Some(Instant::now());
        Ok(())
    }
}

/// The beginning of the month, in UTC.
fn month_of(now: UnixMillis) -> UnixMillis {
    let millis = i128::from(now.0) * 1_000_000;
    let Ok(at) = time::OffsetDateTime::from_unix_timestamp_nanos(millis) else { return UnixMillis(0) };
    let first = at.replace_day(1).map_or(at, |first| first.replace_time(time::Time::MIDNIGHT));
    UnixMillis(first.unix_timestamp().saturating_mul(1_000))
}

impl Scene {
    /// As every decision sees them.
    pub(super) fn views(&self) -> Vec<PoolView<'_>> {
        let view = |watched| Watched::view(watched, self.started);
        self.pools.iter().map(view).collect()
    }

    /// What is to be done about the pools that are not configured any more.
    pub(super) fn removed(&self, now: Moment) -> impl Iterator<Item = Vec<Action>> {
        self.removed.iter().map(move |instances| wind_down(instances, now))
    }
}

impl Watched {
    fn view(&self, started: Moment) -> PoolView<'_> {
        PoolView {
            settings: &self.pool.settings,
            learnt: &self.learnt,
            instances: self.instances.clone(),
            spent_this_month: self.spent,
            history: self.history.clone(),
            started,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn month_begins_at_midnight_of_its_first_day() {
        let at = |text| {
            let format = &time::format_description::well_known::Rfc3339;
            UnixMillis(time::OffsetDateTime::parse(text, format).unwrap().unix_timestamp() * 1_000)
        };
        for (now, first) in [
            ("2026-12-01T00:00:00Z", "2026-12-01T00:00:00Z"),
            ("2026-02-28T23:59:59Z", "2026-02-01T00:00:00Z"),
            ("2024-02-29T12:00:00Z", "2024-02-01T00:00:00Z"),
        ] {
            assert_eq!(month_of(at(now)), at(first), "{now}");
        }
    }
}
