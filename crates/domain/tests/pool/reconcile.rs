//! Rows held against a provider's list.

use std::collections::BTreeSet;

use domain::pool::instance::{Call, DrainReason, EndReason, Unanswered};
use domain::pool::reconcile::{NOT_FOUND_AFTER, restarted};
use domain::pool::{
    Event, Instance, InstanceId, InstanceState as State, Listed, Moment, Reconciled, Sightings, Survey, Tag, reconcile,
};

use crate::given::{SECOND, booting, instance, ready};

/// The provider has an instance with the tag of a row.
fn listed(server: &str, row: i64, provider: &str) -> Listed {
    let tag = Tag { server: server.parse().unwrap(), pool: "burst".parse().unwrap(), instance: InstanceId(row) };
    Listed { provider: provider.parse().unwrap(), tag: Some(tag), is_ended: false }
}

fn ended(row: i64, provider: &str) -> Listed {
    Listed { is_ended: true, ..listed("ours", row, provider) }
}

#[derive(Default)]
struct Pass {
    rows: Vec<Instance>,
    listed: Vec<Listed>,
    heard: BTreeSet<InstanceId>,
    working: BTreeSet<domain::pool::ProviderId>,
    sightings: Sightings,
}

impl Pass {
    fn at(&mut self, seconds: u64) -> Reconciled {
        let ours = BTreeSet::from(["ours".parse().unwrap(), "restored".parse().unwrap()]);
        let rows: Vec<&Instance> = self.rows.iter().collect();
        let Self { listed, heard, working, .. } = &*self;
        let survey = Survey { ours: &ours, rows: &rows, heard, working, listed, not_found_after: NOT_FOUND_AFTER };
        let found = reconcile(survey, &self.sightings, Moment(seconds * SECOND));
        self.sightings = found.sightings.clone();
        found
    }
}

fn found(row: i64, provider: &str) -> (InstanceId, Event) {
    (InstanceId(row), Event::Found(provider.parse().unwrap()))
}

fn requested(id: i64, call: Call) -> Instance {
    instance(id, State::Requested { call })
}

fn terminating(id: i64) -> State {
    State::Terminating { provider: format!("i-{id}").parse().unwrap(), since: Moment(0), why: EndReason::BootTimeout }
}

const OPEN: Call = Call::Open { repeated: false };

#[test]
fn a_launch_whose_answer_was_lost_is_found_by_its_tag() {
    for call in [OPEN, Call::Broken, Call::Taken { since: Moment(0) }] {
        let mut pass =
            Pass { rows: vec![requested(1, call)], listed: vec![listed("ours", 1, "i-9")], ..Pass::default() };
        let found_it = pass.at(0);
        assert_eq!((found_it.events, found_it.repeat), (vec![found(1, "i-9")], vec![]), "{call:?}");
    }
}

#[test]
fn what_is_not_found_is_asked_for_again_only_if_the_answer_was_lost() {
    for (call, repeats) in [(OPEN, false), (Call::Broken, true), (Call::Taken { since: Moment(0) }, false)] {
        let mut pass = Pass { rows: vec![requested(1, call)], ..Pass::default() };
        assert_eq!(!pass.at(0).repeat.is_empty(), repeats, "{call:?}");
    }
}

#[test]
fn nothing_is_missing_while_a_call_runs_or_its_answer_is_unknown() {
    for (call, missing) in [(OPEN, false), (Call::Broken, false), (Call::Taken { since: Moment(0) }, true)] {
        let mut pass = Pass { rows: vec![requested(1, call)], ..Pass::default() };
        pass.at(0);
        let events = pass.at(100_000).events;
        assert_eq!(events == [(InstanceId(1), Event::Missing)], missing, "{call:?}: {events:?}");
    }
}

#[test]
fn a_server_that_starts_knows_nothing_of_its_open_calls() {
    let rows = [requested(1, OPEN), requested(2, Call::Broken), instance(3, ready(3))];
    let rows: Vec<&Instance> = rows.iter().collect();
    assert_eq!(restarted(&rows), [(InstanceId(1), Event::LaunchUnanswered(Unanswered::Lost))]);
}

#[test]
fn not_found_is_not_gone_for_five_minutes_of_empty_lists() {
    let draining = State::Draining {
        provider: "i-1".parse().unwrap(),
        client: None,
        since: Moment(0),
        up_since: Moment(0),
        why: DrainReason::NotNeeded,
        deadline: None,
    };
    for state in [booting(1, Moment(0)), ready(1), draining, terminating(1)] {
        let mut pass = Pass { rows: vec![instance(1, state)], ..Pass::default() };
        for seconds in [1_000, 1_060, 1_299] {
            assert_eq!(pass.at(seconds).events, []);
        }
        assert_eq!(pass.at(1_300).events, [(InstanceId(1), Event::Missing)]);
        // Once it was seen, the time starts again.
        pass.listed = vec![listed("ours", 1, "i-1")];
        assert_eq!(pass.at(1_301).events, []);
        pass.listed.clear();
        assert_eq!((pass.at(1_400).events, pass.at(1_699).events), (vec![], vec![]));
    }
}

#[test]
fn what_talks_is_not_missing() {
    let mut pass = Pass { rows: vec![instance(1, ready(1))], heard: [InstanceId(1)].into(), ..Pass::default() };
    assert_eq!((pass.at(0).events, pass.at(10_000).events), (vec![], vec![]));
    pass.heard.clear();
    assert_eq!(pass.at(10_001).events, [], "its time begins now");
}

#[test]
fn what_the_list_says_has_ended_has() {
    for state in [booting(1, Moment(0)), ready(1), terminating(1)] {
        let mut pass = Pass { rows: vec![instance(1, state)], listed: vec![ended(1, "i-1")], ..Pass::default() };
        assert_eq!(pass.at(0).events, [(InstanceId(1), Event::Ended)]);
    }
    let mut pass = Pass { rows: vec![requested(1, Call::Broken)], listed: vec![ended(1, "i-1")], ..Pass::default() };
    assert_eq!(pass.at(0).events, [found(1, "i-1"), (InstanceId(1), Event::Ended)]);
}

#[test]
fn an_end_that_did_not_come_about_is_asked_for_again() {
    let mut pass =
        Pass { rows: vec![instance(1, terminating(1))], listed: vec![listed("ours", 1, "i-1")], ..Pass::default() };
    assert_eq!(pass.at(0).terminate, ["i-1".parse().unwrap()]);
}

#[test]
fn an_orphan_goes_with_the_second_list_that_shows_it() {
    let mut pass = Pass { listed: vec![listed("ours", 7, "i-7"), listed("restored", 8, "i-8")], ..Pass::default() };
    assert_eq!(pass.at(0).terminate, []);
    assert_eq!(pass.at(60).terminate, ["i-7".parse().unwrap(), "i-8".parse().unwrap()]);
    pass.listed.clear();
    pass.at(120);
    pass.listed = vec![listed("ours", 7, "i-7")];
    assert_eq!(pass.at(180).terminate, [], "it has to be seen twice in a row");
}

#[test]
fn an_orphan_whose_client_works_is_left_to_it() {
    let mut pass =
        Pass { listed: vec![listed("ours", 7, "i-7")], working: ["i-7".parse().unwrap()].into(), ..Pass::default() };
    pass.at(0);
    assert_eq!(pass.at(60).terminate, []);
    pass.working.clear();
    assert_eq!(pass.at(120).terminate, ["i-7".parse().unwrap()]);
}

#[test]
fn a_second_instance_of_one_row_is_an_orphan() {
    let listed = vec![listed("ours", 1, "i-1"), listed("ours", 1, "i-2")];
    for (row, kept) in [(instance(1, ready(1)), vec![]), (requested(1, Call::Broken), vec![found(1, "i-1")])] {
        let mut pass = Pass { rows: vec![row], listed: listed.clone(), ..Pass::default() };
        assert_eq!(pass.at(0).events, kept);
        assert_eq!(pass.at(60).terminate, ["i-2".parse().unwrap()]);
    }
}

#[test]
fn strangers_are_never_touched() {
    let untagged = Listed { provider: "i-3".parse().unwrap(), tag: None, is_ended: false };
    // One with our row's number, and one that took the place of ours: other servers in the same account.
    let listed = vec![listed("theirs", 1, "i-2"), untagged, listed("theirs", 4, "i-4")];
    let mut pass = Pass { rows: vec![requested(1, OPEN), instance(4, terminating(4))], listed, ..Pass::default() };
    for seconds in [0, 60, 1_000] {
        let found = pass.at(seconds);
        assert_eq!((found.events, found.terminate), (vec![], vec![]));
    }
}

#[test]
fn a_token_is_the_same_for_the_same_row_and_no_other() {
    let token = |server, row| listed(server, row, "i").tag.unwrap().token();
    assert_eq!(token("ours", 12), token("ours", 12));
    assert_eq!(BTreeSet::from([token("ours", 12), token("ours", 1), token("theirs", 12)]).len(), 3);
}
