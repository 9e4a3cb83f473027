//! The only authority on how an instance moves from state to state.
//!
//! Two rules it keeps by itself: nothing is concluded from an absence while a launch call runs or its answer is unknown,
//! and nothing that was ever heard of is ended before it drains. That a drained one is idle, the transaction says that
//! also checks what is assigned.

use super::ids::ProviderId;
use super::instance::{Call, DrainReason, EndReason, Event, Instance, InstanceState as State, RefusalKind, Unanswered};
use super::moment::Moment;
use crate::ClientName;

/// What `event` makes of an instance, or `None` where it has come too late, twice, or does not apply: then nothing changes.
///
/// A client that registers while its instance is only requested gets `None` too, and has to try again: it was faster than
/// the provider's answer.
#[must_use]
pub fn transition(instance: &Instance, event: &Event, now: Moment) -> Option<Instance> {
    let state = match &instance.state {
        State::Requested { call } => return requested(instance, *call, event, now),
        State::Booting { provider, since } => match event {
            Event::Registered { client, .. } => {
                Some(State::Ready { provider: provider.clone(), client: client.clone(), since: now })
            }
            Event::BootTimedOut => Some(terminating(provider, EndReason::BootTimeout, now)),
            Event::Drain { why, deadline } => drained(instance, provider, None, *since, (*why, *deadline), now),
            Event::Ended | Event::Missing => Some(gone(EndReason::Vanished { booting: true }, now)),
            _ => None,
        },
        State::Ready { provider, client, since } => match event {
            Event::Drain { why, deadline } => drained(instance, provider, Some(client), *since, (*why, *deadline), now),
            Event::Ended | Event::Missing => Some(gone(EndReason::Vanished { booting: false }, now)),
            _ => None,
        },
        State::Draining { .. } => draining(instance, event, now),
        State::Terminating { why, .. } => match event {
            Event::Ended | Event::Missing => Some(gone(why.clone(), now)),
            _ => None,
        },
        State::Gone { .. } => None,
    };
    state.map(|state| Instance { state, ..instance.clone() })
}

fn requested(instance: &Instance, call: Call, event: &Event, now: Moment) -> Option<Instance> {
    let next = |state| Some(Instance { state, ..instance.clone() });
    let asked = |call| next(State::Requested { call });
    match (call, event) {
        // The list may show it before the call is answered, and the answer may come after the call was given up.
        (_, Event::Launched(provider) | Event::Found(provider)) => {
            let state = State::Booting { provider: provider.clone(), since: now };
            Some(Instance { state, launched_at: Some(now), ..instance.clone() })
        }
        (Call::Broken, Event::LaunchRepeated) => asked(Call::Open { repeated: true }),
        (Call::Open { repeated }, Event::LaunchRefused(refusal)) => {
            if repeated && !says_that_none_was_made(refusal.kind) {
                return asked(Call::Broken);
            }
            next(gone(EndReason::Refused(refusal.clone()), now))
        }
        (Call::Open { .. }, Event::LaunchUnanswered(Unanswered::Lost)) => asked(Call::Broken),
        (Call::Open { .. }, Event::LaunchUnanswered(Unanswered::TokenTaken)) => asked(Call::Taken { since: now }),
        (Call::Taken { .. }, Event::Missing) => next(gone(EndReason::NeverFound, now)),
        _ => None,
    }
}

/// A provider looks at the token before it looks for capacity, but after it has let the caller in. So only the one refusal
/// says that the earlier call, whose answer was lost, made nothing.
fn says_that_none_was_made(kind: RefusalKind) -> bool {
    match kind {
        RefusalKind::NoCapacity | RefusalKind::Limit => true,
        RefusalKind::Throttled | RefusalKind::Denied | RefusalKind::Other => false,
    }
}

fn drained(
    instance: &Instance,
    provider: &ProviderId,
    client: Option<&ClientName>,
    up_since: Moment,
    (why, deadline): (DrainReason, Option<Moment>),
    since: Moment,
) -> Option<State> {
    let (provider, client) = (provider.clone(), client.cloned());
    let may_go = !instance.protected || why == DrainReason::SpotNotice;
    may_go.then_some(State::Draining { provider, client, since, up_since, why, deadline })
}

fn draining(instance: &Instance, event: &Event, now: Moment) -> Option<State> {
    let State::Draining { provider, client, since, up_since, why, deadline } = &instance.state else { return None };
    match event {
        Event::Drain { why: stronger, deadline: other } if stronger > why || (stronger == why && other != deadline) => {
            drained(instance, provider, client.as_ref(), *up_since, (*stronger, *other), *since)
        }
        Event::Undrain if matches!(why, DrainReason::NotNeeded | DrainReason::Operator) => {
            let (provider, since) = (provider.clone(), *up_since);
            Some(match client.clone() {
                Some(client) => State::Ready { provider, client, since },
                None => State::Booting { provider, since },
            })
        }
        Event::FoundIdle if !instance.protected => {
            Some(terminating(provider, EndReason::Drained { reason: *why }, now))
        }
        Event::DeadlinePassed if !instance.protected && deadline.is_some_and(|deadline| deadline <= now) => {
            Some(terminating(provider, EndReason::DeadlinePassed, now))
        }
        Event::Ended | Event::Missing => Some(gone(EndReason::Vanished { booting: false }, now)),
        _ => None,
    }
}

fn terminating(provider: &ProviderId, why: EndReason, now: Moment) -> State {
    State::Terminating { provider: provider.clone(), since: now, why }
}

fn gone(why: EndReason, now: Moment) -> State {
    State::Gone { since: now, why }
}
