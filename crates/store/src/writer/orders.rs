//! What operators' orders about clients, instances and pools make of them.

use std::sync::Arc;

use domain::ClientName;
use domain::pool::instance::DrainReason;
use domain::pool::{Event, Instance, InstanceState};

use super::draft::Draft;
use crate::clock::UnixMillis;
use crate::instances::{
    ClientOrder, ClientOrderCall, DrainOrder, Happened, InstanceApplied, InstanceRow, Ordered, PoolOrder,
    PoolOrderCall, ProtectOrder,
};

impl Draft<'_> {
    pub(super) fn order_client(&mut self, call: &ClientOrderCall) -> Ordered {
        if self.client(&call.client).is_none() {
            return Ordered::Missing;
        }
        match &call.order {
            ClientOrder::Drain { by, deadline } => self.drain(&call.client, by, *deadline),
            ClientOrder::Undrain => self.undrain(&call.client),
        }
    }

    fn drain(&mut self, client: &ClientName, by: &str, deadline: Option<UnixMillis>) -> Ordered {
        if let Some(row) = self.pools.pools.instance_of(client).cloned() {
            if row.instance.protected {
                return Ordered::Protected;
            }
            let event = Event::Drain { why: DrainReason::Operator, deadline: deadline.map(UnixMillis::moment) };
            // One that drains for a stronger reason, or ends, takes no work either.
            let _drains = self.happen(&Happened::new(row.id(), event));
        }
        let since = self.pools.pools.order(client).map_or(self.now, |order| order.since);
        let order = DrainOrder { by: by.to_owned(), since, deadline };
        Arc::make_mut(&mut self.pools.pools).orders.insert(client.clone(), order);
        self.pools.orders.insert(client.clone());
        Ordered::Yes
    }

    fn undrain(&mut self, client: &ClientName) -> Ordered {
        self.forget_order(client);
        let Some(row) = self.pools.pools.instance_of(client).cloned() else { return Ordered::Yes };
        let stays = matches!(row.instance.state, InstanceState::Ready { .. });
        match self.happen(&Happened::new(row.id(), Event::Undrain)) {
            InstanceApplied::Yes(_) => Ordered::Yes,
            InstanceApplied::Stale | InstanceApplied::Missing if stays => Ordered::Yes,
            InstanceApplied::Stale | InstanceApplied::Missing => Ordered::Goes,
        }
    }

    pub(super) fn forget_order(&mut self, client: &ClientName) {
        if self.pools.pools.orders.contains_key(client) {
            Arc::make_mut(&mut self.pools.pools).orders.remove(client);
            self.pools.orders.insert(client.clone());
        }
    }

    pub(super) fn protect(&mut self, order: &ProtectOrder) -> InstanceApplied {
        let ProtectOrder { instance, protected } = *order;
        let Some(row) = self.pools.pools.instance(instance).cloned() else { return InstanceApplied::Missing };
        if row.instance.protected == protected {
            return InstanceApplied::Yes(row);
        }
        let instance = Instance { protected, ..row.instance.clone() };
        let row = InstanceRow { instance, version: row.version + 1, ..row.as_ref().clone() };
        InstanceApplied::Yes(self.pools.put(row))
    }

    pub(super) fn order_pool(&mut self, call: &PoolOrderCall) {
        let now = self.now.moment();
        self.pools.teach(&call.pool, |learnt| match call.order {
            PoolOrder::Stop => learnt.breaker.stop(now),
            PoolOrder::Resume => learnt.resume(),
        });
    }
}
