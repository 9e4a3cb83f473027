//! The client's slots and who waits for them.
//!
//! First come, first started: the server decides whose turn it is and does not send more than fits, so that a wait here
//! is the exception (a server that was restarted, an attempt that was believed over).

use std::collections::VecDeque;

use domain::AssignmentId;

#[derive(Debug)]
pub struct Slots {
    total: u32,
    used: u32,
    waiting: VecDeque<(AssignmentId, u32)>,
}

impl Slots {
    #[must_use]
    pub fn new(total: u32) -> Self {
        Self { total, used: 0, waiting: VecDeque::new() }
    }

    #[must_use]
    pub fn total(&self) -> u32 {
        self.total
    }

    #[must_use]
    pub fn used(&self) -> u32 {
        self.used
    }

    #[must_use]
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Takes slots for something that runs already, even more than there are.
    pub fn occupy(&mut self, slots: u32) {
        self.used += slots;
    }

    pub fn free(&mut self, slots: u32) {
        self.used = self.used.saturating_sub(slots);
    }

    pub fn enqueue(&mut self, assignment: AssignmentId, slots: u32) {
        self.waiting.push_back((assignment, slots));
    }

    /// No longer waits.
    pub fn withdraw(&mut self, assignment: AssignmentId) {
        self.waiting.retain(|(waiting, _)| *waiting != assignment);
    }

    /// The next one in turn, if its slots are free; they are taken for it. One that needs more than there are (the
    /// client was started again with fewer) runs alone.
    pub fn next(&mut self) -> Option<AssignmentId> {
        let (assignment, slots) = *self.waiting.front()?;
        if self.used > 0 && self.used + slots > self.total {
            return None;
        }
        self.waiting.pop_front();
        self.used += slots;
        Some(assignment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(n: u8) -> AssignmentId {
        AssignmentId::from_random([n; 16])
    }

    #[test]
    fn large_job_is_not_overtaken() {
        let mut slots = Slots::new(4);
        slots.enqueue(id(1), 3);
        slots.enqueue(id(2), 2);
        slots.enqueue(id(3), 1);
        assert_eq!(slots.next(), Some(id(1)));
        assert_eq!(slots.next(), None);
        slots.free(3);
        assert_eq!((slots.next(), slots.next(), slots.next()), (Some(id(2)), Some(id(3)), None));
        assert_eq!(slots.used(), 3);
    }

    #[test]
    fn withdrawn_job_takes_nothing() {
        let mut slots = Slots::new(1);
        slots.enqueue(id(1), 1);
        slots.withdraw(id(1));
        assert_eq!(slots.next(), None);
        assert_eq!(slots.used(), 0);
    }

    #[test]
    fn job_larger_than_a_shrunk_client_runs_alone() {
        let mut slots = Slots::new(2);
        slots.enqueue(id(1), 4);
        slots.enqueue(id(2), 1);
        assert_eq!((slots.next(), slots.next()), (Some(id(1)), None));
        slots.free(4);
        assert_eq!(slots.next(), Some(id(2)));
    }
}
