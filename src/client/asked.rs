//! Whether the server asks for news, and for how long it has not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// What is known of the server's questions.
#[derive(Debug)]
pub struct Asked(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Questions that wait for news.
    open: usize,
    /// When the last one ended; at first, the start.
    last: Instant,
}

/// A question, until it is answered or nobody waits for the answer any more.
#[derive(Debug)]
pub struct Question<'a>(&'a Asked);

impl Asked {
    /// Nobody has asked yet.
    #[must_use]
    pub fn start() -> Self {
        Self(Mutex::new(State { open: 0, last: Instant::now() }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The server asks.
    pub fn begin(&self) -> Question<'_> {
        self.state().open += 1;
        Question(self)
    }

    /// How long nobody has asked.
    pub fn silence(&self) -> Duration {
        let state = self.state();
        if state.open > 0 { Duration::ZERO } else { state.last.elapsed() }
    }
}

impl Drop for Question<'_> {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.open = state.open.saturating_sub(1);
        state.last = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_silent_while_a_question_waits_and_silence_counts_from_its_end() {
        let asked = Asked::start();
        let (first, second) = (asked.begin(), asked.begin());
        drop(first);
        assert_eq!(asked.silence(), Duration::ZERO);
        let before_the_end = Instant::now();
        drop(second);
        assert!(asked.silence() <= before_the_end.elapsed());
    }
}
