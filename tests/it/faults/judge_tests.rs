//! Each rule catches a history that breaks it, and finds nothing wrong with one that does not.

use domain::OnContactLost;

use super::judge::{Absence, Answered, History, Job, Left, Results, Rule, Rules, Step, Upload, judge};
use super::plan::{Line, Plan, Random, Said};

const CLIENT: &str = "http://client";

/// Two jobs of one user: the first was lost with its client once, the second ran meanwhile.
fn good() -> History {
    let mut random = Random::new(1, 0);
    let mut plans: Vec<Plan> = (0..2).map(|number| Plan::draw(&mut random, number, 2)).collect();
    for (plan, code) in plans.iter_mut().zip([7, 0]) {
        (plan.user, plan.end) = (1, domain::End::Exit(code));
    }
    let lost = [
        step(1_000, "", "Queued", 0),
        step(1_000, "Queued", "Processing", 1),
        step(1_000, "Processing", "Running", 1),
        step(8_000, "Running", "Queued", 1),
        step(9_000, "Queued", "Running", 2),
        step(9_500, "Running", "Failed", 2),
    ];
    let lines = [
        line(&plans[0], 1, Said::Begin),
        line(&plans[1], 1, Said::Begin),
        line(&plans[0], 1, Said::Alive),
        line(&plans[1], 1, Said::End),
        line(&plans[0], 2, Said::Begin),
        line(&plans[0], 2, Said::End),
    ];
    History {
        rules: Rules { on_contact_lost: OnContactLost::Finish, runs_per_user: 2, max_runs: 2, lost_after_ms: 3_000 },
        uploads: (1..).zip(&plans).map(|(id, plan)| Upload { plan: plan.clone(), acknowledged: Some(id) }).collect(),
        jobs: vec![
            Job { steps: lost.to_vec(), outcome: Some(("exit".to_owned(), Some(7))), ..job(1, "Failed", 2, &plans[0]) },
            job(2, "Completed", 1, &plans[1]),
        ],
        lines: lines.to_vec(),
        absences: vec![Absence { client: CLIENT.to_owned(), from: 4_000, until: 8_500 }],
        answers: [1_000, 2_000, 3_000, 3_900, 8_600].map(|at| Answered { client: CLIENT.to_owned(), at }).to_vec(),
        left: Left {
            payloads: plans.iter().map(|plan| plan.token.clone()).collect(),
            results: plans.iter().map(|plan| plan.token.clone()).collect(),
            rest: Vec::new(),
        },
    }
}

fn job(id: i64, status: &str, attempt: u32, plan: &Plan) -> Job {
    let results = Results { input: plan.input(), result: plan.result(attempt) };
    let (token, status) = (plan.token.clone(), status.to_owned());
    Job { id, token, status, attempt, results: Some(results), ..Job::default() }
}

fn step(at: i64, from: &str, to: &str, attempt: u32) -> Step {
    let [from, to, client] = [from, to, CLIENT].map(str::to_owned);
    Step { at, from, to, attempt, client, code: String::new() }
}

fn line(plan: &Plan, attempt: u32, said: Said) -> Line {
    Line { token: plan.token.clone(), attempt, said, uptime: 0.0 }
}

/// What the judge says of a good history after `harm` was done to it.
fn after(harm: impl FnOnce(&mut History)) -> Vec<Rule> {
    let mut history = good();
    harm(&mut history);
    let mut rules: Vec<_> = judge(&history).into_iter().map(|complaint| complaint.rule).collect();
    rules.dedup();
    rules
}

#[test]
fn a_good_history_has_no_complaint() {
    assert_eq!(judge(&good()), []);
}

#[test]
fn an_acknowledged_job_that_is_not_there_is_found() {
    let forget = |history: &mut History| {
        let token = history.jobs.remove(1).token;
        history.lines.retain(|line| line.token != token);
        history.left.payloads.pop();
        history.left.results.pop();
    };
    assert_eq!(after(forget), [Rule::Acknowledged]);
    assert_eq!(after(|history| history.uploads[1].acknowledged = Some(3)), [Rule::Acknowledged]);
    // Without a word of it the same is right.
    let silently = |history: &mut History| {
        forget(history);
        history.uploads[1].acknowledged = None;
    };
    assert_eq!(after(silently), []);
}

#[test]
fn an_upload_that_became_two_jobs_is_found() {
    let twice = |history: &mut History| {
        let again = history.jobs[1].clone();
        history.jobs.insert(1, Job { id: 3, ..again });
    };
    assert_eq!(after(twice), [Rule::OncePerUpload]);
}

#[test]
fn an_end_that_is_not_the_scripts_is_found() {
    let outcome = |kind: &str, value| Some((kind.to_owned(), value));
    for wrong in [None, outcome("exit", Some(8)), outcome("signal", Some(7))] {
        assert_eq!(after(|history| history.jobs[0].outcome = wrong), [Rule::EndsAsItsScript]);
    }
    let spent = |history: &mut History| history.jobs[0].outcome = outcome("retries-spent", None);
    assert_eq!(after(spent), [Rule::EndsAsItsScript, Rule::LostOnlyWithItsClient]);
    assert_eq!(after(|history| history.jobs[1].status = "Running".to_owned()), [Rule::EndsAsItsScript]);
}

#[test]
fn results_of_another_job_or_attempt_are_found() {
    let swap = |history: &mut History| {
        let (first, second) = history.jobs.split_at_mut(1);
        std::mem::swap(&mut first[0].results, &mut second[0].results);
    };
    let of_the_first_attempt = |history: &mut History| {
        let result = history.uploads[0].plan.result(1);
        history.jobs[0].results.as_mut().unwrap().result = result;
    };
    let short = |history: &mut History| history.jobs[1].results.as_mut().unwrap().input.truncate(1);
    assert_eq!(after(swap), [Rule::OwnResults]);
    assert_eq!(after(of_the_first_attempt), [Rule::OwnResults]);
    assert_eq!(after(short), [Rule::OwnResults]);
    assert_eq!(after(|history| history.jobs[1].results = None), [Rule::OwnResults]);
}

#[test]
fn an_attempt_that_runs_twice_or_not_to_its_end_is_found() {
    let again = |history: &mut History| history.lines.insert(4, history.lines[1].clone());
    assert_eq!(after(again), [Rule::OneRunPerAttempt]);
    let unended = |history: &mut History| drop(history.lines.pop());
    assert_eq!(after(unended), [Rule::OneRunPerAttempt]);
}

#[test]
fn a_repeat_without_a_loss_is_found() {
    let unseen = |history: &mut History| drop(history.jobs[0].steps.remove(3));
    assert_eq!(after(unseen), [Rule::RepeatedOnlyWhenLost]);
}

#[test]
fn a_loss_without_a_kill_or_while_the_client_answers_is_found() {
    let both = [Rule::RepeatedOnlyWhenLost, Rule::LostOnlyWithItsClient];
    assert_eq!(after(|history| history.absences.clear()), both);
    assert_eq!(after(|history| history.absences[0].client.push('2')), both);
    // Sooner than a client may be given up, and after it was back.
    assert_eq!(after(|history| history.absences[0].from = 5_100), both);
    assert_eq!(after(|history| history.absences[0].until = 6_900), both);
    let answers = |history: &mut History| {
        let more = (5_000..8_000).step_by(900).map(|at| Answered { client: CLIENT.to_owned(), at });
        history.answers.extend(more);
    };
    assert_eq!(after(answers), [Rule::LostOnlyWithItsClient]);
}

#[test]
fn an_attempt_that_stopped_by_itself_without_need_is_found() {
    let stopped = |history: &mut History, at| {
        let loss = &mut history.jobs[0].steps[3];
        (loss.at, loss.code) = (at, "cut-off".to_owned());
        history.rules.on_contact_lost = OnContactLost::Stop;
    };
    // Heard of once the client is back.
    assert_eq!(after(|history| stopped(history, 12_000)), []);
    let both = [Rule::RepeatedOnlyWhenLost, Rule::LostOnlyWithItsClient];
    assert_eq!(after(|history| stopped(history, 17_000)), both);
    let short = |history: &mut History| {
        stopped(history, 12_000);
        history.absences[0].from = 8_000;
    };
    assert_eq!(after(short), both);
    // Where attempts go on, none may be cut off.
    let finish = |history: &mut History| {
        stopped(history, 12_000);
        history.rules.on_contact_lost = OnContactLost::Finish;
    };
    assert_eq!(after(finish), both);
}

#[test]
fn two_losses_by_one_kill_are_found() {
    let twice = |history: &mut History| history.jobs[0].steps.insert(4, step(8_100, "Running", "Queued", 1));
    assert_eq!(after(twice), [Rule::LostOnlyWithItsClient]);
}

#[test]
fn an_attempt_beside_its_successor_is_found_where_none_may_be() {
    let beside = |history: &mut History| history.lines.insert(5, history.lines[2].clone());
    assert_eq!(after(beside), []);
    let stopped = |history: &mut History| {
        beside(history);
        history.rules.on_contact_lost = OnContactLost::Stop;
    };
    assert_eq!(after(stopped), [Rule::NoOverlap]);
    assert_eq!(after(|history| history.rules.on_contact_lost = OnContactLost::Stop), []);
}

#[test]
fn more_than_the_limits_at_once_is_found() {
    let one_each = |history: &mut History| history.rules.runs_per_user = 1;
    // What was given up does not count, unless nothing may go on after it.
    assert_eq!(after(one_each), []);
    let one_each_and_nothing_goes_on = |history: &mut History| {
        one_each(history);
        history.rules.on_contact_lost = OnContactLost::Stop;
    };
    assert_eq!(after(one_each_and_nothing_goes_on), [Rule::Peak]);
    let side_by_side = |history: &mut History| history.lines.swap(3, 4);
    assert_eq!(after(side_by_side), []);
    let one_in_all = |history: &mut History| {
        side_by_side(history);
        history.rules.max_runs = 1;
    };
    assert_eq!(after(one_in_all), [Rule::Peak]);
}

#[test]
fn what_is_left_over_or_missing_is_found() {
    assert_eq!(after(|history| history.left.rest.push("half.part".to_owned())), [Rule::NothingLeft]);
    assert_eq!(after(|history| history.left.payloads.push("nobody's".to_owned())), [Rule::NothingLeft]);
    assert_eq!(after(|history| drop(history.left.payloads.pop())), [Rule::NothingLeft]);
    assert_eq!(after(|history| history.left.results.push(history.jobs[0].token.clone())), [Rule::NothingLeft]);
}
