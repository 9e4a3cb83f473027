//! What [`super::Attempts`] answers.

use std::sync::Arc;

use domain::End;

use crate::client::disk::Trouble;
use crate::client::keeper::Keeper;

/// Where an attempt is.
#[derive(Debug, Clone)]
pub enum Phase {
    /// Its payload arrives.
    Arriving,
    /// The payload is whole; it waits for slots.
    Held,
    /// It has slots and no keeper that was seen yet.
    Starting,
    Running(Arc<Keeper>),
    /// Its keeper is gone and left no end; what else it left is being ended.
    Orphaned,
    Ended {
        end: End,
        duration_ms: u64,
    },
}

/// What becomes of an assignment that is offered.
#[derive(Debug, PartialEq, Eq)]
pub enum Admission {
    /// Its payload shall come.
    New,
    /// It was taken before.
    Known,
    /// Its payload arrives on another connection.
    Arriving,
    Refused(Refused),
}

/// What becomes of an assignment whose payload is whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Held {
    Waits,
    /// It was killed while its payload came.
    Killed,
}

/// Why an assignment is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The client has assignments of another server.
    OtherServer,
    /// It was killed, or refused, before.
    Killed,
    /// It needs more slots than there are, or too many wait.
    NoSlot,
}

/// What is to be done about a kill.
#[derive(Debug)]
pub enum Kill {
    /// Never heard of; it will be refused if it comes.
    Unknown,
    /// Nothing: it has ended.
    Ended,
    /// Its end is to be recorded now: it will not be started.
    EndNow,
    Signal(Arc<Keeper>),
    /// It is about to be started, and is ended then.
    Starting,
    /// It still arrives; it is ended once it has.
    Arriving,
    /// Nothing: it is being ended.
    Ending,
}

/// Up to where the events go.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct News {
    /// The number of the newest event.
    pub last: u64,
    /// The number of the newest one that somebody waits for: not a start, which can wait for its end.
    pub urgent: u64,
    /// The trouble that the client has.
    pub trouble: Option<Trouble>,
}
