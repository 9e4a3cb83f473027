//! What one call may cost.

use std::time::Duration;

use wasmtime::ResourceLimiter;

/// The limits of one call; they hold for the new instance, `configure` and the question together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// Fuel of a call about nothing; wasmtime takes about one for each instruction.
    pub fuel: u64,
    /// Fuel for each record of the question: a user, a client, a job, an instance.
    pub fuel_per_record: u64,
    /// Time on the processor: the second line behind fuel, for what a single instruction can take long for. Not time on
    /// the clock, so that a busy machine makes no faults.
    pub processor_time: Duration,
    /// Bytes of all linear memories.
    pub memory: usize,
    /// Bytes that an answer may take here.
    pub answer: usize,
}

impl Default for Budget {
    /// Ten times what a question with 1,000 users cost the hungriest guest that was tried, one in JavaScript: 222 M fuel,
    /// 15 ms, 12 MB of memory at its start (../shared/tried-here.md).
    fn default() -> Self {
        Self {
            fuel: 100_000_000,
            fuel_per_record: 2_000_000,
            processor_time: Duration::from_millis(250),
            memory: 128 << 20,
            answer: 8 << 20,
        }
    }
}

impl Budget {
    /// Fuel for a question of so many records.
    #[must_use]
    pub fn fuel_for(&self, records: usize) -> u64 {
        self.fuel.saturating_add(self.fuel_per_record.saturating_mul(records as u64))
    }
}

/// Elements that all tables of an instance may have; the guests that were tried need some hundreds to some thousands.
const TABLE_ELEMENTS: usize = 100_000;

/// Counts what an instance takes. Whoever is refused is stopped at once, whatever the guest would make of it.
#[derive(Debug)]
pub(crate) struct Meter {
    memory_left: usize,
    table_left: usize,
}

/// The instance asked for more memory than its budget.
#[derive(Debug, thiserror::Error)]
#[error("more memory than its budget")]
pub(crate) struct MemoryExceeded;

impl Meter {
    pub(crate) fn new(budget: &Budget) -> Self {
        Self { memory_left: budget.memory, table_left: TABLE_ELEMENTS }
    }

    fn take(left: &mut usize, current: usize, desired: usize) -> wasmtime::Result<bool> {
        let more = desired.saturating_sub(current);
        *left = left.checked_sub(more).ok_or(MemoryExceeded)?;
        Ok(true)
    }
}

impl ResourceLimiter for Meter {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Self::take(&mut self.memory_left, current, desired)
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Self::take(&mut self.table_left, current, desired)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }
}
