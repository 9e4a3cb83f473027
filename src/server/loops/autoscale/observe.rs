//! One instant of all pools, out of the store.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use domain::policy::scaling::ScalingMinute;
use domain::pool::cost;
use domain::pool::plan::{Action, wind_down};
use domain::pool::{InstanceView, Learnt, Moment, Money, PoolName, PoolView};
use store::StoreError;

use crate::config::pool_settings::Pool;
use crate::server::operations::scaling::month_of;
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
