//! How long a client may be silent, and what that means for its jobs. Pure.

use std::time::{Duration, Instant};

/// From the first unanswered call until the client's jobs are shown as Unknown: longer than a client's restart.
const UNKNOWN_AFTER: Duration = Duration::from_secs(5);
/// Pauses between tries to reach a silent client. The longest is also how late it is noticed when it comes back.
const RETRY: [Duration; 6] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
];

/// Whether one client answers.
#[derive(Debug, Default)]
pub struct Contact {
    silent: Option<Silence>,
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    tries: usize,
    /// Its own word, if it answers only to refuse us.
    refusal: Option<String>,
}

/// What one more unanswered call means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// No new work for it; its jobs are as they were.
    Suspect,
    /// Its jobs are Unknown.
    JobsUnknown,
    /// Its jobs are lost.
    JobsLost,
}

impl Contact {
    pub fn answered(&mut self) {
        self.silent = None;
    }

    #[must_use]
    pub fn is_silent(&self) -> bool {
        self.silent.is_some()
    }

    /// How long nothing that counts was heard of it.
    #[must_use]
    pub fn silent_for(&self, now: Instant) -> Option<Duration> {
        self.silent.as_ref().map(|silence| now.saturating_duration_since(silence.since))
    }

    /// Its own word, if it is there and refuses us, as with a wrong key: no silence, and to the jobs it is the same.
    #[must_use]
    pub fn refusal(&self) -> Option<&str> {
        self.silent.as_ref()?.refusal.as_deref()
    }

    /// A call of somebody else's went wrong: the client has to be heard before it counts as answering again.
    pub fn doubt(&mut self, now: Instant) {
        self.silent.get_or_insert(Silence { since: now, tries: 0, refusal: None });
    }

    /// Another call went unanswered at `now`, or was refused with a word: what that means, and how long to wait before
    /// the next.
    pub fn unanswered(&mut self, now: Instant, refusal: Option<&str>, lost_after: Duration) -> (Verdict, Duration) {
        let silence = self.silent.get_or_insert(Silence { since: now, tries: 0, refusal: None });
        let pause = RETRY.get(silence.tries).or(RETRY.last()).copied().unwrap_or(UNKNOWN_AFTER);
        silence.tries += 1;
        silence.refusal = refusal.map(str::to_owned);
        let silent_for = now.duration_since(silence.since);
        let verdict = if silent_for >= lost_after {
            Verdict::JobsLost
        } else if silent_for >= UNKNOWN_AFTER {
            Verdict::JobsUnknown
        } else {
            Verdict::Suspect
        };
        (verdict, pause)
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict::{JobsLost, JobsUnknown, Suspect};
    use super::*;

    #[test]
    fn silence_makes_jobs_unknown_then_lost_and_an_answer_forgives() {
        let start = Instant::now();
        let lost_after = Duration::from_secs(300);
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut contact = Contact::default();
        let verdicts: Vec<_> =
            [0, 4, 5, 299, 300].map(|seconds| contact.unanswered(at(seconds), None, lost_after).0).to_vec();
        assert_eq!(verdicts, [Suspect, Suspect, JobsUnknown, JobsUnknown, JobsLost]);
        contact.answered();
        assert_eq!(contact.unanswered(at(301), None, lost_after), (Suspect, RETRY[0]));
    }

    #[test]
    fn silence_counts_from_the_first_doubt_and_tells_a_refusal_from_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut contact = Contact::default();
        contact.doubt(at(0));
        assert_eq!((contact.silent_for(at(3)), contact.refusal()), (Some(Duration::from_secs(3)), None));
        assert_eq!(contact.unanswered(at(6), Some("wrong-key"), Duration::from_secs(300)).0, JobsUnknown);
        assert_eq!(contact.refusal(), Some("wrong-key"));
        contact.unanswered(at(7), None, Duration::from_secs(300));
        assert_eq!(contact.refusal(), None);
    }
}
