//! How long a client may be silent, and what that means for its jobs. Pure.

use std::time::{Duration, Instant};

/// From the first unanswered call until the client's jobs are shown as Unknown: longer than a client's restart.
const UNKNOWN_AFTER: Duration = Duration::from_secs(5);
/// Pauses between tries to reach a silent client.
const RETRY: [Duration; 5] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
];

/// The silence of one client.
#[derive(Debug, Default)]
pub struct Contact {
    silent: Option<Silence>,
}

#[derive(Debug)]
struct Silence {
    since: Instant,
    tries: usize,
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

    /// Another call went unanswered at `now`: what that means, and how long to wait before the next.
    pub fn unanswered(&mut self, now: Instant, lost_after: Duration) -> (Verdict, Duration) {
        let silence = self.silent.get_or_insert(Silence { since: now, tries: 0 });
        let pause = RETRY.get(silence.tries).or(RETRY.last()).copied().unwrap_or(UNKNOWN_AFTER);
        silence.tries += 1;
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
            [0, 4, 5, 299, 300].map(|seconds| contact.unanswered(at(seconds), lost_after).0).to_vec();
        assert_eq!(verdicts, [Suspect, Suspect, JobsUnknown, JobsUnknown, JobsLost]);
        contact.answered();
        assert_eq!(contact.unanswered(at(301), lost_after), (Suspect, RETRY[0]));
    }
}
