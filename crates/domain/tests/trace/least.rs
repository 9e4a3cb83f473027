//! The least that any scaler needs that knows the future and gives the same jobs the same starts and ends.
//!
//! **Least capacity.** At an instant at which the jobs that run take `s` slots, no scaler has fewer than `k = ⌈s / size⌉`
//! instances up. (The trace's jobs take powers of two and the sizes are powers of two, so those are enough at each instant,
//! if jobs could be moved; nobody can move them, so the bound is below what is possible.)
//!
//! **Cost.** Each launch costs the boot, `boot` seconds that are billed before an instance takes work, which is no less
//! than the minute that is billed at least; then it costs its time up. Let `x(t) ≥ k(t)` be how many a scaler has up.
//! It pays `∫x + boot × launches`, and it launches at least as often as `x` rises.
//!
//! **Levels.** `∫x` is the sum over n = 1, 2, … of the time in which `x ≥ n`, and the rises of `x` are the sum of the rises
//! of these levels; wherever `k ≥ n`, also `x ≥ n`. So no scaler pays less than the sum of what each level pays alone, and a
//! level alone has one choice in each gap of `k ≥ n`: to stay up, which costs the gap, or to end and to be launched again,
//! which costs a boot. The cheaper of both, gap by gap, is the least. (The same structure: Lu and Chen, "Simple and Effective
//! Dynamic Provisioning for Power-Proportional Data Centers", arXiv:1112.0442.)
//!
//! **By the same rule.** A scaler that may end an instance only when that has had no work for `idle` seconds, as a pool's
//! settings demand: of whatever was up at an instant within the last `idle` seconds and is not up any more, nothing had work
//! then, so what is still up had all of it, and level n goes down only after `k < n` for `idle` seconds. So a gap shorter
//! than that costs the gap, any other the gap or `idle + boot`, whatever is less, and the last one costs `idle`. (That none
//! is ended before its minimum life, and the cooldown after a launch or a drain, could only cost more.)
//!
//! Of the launches: those of the scaler that needs the least time; where both ways cost the same, the one without a launch.

/// What a scaler needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Least {
    /// Billed, of all instances together.
    pub seconds: u64,
    pub launches: u64,
}

/// `work` has the start, the end and the slots of each job; an instance has `size` slots, takes `boot` seconds before it
/// takes work, and may end once it has been idle for `idle`.
pub fn least(work: &[(u64, u64, u32)], size: u32, boot: u64, idle: u64) -> Least {
    let mut least = Least::default();
    for busy in levels(&needed(work, size)) {
        let (Some(first), Some(last)) = (busy.first(), busy.last()) else { continue };
        least.launches += 1;
        least.seconds += boot + (last.1 - first.0) + idle;
        for pair in busy.windows(2) {
            let gap = pair[1].0 - pair[0].1;
            let again = idle + boot;
            if gap >= idle && again < gap {
                least.launches += 1;
                least.seconds -= gap - again;
            }
        }
    }
    least
}

/// From when on how many instances are needed; what ends at an instant makes room for what starts then.
pub fn needed(work: &[(u64, u64, u32)], size: u32) -> Vec<(u64, u64)> {
    let mut changes: Vec<(u64, i64)> =
        work.iter().flat_map(|(from, to, slots)| [(*from, i64::from(*slots)), (*to, -i64::from(*slots))]).collect();
    changes.sort_unstable();
    let mut needed: Vec<(u64, u64)> = Vec::new();
    let mut slots = 0_i64;
    for (index, (time, change)) in changes.iter().enumerate() {
        slots += change;
        let is_last_at_its_time = changes.get(index + 1).is_none_or(|(next, _)| next != time);
        let count = slots.unsigned_abs().div_ceil(u64::from(size));
        if is_last_at_its_time && needed.last().map_or(0, |(_, before)| *before) != count {
            needed.push((*time, count));
        }
    }
    needed
}

/// Of each level the times in which so many are needed.
fn levels(needed: &[(u64, u64)]) -> Vec<Vec<(u64, u64)>> {
    let most = needed.iter().map(|(_, count)| *count).max().unwrap_or(0);
    let busy = |level: u64| {
        let mut busy: Vec<(u64, u64)> = Vec::new();
        let mut since = None;
        for (time, count) in needed {
            match (since, *count >= level) {
                (None, true) => since = Some(*time),
                (Some(from), false) => {
                    busy.push((from, *time));
                    since = None;
                }
                _ => {}
            }
        }
        busy
    };
    (1..=most).map(busy).collect()
}
