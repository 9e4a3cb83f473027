//! Numbers in the sentences that policies write.

use std::fmt;

/// A whole number with its digits in groups of three: `1,234`.
pub(crate) struct Grouped(pub(crate) u64);

impl fmt::Display for Grouped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 < 1_000 {
            return self.0.fmt(f);
        }
        write!(f, "{},{:03}", Grouped(self.0 / 1_000), self.0 % 1_000)
    }
}

/// To the nearest whole number; 0 for what is below or no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast stops at both ends of u64")]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}
