//! What users used of a service, each slot-second counted half as much for every half-life since.
//!
//! Kept only where a policy asked for it. A user's figure is brought up to date when the slots of its active jobs change,
//! and read by the closed form in between, so it costs nothing while nothing happens.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use domain::usage::decayed;
use domain::{ServiceName, UserId};

use super::{Ledger, Service};
use crate::clock::UnixMillis;
use crate::row::JobRow;

/// Slot-seconds below which a user without active jobs is not told of.
const TOLD: f64 = 0.001;

/// One user of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UserUsage {
    pub user: UserId,
    /// Slot-seconds, decayed; 0 where no half-life is asked for.
    pub slot_seconds: f64,
    /// Active jobs.
    pub active: u32,
}

/// What the users of one service used.
#[derive(Debug)]
pub(crate) struct Book {
    pub(crate) half_life: Duration,
    users: HashMap<UserId, Used>,
    /// Whether the policy in force asks for it. One that no longer does may again soon: the book is kept up to date.
    asked_for: bool,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    /// As of `at`.
    slot_seconds: f64,
    at: UnixMillis,
    /// In use since.
    slots: u32,
}

impl Used {
    fn now(&self, now: UnixMillis, half_life: Duration) -> f64 {
        decayed(self.slot_seconds, self.slots, between(self.at, now), half_life)
    }
}

/// From one time to a later one; none where a clock was set back.
fn between(from: UnixMillis, to: UnixMillis) -> Duration {
    Duration::from_millis(u64::try_from(to.0.saturating_sub(from.0)).unwrap_or(0))
}

impl Book {
    pub(crate) fn new(half_life: Duration) -> Self {
        Self { half_life, users: HashMap::new(), asked_for: true }
    }

    /// One attempt, as the history tells of it; `end` is missing while it goes on.
    pub(crate) fn add(
        &mut self,
        user: UserId,
        slots: u32,
        start: UnixMillis,
        end: Option<UnixMillis>,
        now: UnixMillis,
    ) {
        let half_life = self.half_life;
        let used = decayed(0.0, slots, between(start, end.unwrap_or(now)), half_life);
        let used = decayed(used, 0, between(end.unwrap_or(now), now), half_life);
        let account = self.at(user, now);
        account.slot_seconds += used;
        account.slots += if end.is_none() { slots } else { 0 };
    }

    /// The user's account, brought up to date.
    fn at(&mut self, user: UserId, now: UnixMillis) -> &mut Used {
        let half_life = self.half_life;
        let account = self.users.entry(user).or_insert(Used { slot_seconds: 0.0, at: now, slots: 0 });
        account.slot_seconds = account.now(now, half_life);
        account.at = account.at.max(now);
        account
    }
}

impl Service {
    /// Whose slots are in use, by the book.
    pub(super) fn counted_slots(&self) -> impl Iterator<Item = (UserId, u32)> {
        let users = self.book.iter().flat_map(|book| &book.users);
        users.filter(|(_, used)| used.slots > 0).map(|(user, used)| (*user, used.slots))
    }

    pub(super) fn usage_of(&self, user: UserId, now: UnixMillis) -> f64 {
        let book = self.book.as_ref().filter(|book| book.asked_for);
        book.and_then(|book| book.users.get(&user).map(|used| used.now(now, book.half_life))).unwrap_or(0.0)
    }

    pub(super) fn take_slots(&mut self, row: &JobRow, now: UnixMillis) {
        if let Some(book) = &mut self.book {
            book.at(row.request.user, now).slots += row.request.slots.get();
        }
    }

    pub(super) fn give_slots_back(&mut self, row: &JobRow, now: UnixMillis) {
        if let Some(book) = &mut self.book {
            let account = book.at(row.request.user, now);
            account.slots = account.slots.saturating_sub(row.request.slots.get());
        }
    }
}

impl Ledger {
    /// Those of `wanted` for which there is no book yet.
    pub(crate) fn without_book(&self, wanted: &BTreeMap<ServiceName, Duration>) -> BTreeMap<ServiceName, Duration> {
        let has = |name: &ServiceName, half_life: Duration| {
            let book = self.services.get(name).and_then(|service| service.book.as_ref());
            book.is_some_and(|book| book.half_life == half_life)
        };
        let wanted = wanted.iter().filter(|(name, half_life)| !has(name, **half_life));
        wanted.map(|(name, half_life)| (name.clone(), *half_life)).collect()
    }

    /// The half-lives of all books.
    pub(crate) fn half_lives(&self) -> BTreeMap<ServiceName, Duration> {
        let books = self.services.iter().filter_map(|(name, service)| Some((name, service.book.as_ref()?)));
        books.map(|(name, book)| (name.clone(), book.half_life)).collect()
    }

    pub(crate) fn put_books(&mut self, books: BTreeMap<ServiceName, Book>) {
        for (name, book) in books {
            self.services.entry(name).or_default().book = Some(book);
        }
    }

    /// Of which services the usage is told from now on.
    pub(crate) fn tell_usage_of(&mut self, asked_for: &BTreeSet<ServiceName>) {
        for (name, service) in &mut self.services {
            if let Some(book) = &mut service.book {
                book.asked_for = asked_for.contains(name);
            }
        }
    }

    pub(crate) fn usage_is_told(&self) -> BTreeSet<ServiceName> {
        let told = |service: &Service| service.book.as_ref().is_some_and(|book| book.asked_for);
        self.services.iter().filter(|(_, service)| told(service)).map(|(name, _)| name.clone()).collect()
    }

    pub(crate) fn usage(&self, service: &ServiceName) -> Vec<UserUsage> {
        let Some(service) = self.services.get(service) else { return Vec::new() };
        let now = self.clock.moment().time;
        let in_book = service.book.iter().flat_map(|book| book.users.keys());
        let users: BTreeSet<UserId> = in_book.chain(service.users.keys()).copied().collect();
        let told = users.into_iter().map(|user| UserUsage {
            user,
            slot_seconds: service.usage_of(user, now),
            active: service.users.get(&user).map_or(0, |turns| turns.active),
        });
        told.filter(|usage| usage.active > 0 || usage.slot_seconds >= TOLD).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    /// Two slots for an hour, one of them for another, and an hour of nothing: as it happens, and from the history.
    #[test]
    fn what_is_counted_as_it_happens_is_what_the_history_says() {
        let user = UserId::try_from(1).unwrap();
        let at = |hours: i64| UnixMillis(hours * HOUR);
        let half_life = Duration::from_secs(3600);
        let mut counted = Book::new(half_life);
        counted.at(user, at(0)).slots = 2;
        counted.at(user, at(1)).slots = 1;
        counted.at(user, at(2)).slots = 0;
        let mut told = Book::new(half_life);
        told.add(user, 1, at(0), Some(at(1)), at(3));
        told.add(user, 1, at(0), Some(at(2)), at(3));
        let [counted, told] = [counted, told].map(|book| book.users[&user].now(at(3), half_life));
        assert!((counted - told).abs() < 1e-6, "{counted} and {told}");
        let one_hour = 3600.0 / std::f64::consts::LN_2 / 2.0;
        assert!((counted - one_hour).abs() < 1e-6, "(2/4 + 1/2) of an hour's slot: {counted}");
    }
}
