//! The ledger's contents as comparable lines: what must be the same after a restart, and the same as the database.

use std::collections::BTreeSet;

use super::Ledger;

/// All that follows from the rows, one line a fact. Limits, turns and waiting times are not in it: they belong to the
/// running server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LedgerDump(BTreeSet<String>);

impl LedgerDump {
    /// Facts that only one of both has; empty if they agree.
    #[must_use]
    pub fn differences(&self, database: &Self) -> Vec<String> {
        let only_here = self.0.difference(&database.0).map(|line| format!("only in memory: {line}"));
        let only_there = database.0.difference(&self.0).map(|line| format!("only in the database: {line}"));
        only_here.chain(only_there).collect()
    }
}

impl Ledger {
    pub(crate) fn dump(&self) -> LedgerDump {
        let mut lines = BTreeSet::new();
        for (name, service) in &self.services {
            if service.active > 0 {
                lines.insert(format!("service {name}: {} active", service.active));
            }
            for (user, shapes) in &service.waiting {
                for (shape, queue) in shapes {
                    let place = format!("service {name} user {user} slots {} [{}]", shape.slots.get(), shape.requires);
                    lines.insert(format!("{place}: {} queued", queue.len()));
                    let jobs = queue.iter().enumerate();
                    lines.extend(jobs.map(|(at, (priority, job))| format!("{place}: {at}: job {job} at {priority}")));
                }
            }
            let counted = service.counted_slots();
            lines.extend(counted.map(|(user, slots)| format!("service {name} user {user}: {slots} slots counted")));
            let active = service.users.iter().filter(|(_, turns)| turns.active > 0);
            lines.extend(active.map(|(user, turns)| format!("service {name} user {user}: {} active", turns.active)));
        }
        lines.extend(self.everywhere.iter().map(|(user, active)| format!("user {user}: {active} active everywhere")));
        lines.extend(self.retried.iter().map(|(job, retried)| format!("job {job}: {retried:?}")));
        for (name, client) in &self.clients {
            if client.used > 0 {
                lines.insert(format!("client {name}: {} slots used", client.used));
            }
            lines.extend(client.record.iter().map(|record| format!("client {name}: {record:?}")));
            lines.extend(client.jobs.iter().map(|(job, active)| format!("client {name} job {job}: {active:?}")));
        }
        lines.extend(self.policies.facts());
        lines.extend(self.pools.facts());
        LedgerDump(lines)
    }
}
