//! What every event makes of every state.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use domain::{AssignmentId, End, Event, Failure, KillProof, Placement, Progress, State, Status, retry, transition};

fn placement() -> Placement {
    Placement { assignment: AssignmentId::from_random([7; 16]), client: "a".parse().unwrap() }
}

fn state(status: Status) -> State {
    match status {
        Status::Queued => State::Queued,
        Status::Processing => State::Processing(placement()),
        Status::Submitted => State::Submitted(placement()),
        Status::Running => State::Running(placement()),
        Status::Unknown => State::Unknown(placement()),
        Status::Completed => State::Completed,
        Status::Failed => State::Failed(Failure::Exit(1)),
        Status::Invalid => State::Invalid("no run.sh".to_owned()),
        Status::Killed => State::Killed(KillProof::Gone),
        Status::Cleaned => State::Cleaned,
    }
}

/// What an event is written as in the table; a new event or end must be given a row before this compiles and passes.
fn row(event: &Event) -> usize {
    match event {
        Event::Assigned(_) => 0,
        Event::Delivered => 1,
        Event::NotDelivered => 2,
        Event::Started => 3,
        Event::Ended(End::Exit(0)) => 4,
        Event::Ended(End::Exit(_)) => 5,
        Event::Ended(End::Signal(_)) => 6,
        Event::Ended(End::Invalid(_)) => 7,
        Event::Ended(End::Limit(_)) => 8,
        Event::Ended(End::Killed) => 9,
        Event::Ended(End::CutOff) => 10,
        Event::ContactLost => 11,
        Event::ContactRegained { started: true } => 12,
        Event::ContactRegained { started: false } => 13,
        Event::DeclaredLost => 14,
        Event::KillRequested => 15,
        Event::Expired => 16,
    }
}

fn events() -> Vec<Event> {
    vec![
        Event::Assigned(placement()),
        Event::Delivered,
        Event::NotDelivered,
        Event::Started,
        Event::Ended(End::Exit(0)),
        Event::Ended(End::Exit(3)),
        Event::Ended(End::Signal(11)),
        Event::Ended(End::Invalid("no run.sh".to_owned())),
        Event::Ended(End::Limit("results".to_owned())),
        Event::Ended(End::Killed),
        Event::Ended(End::CutOff),
        Event::ContactLost,
        Event::ContactRegained { started: true },
        Event::ContactRegained { started: false },
        Event::DeclaredLost,
        Event::KillRequested,
        Event::Expired,
    ]
}

/// One row an event, one column a state in the order of `Status::ALL`. The letter is the state after it: Queued,
/// Processing, Submitted, Running, Unknown, Completed, Failed, Invalid, Killed, cleaned (X); `=` is the same state with
/// the request noted; `.` changes nothing.
const TABLE: [&str; 17] = [
    //QPSRU CFIKX
    "P.... .....", // assigned
    ".S... .....", // delivered
    ".Q... .....", // not delivered
    ".RR.R .....", // started
    ".CCCC .....", // exit 0
    ".FFFF .....", // exit 3
    ".FFFF .....", // signal
    ".IIII .....", // invalid
    ".FFFF .....", // limit
    ".KKKK .....", // killed
    ".QQQQ .....", // cut off
    "..UU. .....", // contact lost
    "....R .....", // contact regained, started
    "....S .....", // contact regained, not started
    ".QQQQ .....", // declared lost
    "K==== .....", // kill requested
    "..... XXXX.", // expired
];

/// The same for a job whose end was asked for.
const TABLE_KILL_REQUESTED: [&str; 17] = [
    //QPSRU CFIKX
    "..... .....", // assigned
    ".S... .....", // delivered
    ".K... .....", // not delivered
    ".RR.R .....", // started
    ".CCCC .....", // exit 0: what the journal recorded first is the end
    ".FFFF .....", // exit 3
    ".FFFF .....", // signal
    ".IIII .....", // invalid
    ".FFFF .....", // limit
    ".KKKK .....", // killed
    ".KKKK .....", // cut off
    "..UU. .....", // contact lost
    "....R .....", // contact regained, started
    "....S .....", // contact regained, not started
    ".KKKK .....", // declared lost
    "K.... .....", // kill requested
    "..... XXXX.", // expired
];

fn letter(before: &Progress, event: &Event) -> char {
    match transition(before, event) {
        None => '.',
        Some(after) if after.state == before.state => '=',
        Some(after) if after.state == State::Cleaned => 'X',
        Some(after) => after.state.status().as_str().chars().next().unwrap(),
    }
}

#[test]
fn every_event_makes_of_every_state_what_the_table_says() {
    for (kill_requested, table) in [(false, TABLE), (true, TABLE_KILL_REQUESTED)] {
        let events = events();
        assert_eq!(events.len(), table.len());
        for (index, event) in events.iter().enumerate() {
            assert_eq!(row(event), index, "{event:?} is out of place");
            let job = |status| Progress { state: state(status), attempt: 1, lost: 0, kill_requested };
            let mut letters: String = Status::ALL.iter().map(|status| letter(&job(*status), event)).collect();
            letters.insert(5, ' ');
            assert_eq!(letters, table[index], "{event:?}, kill requested: {kill_requested}");
        }
    }
}

#[test]
fn an_assignment_counts_an_attempt_and_nothing_else_does() {
    for event in events() {
        for status in Status::ALL {
            let job = Progress { state: state(status), attempt: 4, lost: 1, kill_requested: false };
            if let Some(after) = transition(&job, &event) {
                let assigned = u32::from(matches!(event, Event::Assigned(_)));
                assert_eq!(after.attempt, job.attempt + assigned, "{status} {event:?}");
            }
        }
    }
}

#[test]
fn a_lost_attempt_spends_a_retry_and_the_one_after_the_last_fails() {
    for event in [Event::DeclaredLost, Event::Ended(End::CutOff)] {
        let mut job = Progress::accepted();
        for lost in 1..=retry::INFRASTRUCTURE_RETRIES {
            job.state = State::Running(placement());
            job = transition(&job, &event).unwrap();
            assert_eq!((&job.state, job.lost), (&State::Queued, lost));
        }
        job.state = State::Running(placement());
        assert_eq!(transition(&job, &event).unwrap().state, State::Failed(Failure::RetriesSpent));
    }
}

#[test]
fn what_cannot_have_started_spends_no_retry() {
    let job = Progress { state: State::Processing(placement()), attempt: 1, lost: 3, kill_requested: false };
    let after = transition(&job, &Event::NotDelivered).unwrap();
    assert_eq!((after.state, after.lost), (State::Queued, 3));
}

#[test]
fn a_request_to_end_is_kept_through_every_event() {
    for event in events() {
        for status in Status::ALL {
            let job = Progress { state: state(status), attempt: 1, lost: 0, kill_requested: true };
            assert!(transition(&job, &event).is_none_or(|after| after.kill_requested), "{status} {event:?}");
        }
    }
}
