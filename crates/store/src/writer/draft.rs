//! What a batch will change, worked out in memory command by command: each sees what the ones before it did.

use std::collections::{BTreeMap, HashMap};

use domain::{
    AssignmentId, ClientName, ClientRecord, Event, IdempotencyKey, JobId, JobRequest, Progress, ServiceName, State,
    Status, StepReason, UserId, transition,
};

use super::assign::Taken;
use super::instances::PoolDraft;
use super::policies::PolicyDraft;
use crate::clock::UnixMillis;
use crate::command::{Accepted, Applied, Command, KillOrder, KillRequest, NewJob, Report};
use crate::ledger::{Change, Ledger};
use crate::row::{ContentDigest, HandIn, HistoryRow, JobRow, KillMark, Told};

/// What a transaction has to write.
#[derive(Debug)]
pub(super) struct Plan {
    /// Each job once, from what was read to what it becomes, in the order of the ids.
    pub(super) changes: Vec<Change>,
    pub(super) history: Vec<HistoryRow>,
    pub(super) clients: Vec<ClientRecord>,
    pub(super) policies: PolicyDraft,
    pub(super) pools: PoolDraft,
    pub(super) next_id: JobId,
}

impl Plan {
    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.clients.is_empty() && self.policies.is_empty() && self.pools.is_empty()
    }
}

/// Where a caller's key is unique.
type HandInPlace = (UserId, ServiceName, IdempotencyKey);

fn place(request: &JobRequest, key: &IdempotencyKey) -> HandInPlace {
    (request.user, request.service.clone(), key.clone())
}

#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) ledger: &'a Ledger,
    pub(super) jobs: BTreeMap<JobId, Change>,
    /// Jobs by the assignment that was read with them.
    by_assignment: HashMap<AssignmentId, JobId>,
    /// Jobs by the key they were handed in under.
    by_hand_in: HashMap<HandInPlace, (JobId, ContentDigest)>,
    pub(super) clients: BTreeMap<ClientName, ClientRecord>,
    /// What this batch adds to the ledger's counts.
    pub(super) taken: Taken,
    policies: PolicyDraft,
    pub(super) pools: PoolDraft,
    history: Vec<HistoryRow>,
    next_id: JobId,
    pub(super) now: UnixMillis,
}

impl<'a> Draft<'a> {
    pub(super) fn new(ledger: &'a Ledger, touched: Vec<JobRow>, next_id: JobId, now: UnixMillis) -> Self {
        let by_assignment =
            touched.iter().filter_map(|row| row.placement.as_ref().map(|placed| (placed.assignment, row.id))).collect();
        let by_hand_in = touched
            .iter()
            .filter_map(|row| {
                row.hand_in.as_ref().map(|own| (place(&row.request, &own.key), (row.id, own.digest.clone())))
            })
            .collect();
        let jobs = touched.into_iter().map(|row| (row.id, Change { before: Some(row.clone()), now: row })).collect();
        Self {
            ledger,
            jobs,
            by_assignment,
            by_hand_in,
            clients: BTreeMap::new(),
            taken: Taken::default(),
            policies: PolicyDraft::new(ledger.policies()),
            pools: PoolDraft::new(ledger.pools()),
            history: Vec::new(),
            next_id,
            now,
        }
    }

    /// Works out one command and puts its answer into it.
    pub(super) fn add(&mut self, command: &mut Command) {
        match command {
            Command::Accept(call) => call.answer = Some(self.accept(&call.request)),
            Command::Assign(call) => {
                call.answer = Some(call.request.iter().map(|proposal| self.assign(proposal)).collect());
            }
            Command::Apply(call) => call.answer = Some(call.request.iter().map(|report| self.apply(report)).collect()),
            Command::Kill(call) => call.answer = Some(self.kill(&call.request)),
            Command::Expire(call) => {
                let cleaned = |job: &&JobId| self.step(**job, &Event::Expired, None).is_some();
                call.answer = Some(call.request.iter().filter(cleaned).copied().collect());
            }
            Command::PutClient(call) => {
                self.put_client(&call.request);
                call.answer = Some(());
            }
            Command::Activate(call) => call.answer = Some(self.policies.activate(&call.request, self.now)),
            Command::Resume(call) => call.answer = Some(self.policies.resume(&call.request, self.now)),
            Command::Pin(call) => call.answer = Some(self.policies.pin(&call.request, self.now)),
            Command::Scale(call) => call.answer = Some(self.scale(&call.request)),
            Command::Register(call) => call.answer = Some(self.register(&call.request)),
            Command::OrderClient(call) => call.answer = Some(self.order_client(&call.request)),
            Command::Protect(call) => call.answer = Some(self.protect(&call.request)),
            Command::OrderPool(call) => {
                self.order_pool(&call.request);
                call.answer = Some(());
            }
            Command::KeepUsage(_) | Command::Probe(_) | Command::Verify(_) | Command::Close(_) => {}
        }
    }

    pub(super) fn finish(self) -> Plan {
        let changed = |change: &Change| change.before.as_ref().is_none_or(|row| row.version != change.now.version);
        Plan {
            changes: self.jobs.into_values().filter(changed).collect(),
            history: self.history,
            clients: self.clients.into_values().collect(),
            policies: self.policies,
            pools: self.pools,
            next_id: self.next_id,
        }
    }

    fn accept(&mut self, job: &NewJob) -> Accepted {
        if let Some(hand_in) = &job.hand_in {
            let before = self.by_hand_in.get(&place(&job.request, &hand_in.key));
            if let Some((known, digest)) = before {
                return if *digest == hand_in.digest {
                    Accepted::Known(*known)
                } else {
                    Accepted::OtherContent(*known)
                };
            }
        }
        let id = self.next_id;
        self.next_id = JobId(id.0 + 1);
        let row = JobRow {
            id,
            request: job.request.clone(),
            progress: Progress::accepted(),
            version: 1,
            kill: None,
            placement: None,
            client_number: None,
            last_client: None,
            payload: job.payload.clone(),
            payload_bytes: job.payload_bytes,
            hand_in: job.hand_in.clone(),
            result_bytes: None,
            created_at: self.now,
            ended_at: None,
        };
        self.history.push(HistoryRow {
            job: id,
            seq: row.version,
            at: self.now,
            from: None,
            to: row.status(),
            attempt: 0,
            client: None,
            reason: None,
            placed_by: None,
        });
        if let Some(HandIn { key, digest }) = &row.hand_in {
            self.by_hand_in.insert(place(&row.request, key), (id, digest.clone()));
        }
        self.jobs.insert(id, Change { before: None, now: row });
        Accepted::New(id)
    }

    fn apply(&mut self, report: &Report) -> Applied {
        let Some(&job) = self.by_assignment.get(&report.assignment) else { return Applied::Missing };
        let own_call = matches!(report.event, Event::Assigned(_) | Event::KillRequested | Event::Expired);
        let current = self.jobs.get(&job).and_then(|change| change.now.placement.as_ref());
        if own_call || current.is_none_or(|placement| placement.assignment != report.assignment) {
            return Applied::Stale;
        }
        let Some((from, to)) = self.step(job, &report.event, report.reason.as_ref()) else { return Applied::Stale };
        if let (Event::Ended(_), Some(change)) = (&report.event, self.jobs.get_mut(&job)) {
            change.now.result_bytes = report.result_bytes;
        }
        if let (Event::Delivered, Some(change)) = (&report.event, self.jobs.get_mut(&job)) {
            change.now.client_number = report.client_number;
        }
        Applied::Yes { job, from, to }
    }

    fn kill(&mut self, order: &KillOrder) -> KillRequest {
        let Some(row) = self.jobs.get(&order.job).map(|change| &change.now) else { return KillRequest::Missing };
        if row.status().is_final() {
            return KillRequest::AlreadyFinal(row.status());
        }
        let placed = row.placement.clone();
        let reason = StepReason::EndRequested { by: order.by.clone() };
        let applied = self.step(order.job, &Event::KillRequested, Some(&reason)).is_some();
        if let (true, Some(change)) = (applied, self.jobs.get_mut(&order.job)) {
            change.now.kill = Some(KillMark { at: self.now, by: order.by.clone() });
        }
        match placed {
            None => KillRequest::KilledInQueue,
            Some(at) if applied => KillRequest::Requested { client: at.client, assignment: at.assignment },
            Some(at) => KillRequest::AlreadyRequested { client: at.client, assignment: at.assignment },
        }
    }

    /// Lets the domain decide what `event` makes of the job, and notes it. `None`: it makes nothing of it.
    pub(super) fn step(&mut self, job: JobId, event: &Event, reason: Option<&StepReason>) -> Option<(Status, Status)> {
        let row = &mut self.jobs.get_mut(&job)?.now;
        let progress = transition(&row.progress, event)?;
        let from = row.status();
        let (left, entered) = (row.progress.state.placement().cloned(), progress.state.placement().cloned());

        self.taken.give_back(row);
        row.progress = progress;
        row.version += 1;
        let to = row.status();
        match &row.progress.state {
            State::Queued => {
                row.last_client = row.placement.take().map(|placement| placement.client);
                row.client_number = None;
            }
            State::Cleaned => row.placement = None,
            state if state.status().is_final() => row.ended_at = Some(self.now),
            _ => row.placement.clone_from(&entered),
        }
        self.taken.take(row);
        self.history.push(HistoryRow {
            job,
            seq: row.version,
            at: self.now,
            from: Some(from),
            to,
            attempt: row.progress.attempt,
            client: entered.or(left).map(|placement| placement.client),
            reason: reason.map(Told::from),
            placed_by: match reason {
                Some(StepReason::Placed(by)) => Some(by.clone()),
                _ => None,
            },
        });
        Some((from, to))
    }
}
