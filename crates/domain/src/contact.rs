//! What becomes of an attempt whose client and server cannot hear each other.

use std::time::Duration;

/// A service's choice for its attempts on a client that is cut off from the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OnContactLost {
    /// The attempt goes on and may deliver; once it was given up for lost it may overlap its one successor.
    #[default]
    Finish,
    /// The client ends the attempt before the server gives it up, so that no two of a job ever run at once.
    Stop,
}

/// Of the time that a client may be silent, what a client that has to stop leaves to the server's clock and to the last
/// message on its way: a twentieth, and at least a second.
const STOP_MARGIN: (u32, Duration) = (20, Duration::from_secs(1));

impl OnContactLost {
    /// How long an attempt may go on after the last proof of contact, given how long a client may be silent before the
    /// server declares it lost; `None` where it may go on for ever.
    #[must_use]
    pub fn stop_after(self, lost_after: Duration) -> Option<Duration> {
        match self {
            Self::Finish => None,
            Self::Stop => Some(lost_after.saturating_sub(STOP_MARGIN.1.max(lost_after / STOP_MARGIN.0))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stopping_attempt_ends_before_its_client_is_given_up() {
        for seconds in [0, 1, 2, 10, 300, 86_400] {
            let lost_after = Duration::from_secs(seconds);
            let stop_after = OnContactLost::Stop.stop_after(lost_after).unwrap();
            assert!(stop_after < lost_after || lost_after.is_zero());
        }
        assert_eq!(OnContactLost::Stop.stop_after(Duration::from_secs(300)), Some(Duration::from_secs(285)));
        assert_eq!(OnContactLost::Finish.stop_after(Duration::from_secs(300)), None);
    }
}
