//! Whether a page of events can be true. Pure.
//!
//! A client is believed about its own attempts only, and only in order. A page that cannot be true is not used at all:
//! the client counts as not having answered, and is asked for everything it knows. What is merely of no concern here, as
//! events of assignments that are not of this client, is no nonsense: it may be old.

use std::time::Duration;

use domain::End;

use crate::protocol::{EventPage, EventsQuery, What};

/// Longest journal or incarnation id, in bytes; ours have 32.
const LONGEST_ID: usize = 128;
/// Longest text of an end that is kept, in characters.
const LONGEST_TEXT: usize = 1_000;
/// No attempt has run longer: a hundred years, in milliseconds.
const LONGEST_RUN_MS: u64 = 100 * 366 * 24 * 3_600 * 1_000;

/// What cannot be true of this answer to `query`, if anything.
pub(super) fn nonsense(query: &EventsQuery, page: &EventPage) -> Option<String> {
    let ids = [&page.journal, &page.incarnation];
    if ids.into_iter().any(|id| id.is_empty() || id.len() > LONGEST_ID || !id.bytes().all(|b| b.is_ascii_graphic())) {
        return Some("its journal or incarnation is no id".to_owned());
    }
    if !page.full && query.incarnation.as_ref() != Some(&page.incarnation) {
        return Some("it tells what is new in an incarnation that it was not asked about".to_owned());
    }
    if page.trouble.as_ref().is_some_and(|word| !is_word(word)) {
        return Some("its trouble is no word".to_owned());
    }
    let mut last = if page.full { 0 } else { query.after };
    for event in &page.events {
        // A full page names attempts that wait, which have no number yet.
        if page.full && event.seq == 0 && event.what == What::Held {
            continue;
        }
        if event.seq <= last {
            return Some(format!("event {} comes after event {last}", event.seq));
        }
        last = event.seq;
        if let What::Ended { end, duration_ms } = &event.what {
            if *duration_ms > LONGEST_RUN_MS {
                return Some(format!("an attempt ran for {duration_ms} ms"));
            }
            if !is_possible(end) {
                return Some(format!("an attempt ended with {end:?}"));
            }
        }
    }
    None
}

/// Whether it may be shown as a reason: short, and of letters, digits and hyphens.
fn is_word(text: &str) -> bool {
    (1..=40).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
}

fn is_possible(end: &End) -> bool {
    match end {
        End::Exit(code) => (0..=255).contains(code),
        // Linux has 64 signals.
        End::Signal(signal) => (1..=64).contains(signal),
        End::Invalid(_) | End::Limit(_) | End::Killed | End::CutOff => true,
    }
}

/// The end as it is kept: its text is somebody else's, so it is short.
pub(super) fn shortened(end: End) -> End {
    let short = |text: String| text.chars().take(LONGEST_TEXT).collect();
    match end {
        End::Invalid(text) => End::Invalid(short(text)),
        End::Limit(text) => End::Limit(short(text)),
        end => end,
    }
}

/// How long to wait before asking again after a page that brought nothing: a client answers when there is news or the
/// time is up, so one that answers at once, again and again, would keep both sides busy.
pub(super) fn pause(asked_to_wait: Duration, took: Duration, brought_something: bool) -> Option<Duration> {
    const PAUSE: Duration = Duration::from_millis(200);
    (!brought_something && took < asked_to_wait.min(PAUSE)).then_some(PAUSE)
}

#[cfg(test)]
mod tests {
    use domain::AssignmentId;

    use super::*;
    use crate::protocol::ClientEvent;

    fn query(after: u64) -> EventsQuery {
        EventsQuery { incarnation: Some("known".to_owned()), after, ..EventsQuery::default() }
    }

    fn page(full: bool, events: Vec<(u64, What)>) -> EventPage {
        let event = |(seq, what)| ClientEvent { seq, assignment: AssignmentId::from_random([1; 16]), what };
        EventPage {
            journal: "journal".to_owned(),
            incarnation: "known".to_owned(),
            page: 1,
            trouble: None,
            full,
            events: events.into_iter().map(event).collect(),
        }
    }

    fn ended(end: End) -> What {
        What::Ended { end, duration_ms: 1 }
    }

    #[test]
    fn pages_of_a_healthy_client_are_believed() {
        for page in [
            page(false, vec![]),
            page(false, vec![(8, What::Started), (11, ended(End::Exit(0)))]),
            page(true, vec![(0, What::Held), (0, What::Held), (3, What::Started), (4, ended(End::Signal(9)))]),
        ] {
            assert_eq!(nonsense(&query(7), &page), None, "{page:?}");
        }
        let first = EventsQuery::default();
        assert_eq!(nonsense(&first, &page(true, vec![])), None);
    }

    #[test]
    fn pages_that_cannot_be_true_are_not() {
        let strange = |change: fn(&mut EventPage)| {
            let mut page = page(false, vec![]);
            change(&mut page);
            page
        };
        for page in [
            page(false, vec![(7, What::Started)]),
            page(false, vec![(9, What::Started), (8, What::Started)]),
            page(false, vec![(9, What::Started), (9, What::Started)]),
            page(false, vec![(0, What::Held)]),
            page(true, vec![(0, ended(End::Exit(0)))]),
            page(true, vec![(3, What::Started), (0, What::Held), (3, What::Started)]),
            page(false, vec![(9, ended(End::Exit(256)))]),
            page(false, vec![(9, ended(End::Exit(-1)))]),
            page(false, vec![(9, ended(End::Signal(0)))]),
            page(false, vec![(9, What::Ended { end: End::Exit(0), duration_ms: u64::MAX })]),
            strange(|page| page.incarnation = "another".to_owned()),
            strange(|page| page.journal = String::new()),
            strange(|page| page.journal = "x".repeat(1_000)),
            strange(|page| page.incarnation = "a b".to_owned()),
            strange(|page| page.trouble = Some("disk-full\n".to_owned())),
        ] {
            assert!(nonsense(&query(7), &page).is_some(), "{page:?}");
        }
        assert!(nonsense(&EventsQuery::default(), &page(false, vec![])).is_some(), "a first answer is full");
    }

    #[test]
    fn only_a_client_that_answers_nothing_at_once_is_paused() {
        let (long, short) = (Duration::from_secs(15), Duration::from_millis(1));
        assert!(pause(long, short, false).is_some());
        assert_eq!(pause(long, short, true), None);
        assert_eq!(pause(long, long, false), None);
        assert_eq!(pause(Duration::ZERO, short, false), None);
    }
}
