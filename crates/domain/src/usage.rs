//! What somebody used, counted less the longer ago it was.

use std::time::Duration;

/// Slot-seconds after `over`, of `used` before it and of `slots` in use all the while: each slot-second counts half as
/// much for every half-life that has passed since. Splitting the time into pieces changes nothing.
#[must_use]
pub fn decayed(used: f64, slots: u32, over: Duration, half_life: Duration) -> f64 {
    if half_life.is_zero() {
        return 0.0;
    }
    let half_life = half_life.as_secs_f64();
    // ln of what is left of one unit: 2^-n = e^-(n ln 2) after n half-lives.
    let left = -over.as_secs_f64() / half_life * std::f64::consts::LN_2;
    // exp_m1 and not 1 - exp: exact for a moment that is short beside the half-life.
    let of_one_slot = -left.exp_m1() * half_life / std::f64::consts::LN_2;
    used * left.exp() + f64::from(slots) * of_one_slot
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() <= 1e-9 * one.abs().max(other.abs()).max(1e-3)
    }

    #[test]
    fn half_of_it_counts_after_one_half_life() {
        let day = Duration::from_secs(86_400);
        assert!(close(decayed(1000.0, 0, day, day), 500.0));
        assert!(close(decayed(1000.0, 0, day * 3, day), 125.0));
    }

    #[test]
    fn short_beside_the_half_life_a_slot_second_is_a_slot_second() {
        assert!(close(decayed(0.0, 4, Duration::from_millis(10), Duration::from_secs(1 << 40)), 0.04));
    }

    #[test]
    fn without_a_half_life_nothing_counts() {
        assert_eq!(decayed(5.0, 1, Duration::from_secs(1), Duration::ZERO).to_bits(), 0.0_f64.to_bits());
    }

    proptest! {
        #[test]
        fn splitting_the_time_changes_nothing(
            used in 0.0..1e9, slots in 0_u32..1000, first in 0_u64..10_000_000, then in 0_u64..10_000_000,
            half_life in 1_u64..10_000_000,
        ) {
            let [first, then, half_life] = [first, then, half_life].map(Duration::from_millis);
            let split = decayed(decayed(used, slots, first, half_life), slots, then, half_life);
            prop_assert!(close(split, decayed(used, slots, first + then, half_life)));
        }

        #[test]
        fn it_is_never_more_than_what_was_used(
            used in 0.0..1e9, slots in 0_u32..1000, over in 0_u64..u64::MAX / 2, half_life in 1_u64..u64::MAX / 2,
        ) {
            let (over, half_life) = (Duration::from_millis(over), Duration::from_millis(half_life));
            let now = decayed(used, slots, over, half_life);
            prop_assert!((0.0..=(used + f64::from(slots) * over.as_secs_f64()) * 1.000_001 + 1e-9).contains(&now));
        }
    }
}
