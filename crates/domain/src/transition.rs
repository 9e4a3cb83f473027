//! The only authority on how a job moves from state to state.

use crate::retry::INFRASTRUCTURE_RETRIES;
use crate::{End, Event, Failure, KillProof, Progress, State};

/// What `event` makes of a job, or `None` where it has come too late, twice, or does not apply: then nothing changes.
///
/// Whether an event speaks of the job's *current* assignment is the store's question, which looks jobs up by it.
#[must_use]
pub fn transition(job: &Progress, event: &Event) -> Option<Progress> {
    let next = |state: State| Some(Progress { state, ..job.clone() });
    match (&job.state, event) {
        (State::Queued, Event::Assigned(placement)) if !job.kill_requested => {
            Some(Progress { state: State::Processing(placement.clone()), attempt: job.attempt + 1, ..job.clone() })
        }
        (State::Queued, Event::KillRequested) => {
            Some(Progress { state: State::Killed(KillProof::Gone), kill_requested: true, ..job.clone() })
        }
        (_, Event::KillRequested) if job.state.status().is_active() && !job.kill_requested => {
            Some(Progress { kill_requested: true, ..job.clone() })
        }

        (State::Processing(p), Event::Delivered) => next(State::Submitted(p.clone())),
        (State::Processing(_), Event::NotDelivered) => next(back_in_queue(job)),

        // The client's own report may overtake its answer to the delivery.
        (State::Processing(p) | State::Submitted(p) | State::Unknown(p), Event::Started) => {
            next(State::Running(p.clone()))
        }
        (State::Processing(_) | State::Submitted(_) | State::Running(_) | State::Unknown(_), Event::Ended(end)) => {
            Some(ended(job, end))
        }

        (State::Submitted(p) | State::Running(p), Event::ContactLost) => next(State::Unknown(p.clone())),
        (State::Unknown(p), Event::ContactRegained { started: true }) => next(State::Running(p.clone())),
        (State::Unknown(p), Event::ContactRegained { started: false }) => next(State::Submitted(p.clone())),
        // In Processing too: a server that restarts does not know whether the payload had arrived.
        (State::Processing(_) | State::Submitted(_) | State::Running(_) | State::Unknown(_), Event::DeclaredLost) => {
            Some(lost(job, KillProof::ClientLost))
        }

        (state, Event::Expired) if state.status().is_final() && *state != State::Cleaned => next(State::Cleaned),
        _ => None,
    }
}

fn ended(job: &Progress, end: &End) -> Progress {
    let state = match end {
        End::Exit(0) => State::Completed,
        End::Exit(code) => State::Failed(Failure::Exit(*code)),
        End::Signal(signal) => State::Failed(Failure::Signal(*signal)),
        End::Invalid(why) => State::Invalid(why.clone()),
        End::Limit(which) => State::Failed(Failure::Limit(which.clone())),
        End::Killed => State::Killed(KillProof::Gone),
        End::CutOff => return lost(job, KillProof::Gone),
    };
    Progress { state, ..job.clone() }
}

/// The attempt may have run and is gone: again, as long as the budget lasts.
fn lost(job: &Progress, proof: KillProof) -> Progress {
    let lost = job.lost + 1;
    let state = if job.kill_requested {
        State::Killed(proof)
    } else if lost > INFRASTRUCTURE_RETRIES {
        State::Failed(Failure::RetriesSpent)
    } else {
        State::Queued
    };
    Progress { state, lost, ..job.clone() }
}

/// Nothing can have started: the job waits again, or ends if that was asked meanwhile.
fn back_in_queue(job: &Progress) -> State {
    if job.kill_requested { State::Killed(KillProof::Gone) } else { State::Queued }
}
