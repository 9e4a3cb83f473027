//! What every event makes of every state of an instance.

use std::collections::BTreeSet;

use domain::pool::instance::{Call, DrainReason, EndReason, Refusal, RefusalKind, Unanswered};
use domain::pool::{
    Event, Instance, InstanceId, InstanceState as State, Launch, Lifecycle, Moment, Offer, Price, transition,
};

const NOW: Moment = Moment(10_000);
const BEFORE: Moment = Moment(1_000);

fn instance(state: State) -> Instance {
    let launch = Launch {
        of_type: "small".parse().unwrap(),
        place: "a".parse().unwrap(),
        lifecycle: Lifecycle::Spot,
        price: Price::try_from(0.1).unwrap(),
        shapes: BTreeSet::new(),
    };
    Instance { state, ..Instance::requested(InstanceId(7), "burst".parse().unwrap(), launch, BEFORE) }
}

fn draining(why: DrainReason, client: bool) -> State {
    State::Draining {
        provider: "i-1".parse().unwrap(),
        client: client.then(|| "c".parse().unwrap()),
        since: BEFORE,
        up_since: BEFORE,
        why,
        deadline: None,
    }
}

/// In the order of the table's columns.
fn states() -> Vec<State> {
    let (provider, since) = (|| "i-1".parse().unwrap(), BEFORE);
    let why = EndReason::BootTimeout;
    vec![
        State::Requested { call: Call::Open { repeated: false } },
        State::Requested { call: Call::Open { repeated: true } },
        State::Requested { call: Call::Broken },
        State::Requested { call: Call::Taken { since } },
        State::Booting { provider: provider(), since },
        State::Ready { provider: provider(), client: "c".parse().unwrap(), since },
        draining(DrainReason::NotNeeded, true),
        draining(DrainReason::NotNeeded, false),
        draining(DrainReason::SpotNotice, true),
        State::Terminating { provider: provider(), since, why: why.clone() },
        State::Gone { since, why },
    ]
}

fn refused(kind: RefusalKind) -> Event {
    Event::LaunchRefused(Refusal { kind, code: "Code".to_owned() })
}

fn drain(why: DrainReason) -> Event {
    Event::Drain { why, deadline: None }
}

/// In the order of the table's rows.
fn events() -> Vec<Event> {
    vec![
        Event::LaunchRepeated,
        Event::Launched("i-2".parse().unwrap()),
        refused(RefusalKind::NoCapacity),
        refused(RefusalKind::Limit),
        refused(RefusalKind::Throttled),
        refused(RefusalKind::Denied),
        refused(RefusalKind::Other),
        Event::LaunchUnanswered(Unanswered::Lost),
        Event::LaunchUnanswered(Unanswered::TokenTaken),
        Event::Found("i-2".parse().unwrap()),
        Event::Registered { client: "d".parse().unwrap(), offer: Offer::default() },
        Event::BootTimedOut,
        drain(DrainReason::NotNeeded),
        drain(DrainReason::Operator),
        drain(DrainReason::SpotNotice),
        Event::Undrain,
        Event::FoundIdle,
        Event::DeadlinePassed,
        Event::Ended,
        Event::Missing,
    ]
}

/// The letter is the state after it: requested with its call Open, Kept broken or Taken, Booting, Ready, Draining,
/// Terminating, Gone (X); `.` changes nothing.
const TABLE: [&str; 20] = [
    // the call  up  draining  end
    //OoKT BR DdS TX
    "..O. .. ... ..", // launch repeated
    "BBBB .. ... ..", // launched
    "XX.. .. ... ..", // no capacity
    "XX.. .. ... ..", // limit
    "XK.. .. ... ..", // throttled: of a repeat it says nothing about the first call
    "XK.. .. ... ..", // denied
    "XK.. .. ... ..", // other
    "KK.. .. ... ..", // unanswered
    "TT.. .. ... ..", // token taken
    "BBBB .. ... ..", // found
    ".... R. ... ..", // registered
    ".... T. ... ..", // boot timed out
    ".... DD ... ..", // not needed
    ".... DD DD. ..", // operator
    ".... DD DD. ..", // spot notice
    ".... .. RB. ..", // undrain
    ".... .. TTT ..", // found idle: never before it drains
    ".... .. ... ..", // deadline passed: there is none
    ".... XX XXX X.", // ended
    "...X XX XXX X.", // missing: nothing is concluded while a call runs or its answer is unknown
];

fn letter(instance: &Instance, event: &Event) -> char {
    let Some(after) = transition(instance, event, NOW) else { return '.' };
    assert_ne!(after, *instance, "{event:?} of {:?} changes something", instance.state);
    match after.state {
        State::Requested { call: Call::Open { .. } } => 'O',
        State::Requested { call: Call::Broken } => 'K',
        State::Requested { call: Call::Taken { .. } } => 'T',
        State::Booting { .. } => 'B',
        State::Ready { .. } => 'R',
        State::Draining { .. } => 'D',
        State::Terminating { .. } => 'T',
        State::Gone { .. } => 'X',
    }
}

#[test]
fn every_event_makes_of_every_state_of_an_instance_what_the_table_says() {
    for (event, expected) in events().iter().zip(TABLE) {
        let row: String = states().into_iter().map(|state| letter(&instance(state), event)).collect();
        assert_eq!(row, expected.replace(' ', ""), "{event:?}");
    }
}

#[test]
fn a_protected_instance_drains_for_the_provider_only_and_ends_by_it_only() {
    for state in states() {
        let protected = Instance { protected: true, ..instance(state.clone()) };
        for why in [DrainReason::NotNeeded, DrainReason::Removed, DrainReason::Operator] {
            assert_eq!(transition(&protected, &drain(why), NOW), None);
        }
        assert_eq!(transition(&protected, &Event::FoundIdle, NOW), None);
        let drains = matches!(state, State::Booting { .. } | State::Ready { .. } | State::Draining { .. });
        let noticed = matches!(state, State::Draining { why: DrainReason::SpotNotice, .. });
        assert_eq!(transition(&protected, &drain(DrainReason::SpotNotice), NOW).is_some(), drains && !noticed);
    }
}

#[test]
fn a_drain_ends_work_only_at_the_deadline_that_an_operator_set() {
    let ready = instance(states()[5].clone());
    let set = |deadline| transition(&ready, &Event::Drain { why: DrainReason::Operator, deadline }, NOW).unwrap();
    assert_eq!(transition(&set(None), &Event::DeadlinePassed, Moment(u64::MAX)), None);
    let due = set(Some(Moment(20_000)));
    assert_eq!(transition(&due, &Event::DeadlinePassed, Moment(19_999)), None);
    let ended = transition(&due, &Event::DeadlinePassed, Moment(20_000)).unwrap();
    assert!(matches!(ended.state, State::Terminating { why: EndReason::DeadlinePassed, .. }));
}

#[test]
fn what_drained_and_is_wanted_again_is_as_old_as_it_was() {
    let ready = instance(states()[5].clone());
    let drained = transition(&ready, &drain(DrainReason::NotNeeded), NOW).unwrap();
    assert_eq!(transition(&drained, &Event::Undrain, NOW), Some(ready));
}

#[test]
fn it_costs_from_the_moment_at_which_it_is_known_to_be_there() {
    let asked = instance(State::Requested { call: Call::Open { repeated: false } });
    assert_eq!(asked.launched_at, None);
    for event in [Event::Launched("i-2".parse().unwrap()), Event::Found("i-2".parse().unwrap())] {
        assert_eq!(transition(&asked, &event, NOW).unwrap().launched_at, Some(NOW));
    }
}
