//! Smaller looks into the ledger: one client's work, one job's place, the counts that assigning checks again.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{AssignmentId, ClientName, ClientRecord, JobId, Limits, ServiceName, Status, UserId};

use super::{Client, Ledger};
use crate::row::JobRow;

/// An active job on a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActiveAssignment {
    pub assignment: AssignmentId,
    pub job: JobId,
    pub service: ServiceName,
    pub status: Status,
    pub kill_requested: bool,
    /// The number that a predecessor's client gave the attempt.
    pub client_number: Option<i64>,
}

/// What there is to do for one client, each list in the order of the jobs' numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientWork {
    /// In Processing, and nobody asked for the end: the payload has to go there.
    pub to_deliver: Vec<ActiveAssignment>,
    /// Somebody asked for the end. One that is still in Processing may or may not have reached the client.
    pub to_kill: Vec<ActiveAssignment>,
    /// All, with the above.
    pub active: Vec<ActiveAssignment>,
}

/// What stands in the way of one more job of a user in a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) limits: Option<Limits>,
    pub(crate) service_active: u32,
    pub(crate) user_active: u32,
}

impl Ledger {
    pub(crate) fn client_work(&self, client: &ClientName) -> ClientWork {
        let Some(client) = self.clients.get(client) else { return ClientWork::default() };
        let active: Vec<_> = client.active().collect();
        let (to_kill, rest): (Vec<_>, Vec<_>) = active.iter().cloned().partition(|active| active.kill_requested);
        let to_deliver = rest.into_iter().filter(|active| active.status == Status::Processing).collect();
        ClientWork { to_deliver, to_kill, active }
    }

    /// Own queued jobs of the same user and service that run before this one; `None` if it does not wait.
    pub(crate) fn position(&self, row: &JobRow) -> Option<u64> {
        let shapes = self.services.get(&row.request.service)?.waiting.get(&row.request.user)?;
        let priority = row.request.priority;
        let waits = shapes.get(&super::shape_of(row)).is_some_and(|queue| queue.contains(priority, row.id));
        waits.then(|| shapes.values().map(|queue| queue.before(priority, row.id)).sum())
    }

    /// How long a queued job still rests after a loss; `None` if it does not.
    pub(crate) fn rests_for(&self, row: &JobRow) -> Option<Duration> {
        let until = self.resting.get(&super::place_of(row))?.get(&row.id)?;
        Some(self.clock.moment().until(*until)).filter(|rest| !rest.is_zero())
    }

    /// How long it is until the next rest ends.
    pub(crate) fn next_rest_ends_in(&self) -> Option<Duration> {
        let now = self.clock.moment();
        let rests = self.resting.values().flat_map(BTreeMap::values).map(|until| now.until(*until));
        rests.filter(|rest| !rest.is_zero()).min()
    }

    pub(crate) fn counts(&self, service: &ServiceName, user: UserId) -> Counts {
        let Some(service) = self.services.get(service) else {
            return Counts { limits: None, service_active: 0, user_active: 0 };
        };
        let user_active = service.users.get(&user).map_or(0, |turns| turns.active);
        Counts { limits: service.limits, service_active: service.active, user_active }
    }

    /// A client's record with the slots that active jobs take.
    pub(crate) fn client(&self, name: &ClientName) -> Option<(&ClientRecord, u32)> {
        let client = self.clients.get(name)?;
        client.record.as_ref().map(|record| (record, client.used))
    }
}

impl Client {
    /// What is active on it.
    pub(super) fn active(&self) -> impl Iterator<Item = ActiveAssignment> {
        self.jobs.iter().map(|(job, active)| ActiveAssignment {
            assignment: active.assignment,
            job: *job,
            service: active.service.clone(),
            status: active.status,
            kill_requested: active.kill_requested,
            client_number: active.client_number,
        })
    }

    /// How many jobs are active on it.
    pub(super) fn running(&self) -> u32 {
        u32::try_from(self.jobs.len()).unwrap_or(u32::MAX)
    }
}
