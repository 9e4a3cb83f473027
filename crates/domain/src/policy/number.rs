//! Numbers of policies.

/// To the nearest whole number; 0 for what is below or no number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the cast stops at both ends of u64")]
pub(crate) fn whole(number: f64) -> u64 {
    number.round() as u64
}
