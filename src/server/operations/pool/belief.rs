//! What is believed of one client, and so whether it may be given work. Pure: told what happened and when.
//!
//! Each thing that speaks against a client is kept by itself, and the state follows from all of them. So a client that
//! is in quarantine and falls silent is in quarantine when it is back, whoever noticed what first.

use std::time::{Duration, Instant};

use domain::breaker::Stage;
use domain::{AssignmentId, Breaker, ClientState};

use super::Contact;

/// How long a client that refused a delivery, or broke it off, is given no new work: by how often in a row it did.
const PAUSES: [Duration; 6] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// Whether the configuration names the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Enlisted {
    Configured,
    /// No longer, and something of it is still active.
    Removed,
    /// No longer, and nothing of it is active.
    Gone,
}

#[derive(Debug)]
pub(super) struct Belief {
    pub enlisted: Enlisted,
    pub contact: Contact,
    pub breaker: Breaker,
    /// Its own word for why it takes no work, such as `disk-full`.
    pub trouble: Option<String>,
    /// What the breaker's times are counted from.
    origin: Instant,
    heard_since_start: bool,
    setbacks: Setbacks,
}

/// Deliveries in a row that the client did not take.
#[derive(Debug, Default)]
struct Setbacks {
    in_a_row: usize,
    pause: Option<Pause>,
}

#[derive(Debug)]
struct Pause {
    until: Instant,
    why: String,
}

impl Belief {
    pub fn new(enlisted: Enlisted, breaker: Breaker, origin: Instant) -> Self {
        Self {
            enlisted,
            contact: Contact::default(),
            breaker,
            trouble: None,
            origin,
            heard_since_start: false,
            setbacks: Setbacks::default(),
        }
    }

    /// In the breaker's time.
    pub fn time(&self, now: Instant) -> Duration {
        now.saturating_duration_since(self.origin)
    }

    pub fn heard(&mut self) {
        self.heard_since_start = true;
        self.contact.answered();
    }

    /// Whether it was heard since this server's start, and is not silent now.
    pub fn is_heard(&self) -> bool {
        self.heard_since_start && !self.contact.is_silent()
    }

    /// A delivery was not taken; `why` in a word.
    pub fn set_back(&mut self, why: &str, now: Instant) {
        let pause = PAUSES.get(self.setbacks.in_a_row).or(PAUSES.last()).copied().unwrap_or_default();
        // Deliveries run side by side: those that end in the pause belong to the same setback.
        if self.setbacks.pause.as_ref().is_none_or(|pause| pause.until <= now) {
            self.setbacks.in_a_row += 1;
            self.setbacks.pause = Some(Pause { until: now + pause, why: why.to_owned() });
        }
    }

    /// What lately ended badly on the client or did not get there, in a row.
    pub fn recent_failures(&self) -> u32 {
        let setbacks = u32::try_from(self.setbacks.in_a_row).unwrap_or(u32::MAX);
        self.breaker.failures_in_a_row().saturating_add(setbacks)
    }

    pub fn delivered(&mut self) {
        self.setbacks = Setbacks::default();
    }

    /// Moves on with time. `is_active`: whether an assignment of the client still is.
    pub fn look(&mut self, now: Instant, is_active: impl Fn(AssignmentId) -> bool) {
        self.breaker.look(self.time(now), is_active);
        if self.setbacks.pause.as_ref().is_some_and(|pause| pause.until <= now) {
            self.setbacks.pause = None;
        }
    }

    /// How long until time alone may change the state.
    pub fn next_look(&self, now: Instant) -> Option<Duration> {
        let pause = self.setbacks.pause.as_ref().map(|pause| pause.until.saturating_duration_since(now));
        let cool_down = self.breaker.quarantine().and_then(|quarantine| match quarantine.stage {
            Stage::CoolDown { until } => Some(until.saturating_sub(self.time(now))),
            Stage::Awaits | Stage::Trial(_) => None,
        });
        pause.into_iter().chain(cool_down).min()
    }

    /// What dispatch goes by. A client that awaits its trial is ready for it.
    pub fn state(&self) -> ClientState {
        if self.enlisted == Enlisted::Configured && !self.breaker.takes_work() {
            ClientState::Quarantined
        } else {
            self.state_but_for_quarantine()
        }
    }

    fn state_but_for_quarantine(&self) -> ClientState {
        match self.enlisted {
            Enlisted::Gone => return ClientState::Gone,
            Enlisted::Removed => return ClientState::Draining,
            Enlisted::Configured => {}
        }
        if !self.heard_since_start {
            ClientState::Joining
        } else if self.contact.is_silent() || self.trouble.is_some() || self.setbacks.pause.is_some() {
            ClientState::Suspect
        } else {
            ClientState::Ready
        }
    }

    /// Whether a delivery that was not tried yet may go out. In quarantine the first that asks becomes the trial, and may
    /// ask again.
    pub fn admits(&mut self, assignment: AssignmentId) -> bool {
        self.state_but_for_quarantine() == ClientState::Ready && self.breaker.admits(assignment)
    }

    /// Why it is in its state, in a few stable words; nothing for a client that takes any work.
    pub fn reason(&self) -> Option<String> {
        if self.enlisted != Enlisted::Configured {
            return Some("removed".to_owned());
        }
        if let Some(quarantine) = self.breaker.quarantine() {
            let stage = match quarantine.stage {
                Stage::CoolDown { .. } => "",
                Stage::Awaits => ", awaits a trial job",
                Stage::Trial(_) => ", a trial job is under way",
            };
            return Some(format!("{}{stage}", quarantine.cause));
        }
        if let Some(refusal) = self.contact.refusal() {
            return Some(format!("refused: {refusal}"));
        }
        if self.contact.is_silent() {
            return Some("silent".to_owned());
        }
        if let Some(trouble) = &self.trouble {
            return Some(trouble.clone());
        }
        if let Some(pause) = &self.setbacks.pause {
            return Some(format!("backing-off: {}", pause.why));
        }
        (!self.heard_since_start).then(|| "not-heard-of".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use domain::breaker::Sign;

    use super::*;

    fn belief(now: Instant) -> Belief {
        Belief::new(Enlisted::Configured, Breaker::new(Duration::from_secs(600)), now)
    }

    fn seen(belief: &Belief) -> (ClientState, Option<String>) {
        (belief.state(), belief.reason())
    }

    fn told(state: ClientState, reason: &str) -> (ClientState, Option<String>) {
        (state, Some(reason.to_owned()))
    }

    #[test]
    fn whatever_speaks_against_a_client_is_told_and_all_of_it_must_go() {
        let now = Instant::now();
        let mut belief = belief(now);
        assert_eq!(seen(&belief), told(ClientState::Joining, "not-heard-of"));
        belief.contact.unanswered(now, Some("wrong-key"), Duration::from_secs(300));
        assert_eq!(seen(&belief), told(ClientState::Joining, "refused: wrong-key"));
        belief.heard();
        assert_eq!(seen(&belief), (ClientState::Ready, None));
        belief.set_back("no-free-slot", now);
        belief.trouble = Some("disk-full".to_owned());
        belief.contact.doubt(now);
        assert_eq!(seen(&belief), told(ClientState::Suspect, "silent"));
        belief.heard();
        assert_eq!(seen(&belief), told(ClientState::Suspect, "disk-full"));
        belief.trouble = None;
        assert_eq!(seen(&belief), told(ClientState::Suspect, "backing-off: no-free-slot"));
        belief.look(now + PAUSES[0], |_| true);
        assert_eq!(seen(&belief), (ClientState::Ready, None));
        belief.enlisted = Enlisted::Removed;
        assert_eq!(seen(&belief), told(ClientState::Draining, "removed"));
    }

    #[test]
    fn setbacks_in_a_row_pause_longer_and_a_delivery_forgives() {
        let mut now = Instant::now();
        let mut belief = belief(now);
        belief.heard();
        let mut pauses = Vec::new();
        for _ in 0..PAUSES.len() + 2 {
            belief.set_back("no-free-slot", now);
            // The same setback.
            belief.set_back("no-free-slot", now);
            let pause = belief.next_look(now).unwrap();
            pauses.push(pause);
            now += pause;
            belief.look(now, |_| true);
            assert_eq!(belief.state(), ClientState::Ready);
        }
        assert_eq!(pauses[..PAUSES.len()], PAUSES);
        assert_eq!(pauses.last(), PAUSES.last());
        belief.delivered();
        belief.set_back("no-free-slot", now);
        assert_eq!(belief.next_look(now), Some(PAUSES[0]));
    }

    #[test]
    fn a_quarantine_outlasts_silence_and_its_trial_is_offered_in_time() {
        let now = Instant::now();
        let mut belief = belief(now);
        belief.heard();
        for second in [0, 10, 20] {
            belief.breaker.sign(Sign::Fault, domain::breaker::Form::default(), Duration::from_secs(second));
        }
        assert_eq!(seen(&belief), told(ClientState::Quarantined, "faults"));
        belief.contact.doubt(now);
        belief.heard();
        assert_eq!(belief.state(), ClientState::Quarantined);
        let pause = belief.next_look(now).unwrap();
        assert_eq!(pause, Duration::from_secs(620));
        belief.look(now + pause, |_| true);
        assert_eq!(seen(&belief), told(ClientState::Ready, "faults, awaits a trial job"));
        let [trial, other] = [1, 2].map(|number| AssignmentId::from_random([number; 16]));
        assert!(belief.admits(trial) && belief.admits(trial) && !belief.admits(other));
        assert_eq!(seen(&belief), told(ClientState::Quarantined, "faults, a trial job is under way"));
    }
}
