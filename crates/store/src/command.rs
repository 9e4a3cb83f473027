//! What the writer is asked, and what it answers.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::policy::{Authors, Digest};
use domain::{
    AssignmentId, ClientName, ClientRecord, ClientState, Event, JobId, JobRequest, Placement, ServiceName, Status,
    StepReason,
};
use tokio::sync::oneshot;

use crate::error::Cause;
use crate::instances::{
    ClientOrderCall, InstanceApplied, Ordered, PoolOrderCall, ProtectOrder, Registered, Registration, Round, RoundDone,
};
use crate::policies::{Activated, Pinned, Request, Scope};
use crate::row::{HandIn, PayloadKey};

/// A job whose payload is durable on disk.
#[derive(Debug, Clone)]
pub struct NewJob {
    pub request: JobRequest,
    /// Name of its directory; no other job may have it.
    pub payload: PayloadKey,
    pub payload_bytes: u64,
    /// If the caller gave a key.
    pub hand_in: Option<HandIn>,
}

/// What became of a new job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Accepted {
    New(JobId),
    /// The same was handed in before under the same key; nothing was written.
    Known(JobId),
    /// Something else was handed in before under the same key; nothing was written.
    OtherContent(JobId),
}

impl Accepted {
    /// The job that this is about.
    #[must_use]
    pub fn id(self) -> JobId {
        match self {
            Self::New(id) | Self::Known(id) | Self::OtherContent(id) => id,
        }
    }
}

/// A job that shall run on a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proposal {
    pub job: JobId,
    /// With an assignment id that was never used.
    pub placement: Placement,
    /// Who decided so: the history tells of it.
    pub by: Authors,
}

/// Why a proposal was not carried out. The job is as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AssignRefusal {
    #[error("there is no such job")]
    Missing,
    #[error("the job is {0}")]
    NotQueued(Status),
    #[error("the job's end was requested")]
    KillRequested,
    #[error("the service is not configured")]
    ServiceRemoved,
    #[error("the user already has {active} of {limit} jobs of the service active")]
    UserLimit { active: u32, limit: u32 },
    #[error("the service already has {active} of {limit} jobs active")]
    ServiceLimit { active: u32, limit: u32 },
    #[error("the client is not known")]
    ClientMissing,
    #[error("the client is {}", .0.as_str())]
    ClientNotReady(ClientState),
    #[error("the client does not serve the service")]
    OtherService,
    #[error("the client's labels do not pass the job's tests")]
    LabelsDoNotFit,
    #[error("the job needs {needs} slots, {free} are free")]
    NoFreeSlot { needs: u32, free: u32 },
}

/// What somebody says happened to an assignment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub assignment: AssignmentId,
    /// `Assigned`, `KillRequested` and `Expired` are no reports: they have calls of their own and are stale here.
    pub event: Event,
    /// What the history says of it.
    pub reason: Option<StepReason>,
    /// With `Ended`: size of the result that is stored durably, if there is one.
    pub result_bytes: Option<u64>,
    /// With `Delivered`: the number that a predecessor's client gave the attempt.
    pub client_number: Option<i64>,
}

impl Report {
    #[must_use]
    pub fn new(assignment: AssignmentId, event: Event) -> Self {
        Self { assignment, event, reason: None, result_bytes: None, client_number: None }
    }

    /// A report with what the history shall say of it.
    #[must_use]
    pub fn because(assignment: AssignmentId, event: Event, reason: StepReason) -> Self {
        Self { reason: Some(reason), ..Self::new(assignment, event) }
    }
}

/// What a report did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    Yes {
        job: JobId,
        from: Status,
        to: Status,
    },
    /// Too late, twice, or not the job's current assignment: nothing changed.
    Stale,
    /// No job has this assignment, or had it last.
    Missing,
}

/// What asking for a job's end did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KillRequest {
    Missing,
    AlreadyFinal(Status),
    /// It waited, and is Killed now.
    KilledInQueue,
    /// It is on a client, which has to be told.
    Requested {
        client: ClientName,
        assignment: AssignmentId,
    },
    /// As `Requested`, and somebody had asked before.
    AlreadyRequested {
        client: ClientName,
        assignment: AssignmentId,
    },
}

/// A question to the writer with the way back. The answer is drafted before the commit and sent after it.
#[derive(Debug)]
pub(crate) struct Call<Q, A> {
    pub(crate) request: Q,
    pub(crate) answer: Option<A>,
    reply: oneshot::Sender<Result<A, Cause>>,
}

impl<Q, A> Call<Q, A> {
    pub(crate) fn new(request: Q) -> (Self, oneshot::Receiver<Result<A, Cause>>) {
        let (reply, receiver) = oneshot::channel();
        (Self { request, answer: None, reply }, receiver)
    }

    /// Tells the caller what became of the commit. One that has gone away does not need to know.
    pub(crate) fn settle(self, result: Result<(), Cause>) {
        let result = match (result, self.answer) {
            (Ok(()), Some(answer)) => Ok(answer),
            (Ok(()), None) => Err(Cause::Closed),
            (Err(cause), _) => Err(cause),
        };
        let _gone = self.reply.send(result);
    }
}

#[derive(Debug)]
pub(crate) struct KillOrder {
    pub(crate) job: JobId,
    pub(crate) by: String,
}

/// A choice that failed too often.
#[derive(Debug)]
pub(crate) struct PinOrder {
    pub(crate) scope: Scope,
    pub(crate) digest: Digest,
    pub(crate) fault: String,
}

/// Who wants a pinned choice to decide again.
#[derive(Debug)]
pub(crate) struct ResumeOrder {
    pub(crate) scope: Scope,
    pub(crate) by: String,
}

#[derive(Debug)]
pub(crate) enum Command {
    Accept(Call<NewJob, Accepted>),
    Assign(Call<Vec<Proposal>, Vec<Result<(), AssignRefusal>>>),
    Apply(Call<Vec<Report>, Vec<Applied>>),
    Kill(Call<KillOrder, KillRequest>),
    Expire(Call<Vec<JobId>, Vec<JobId>>),
    PutClient(Call<ClientRecord, ()>),
    Activate(Call<Request, Activated>),
    Pin(Call<PinOrder, Pinned>),
    Resume(Call<ResumeOrder, Activated>),
    Scale(Call<Round, RoundDone>),
    Register(Call<Registration, Registered>),
    OrderClient(Call<ClientOrderCall, Ordered>),
    Protect(Call<ProtectOrder, InstanceApplied>),
    OrderPool(Call<PoolOrderCall, ()>),
    /// Half-lives of the services whose usage shall be told.
    KeepUsage(Call<BTreeMap<ServiceName, Duration>, ()>),
    /// Writes something that changes nothing.
    Probe(Call<(), ()>),
    /// Compares ledger and database between two batches, when they must agree.
    Verify(Call<(), Vec<String>>),
    /// Answered when all that was handed in is committed and the connections are closed.
    Close(Call<(), ()>),
}

impl Command {
    /// Whether it is part of a transaction.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self, Self::KeepUsage(_) | Self::Probe(_) | Self::Verify(_) | Self::Close(_))
    }

    pub(crate) fn settle(self, result: Result<(), Cause>) {
        match self {
            Self::Accept(call) => call.settle(result),
            Self::Assign(call) => call.settle(result),
            Self::Apply(call) => call.settle(result),
            Self::Kill(call) => call.settle(result),
            Self::Expire(call) => call.settle(result),
            Self::PutClient(call) => call.settle(result),
            Self::Activate(call) => call.settle(result),
            Self::Pin(call) => call.settle(result),
            Self::Resume(call) => call.settle(result),
            Self::Scale(call) => call.settle(result),
            Self::Register(call) => call.settle(result),
            Self::OrderClient(call) => call.settle(result),
            Self::Protect(call) => call.settle(result),
            Self::OrderPool(call) => call.settle(result),
            Self::KeepUsage(call) => call.settle(result),
            Self::Probe(call) => call.settle(result),
            Self::Verify(call) => call.settle(result),
            Self::Close(call) => call.settle(result),
        }
    }
}
