//! What the ledger knows beside the rows of instances: their work, and the settings that the writer holds launches to.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::pool::{InstanceView, PoolName, PoolSettings};
use domain::{ClientName, ClientState};

use super::view::ActiveAssignment;
use super::{Client, Ledger};
use crate::clock::{Moment, UnixMillis};
use crate::instances::{InstanceRow, Pools};

/// An instance whose client was heard of for the first time.
#[derive(Debug)]
pub(crate) struct CameUp {
    pub(crate) pool: PoolName,
    pub(crate) client: ClientName,
    /// Since it was launched.
    pub(crate) took: Duration,
}

impl Ledger {
    /// Pools in force; those not named are no longer configured.
    pub(crate) fn configure_pools(&mut self, settings: BTreeMap<PoolName, Arc<PoolSettings>>) {
        self.pool_settings = settings;
    }

    pub(crate) fn pool_settings(&self, pool: &PoolName) -> Option<&Arc<PoolSettings>> {
        self.pool_settings.get(pool)
    }

    pub(crate) fn pools(&self) -> Arc<Pools> {
        self.pools.clone()
    }

    pub(crate) fn put_pools(&mut self, pools: Arc<Pools>) {
        self.pools = pools;
    }

    /// What was known of the work of a client of the same name was another machine's.
    pub(crate) fn came_up(&mut self, instances: &[CameUp], now: Moment) {
        for CameUp { pool, client, took } in instances {
            self.pace.booted(pool, *took, now);
            self.clients.entry(client.clone()).or_default().worked_until = None;
        }
    }

    /// When clients of live instances last had work, as the history tells it.
    pub(crate) fn put_worked_until(&mut self, worked: impl Iterator<Item = (ClientName, UnixMillis)>) {
        for (client, until) in worked {
            let client = self.clients.entry(client).or_default();
            // Two instances may have had the name.
            client.worked_until = client.worked_until.max(Some(until));
        }
    }

    pub(crate) fn instance_views(&self, pool: &PoolName) -> Vec<InstanceView> {
        let rows = self.pools.live().filter(|row| row.instance.pool == *pool);
        rows.map(|row| self.instance_view(row)).collect()
    }

    fn instance_view(&self, row: &InstanceRow) -> InstanceView {
        let client = row.client.as_ref().and_then(|client| self.clients.get(&client.name));
        InstanceView {
            instance: row.instance.clone(),
            running: client.map_or(0, Client::running),
            worked_until: client.and_then(|client| client.worked_until).map(UnixMillis::moment),
        }
    }

    /// What is active on clients that are gone.
    pub(crate) fn stranded(&self) -> Vec<(ClientName, ActiveAssignment)> {
        let is_gone = |client: &Client| {
            let record = client.record.as_ref();
            record.is_some_and(|record| record.state == ClientState::Gone)
        };
        let gone = self.clients.iter().filter(|(_, client)| is_gone(client));
        gone.flat_map(|(name, client)| client.active().map(|active| (name.clone(), active))).collect()
    }

    /// Slots that active jobs take on a client.
    pub(crate) fn used_slots(&self, client: &ClientName) -> u32 {
        self.clients.get(client).map_or(0, |client| client.used)
    }
}
