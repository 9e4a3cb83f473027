//! Assigning: everything a decision relied on is checked again here, where nothing can change any more.

use std::collections::HashMap;

use domain::{ClientName, ClientRecord, ClientState, Event, Placement, ServiceName, StepReason, UserId};

use super::draft::Draft;
use crate::command::{AssignRefusal, Proposal};
use crate::row::JobRow;

/// What the batch so far adds to the counts of the ledger, which knows only what is committed; negative where jobs
/// ended.
#[derive(Debug, Default)]
pub(super) struct Taken {
    by_service: HashMap<ServiceName, i64>,
    by_user: HashMap<(ServiceName, UserId), i64>,
    slots_by_client: HashMap<ClientName, i64>,
}

impl Taken {
    pub(super) fn take(&mut self, row: &JobRow) {
        self.count(row, 1);
    }

    pub(super) fn give_back(&mut self, row: &JobRow) {
        self.count(row, -1);
    }

    fn count(&mut self, row: &JobRow, by: i64) {
        let Some(placement) = row.progress.state.placement() else { return };
        let request = &row.request;
        *self.by_service.entry(request.service.clone()).or_default() += by;
        *self.by_user.entry((request.service.clone(), request.user)).or_default() += by;
        *self.slots_by_client.entry(placement.client.clone()).or_default() += by * i64::from(request.slots.get());
    }
}

/// A committed count with what the batch adds.
fn with(committed: u32, added: Option<&i64>) -> u32 {
    u32::try_from(i64::from(committed) + added.copied().unwrap_or(0)).unwrap_or(0)
}

impl Draft<'_> {
    pub(super) fn assign(&mut self, proposal: &Proposal) -> Result<(), AssignRefusal> {
        let row = self.jobs.get(&proposal.job).map(|change| &change.now).ok_or(AssignRefusal::Missing)?;
        if row.progress.kill_requested {
            return Err(AssignRefusal::KillRequested);
        }
        let status = row.status();
        self.check_limits(row)?;
        self.check_client(row, &proposal.placement)?;
        let reason = StepReason::Placed(proposal.by.clone());
        let assigned = self.step(proposal.job, &Event::Assigned(proposal.placement.clone()), Some(&reason));
        assigned.map(|_| ()).ok_or(AssignRefusal::NotQueued(status))
    }

    fn check_limits(&self, row: &JobRow) -> Result<(), AssignRefusal> {
        let service = &row.request.service;
        let counts = self.ledger.counts(service, row.request.user);
        let limits = counts.limits.ok_or(AssignRefusal::ServiceRemoved)?;

        let active = with(counts.service_active, self.taken.by_service.get(service));
        if active >= limits.max_runs {
            return Err(AssignRefusal::ServiceLimit { active, limit: limits.max_runs });
        }
        let active = with(counts.user_active, self.taken.by_user.get(&(service.clone(), row.request.user)));
        if active >= limits.runs_per_user {
            return Err(AssignRefusal::UserLimit { active, limit: limits.runs_per_user });
        }
        Ok(())
    }

    fn check_client(&self, row: &JobRow, placement: &Placement) -> Result<(), AssignRefusal> {
        let (record, used) = self.client(&placement.client).ok_or(AssignRefusal::ClientMissing)?;
        let state = self.pools.pools.state_of(record);
        if state != ClientState::Ready {
            return Err(AssignRefusal::ClientNotReady(state));
        }
        if !record.services.contains(&row.request.service) {
            return Err(AssignRefusal::OtherService);
        }
        if !row.request.requires.hold_for(&record.labels) {
            return Err(AssignRefusal::LabelsDoNotFit);
        }
        let used = with(used, self.taken.slots_by_client.get(&placement.client));
        let (needs, free) = (row.request.slots.get(), record.slots.saturating_sub(used));
        if needs > free {
            return Err(AssignRefusal::NoFreeSlot { needs, free });
        }
        Ok(())
    }

    /// Whether no assignment is left on a client, after all that the batch did before. Each takes a slot at least.
    pub(super) fn is_idle(&self, client: &ClientName) -> bool {
        with(self.ledger.used_slots(client), self.taken.slots_by_client.get(client)) == 0
    }

    /// The client as this batch leaves it, with the slots that are committed as taken.
    pub(super) fn client(&self, name: &ClientName) -> Option<(&ClientRecord, u32)> {
        let committed = self.ledger.client(name);
        match self.clients.get(name) {
            Some(record) => Some((record, committed.map_or(0, |(_, used)| used))),
            None => committed,
        }
    }
}
