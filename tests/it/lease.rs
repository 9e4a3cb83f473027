//! An attempt with a lease is over before its server gives it to another client, whoever is dead or silent by then; one
//! without goes on for ever.

use std::path::Path;
use std::time::{Duration, Instant};

use domain::{AssignmentId, End};
use job_orchestrator::client::record;
use job_orchestrator::protocol::{EventPage, EventsQuery, Submission, What};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::Bed;
use crate::harness::caller::{Caller, new_id, recorded, spec, status, wait_for, wait_for_file};

const LEASE: Duration = Duration::from_secs(2);
/// Deaf to TERM, with a child in a session of its own that is too.
const STUBBORN: &str = "trap '' TERM
    setsid bash -c 'trap \"\" TERM; echo $$ > child; while :; do sleep 0.05; done' &
    until [ -s child ]; do sleep 0.01; done
    echo $$ > pid; while :; do sleep 0.05; done";

fn leased(lease: Duration) -> Submission {
    Submission { stop_after_ms: Some(lease.as_millis() as u64), ..spec(new_id()) }
}

/// What comes after `page`, and the query that shows that it came.
fn next(query: &mut EventsQuery, page: &EventPage) {
    query.incarnation = Some(page.incarnation.clone());
    query.page = Some(page.page);
    query.after = page.events.iter().map(|event| event.seq).fold(query.after, u64::max);
}

async fn is_gone(pid_file: &Path) {
    let pid = std::fs::read_to_string(pid_file).unwrap().trim().parse().unwrap();
    wait_for("the process is gone", || kill(Pid::from_raw(pid), None).is_err().then_some(())).await;
}

/// Starts a stubborn attempt with a lease and one without, and returns once both run; `since` is before the last proof
/// of contact that the client has.
async fn both_run(caller: &Caller) -> (AssignmentId, AssignmentId, Instant) {
    let leased = caller.start_as(&leased(LEASE), STUBBORN).await;
    let free = caller.start("echo $$ > pid; while [ ! -e go ]; do sleep 0.01; done; exit 4").await;
    let mut query = EventsQuery { wait_ms: 5_000, ..EventsQuery::default() };
    loop {
        let page = caller.events(&query).await;
        next(&mut query, &page);
        if recorded(&caller.dir(leased)).keeper.is_some() {
            break;
        }
    }
    wait_for_file(caller.dir(leased).join("work/pid")).await;
    wait_for_file(caller.dir(free).join("work/pid")).await;
    // One whose page is new, and that shows it: contact is now.
    let page = caller.events(&EventsQuery { wait_ms: 0, ..query.clone() }).await;
    next(&mut query, &page);
    let since = Instant::now();
    caller.events(&EventsQuery { wait_ms: 0, ..query }).await;
    (leased, free, since)
}

/// From `since` on nobody asked the client any more.
async fn only_the_leased_one_has_ended(caller: &Caller, leased: AssignmentId, free: AssignmentId, since: Instant) {
    let work = caller.dir(leased).join("work");
    is_gone(&work.join("child")).await;
    is_gone(&work.join("pid")).await;
    assert!(since.elapsed() <= LEASE, "{:?}", since.elapsed());
    let exit = wait_for("the end is recorded", || recorded(&caller.dir(leased)).exit).await;
    assert_eq!(exit.end, End::CutOff);
    assert!(record::is_locked(&caller.dir(free)).unwrap() && recorded(&caller.dir(free)).exit.is_none());
}

#[tokio::test]
async fn attempt_with_a_lease_is_over_in_time_when_nobody_asks() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let (leased, free, since) = both_run(&caller).await;
    only_the_leased_one_has_ended(&caller, leased, free, since).await;
    std::fs::write(caller.dir(free).join("work/go"), "").unwrap();
    assert_eq!(caller.end(leased).await, End::CutOff);
    assert_eq!(caller.end(free).await, End::Exit(4));
}

#[tokio::test]
async fn attempt_with_a_lease_is_over_in_time_when_its_client_is_dead() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let (leased, free, since) = both_run(&caller).await;
    client.kill();
    only_the_leased_one_has_ended(&caller, leased, free, since).await;
    client.start();
    std::fs::write(caller.dir(free).join("work/go"), "").unwrap();
    let caller = Caller::new(&client);
    assert_eq!(caller.end(leased).await, End::CutOff);
    assert_eq!(caller.end(free).await, End::Exit(4));
}

#[tokio::test]
async fn attempt_with_a_lease_goes_on_as_long_as_it_is_asked_for() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let lease = Duration::from_secs(1);
    let id = caller.start_as(&leased(lease), "until [ -e go ]; do sleep 0.01; done; exit 6").await;
    let mut query = EventsQuery { wait_ms: 15_000, ..EventsQuery::default() };
    let start = Instant::now();
    let end = loop {
        let page = caller.events(&query).await;
        next(&mut query, &page);
        let ended = |event: &job_orchestrator::protocol::ClientEvent| match &event.what {
            What::Ended { end, .. } => Some(end.clone()),
            What::Held | What::Started => None,
        };
        if let Some(end) = page.events.iter().find_map(ended) {
            break end;
        }
        if start.elapsed() > lease * 3 {
            std::fs::write(caller.dir(id).join("work/go"), "").unwrap();
        }
    };
    assert_eq!(end, End::Exit(6));
    assert!(start.elapsed() > lease * 3, "{:?}", start.elapsed());
}

#[tokio::test]
async fn query_that_shows_no_new_page_is_no_contact() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let (leased, free, since) = both_run(&caller).await;
    // Queries that were on their way for long look like these: they name one old page, again and again.
    let page = caller.events(&EventsQuery::default()).await;
    let mut old = EventsQuery { wait_ms: 100, ..EventsQuery::default() };
    next(&mut old, &page);
    wait_for_the_end(&caller, leased, &old).await;
    only_the_leased_one_has_ended(&caller, leased, free, since).await;
    std::fs::write(caller.dir(free).join("work/go"), "").unwrap();
    caller.end(free).await;
}

async fn wait_for_the_end(caller: &Caller, id: AssignmentId, query: &EventsQuery) {
    let start = Instant::now();
    while recorded(&caller.dir(id)).exit.is_none() {
        assert!(start.elapsed() < LEASE * 2, "it goes on");
        caller.events(query).await;
    }
}

#[tokio::test]
async fn attempt_with_a_lease_starts_only_once_the_server_has_shown_that_it_knows_it() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start_as(&leased(LEASE), "echo run >> runs").await;
    // What comes after it has started and ended long before it has.
    let other = caller.start("exit 0").await;
    wait_for("the other has ended", || recorded(&caller.dir(other)).exit).await;
    assert_eq!(status(&caller.get(&format!("/retrieve/{id}")).await, 202), "held");
    // Nor does a restart start it, or a page of which nobody knows whether it came.
    client.kill();
    client.start();
    let caller = Caller::new(&client);
    let page = caller.events(&EventsQuery::default()).await;
    assert!(page.events.iter().any(|event| event.assignment == id && event.what == What::Held), "{page:?}");
    let third = caller.start("exit 0").await;
    wait_for("the third has ended", || recorded(&caller.dir(third)).exit).await;
    assert_eq!(recorded(&caller.dir(id)).keeper, None);
    assert_eq!(caller.end(id).await, End::Exit(0));
    assert_eq!(std::fs::read_to_string(caller.dir(id).join("work/runs")).unwrap(), "run\n");
}

#[tokio::test]
async fn attempt_that_was_given_up_meanwhile_never_starts() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start_as(&leased(LEASE), "echo run >> runs").await;
    let page = caller.events(&EventsQuery::default()).await;
    assert!(page.events.iter().any(|event| event.assignment == id));
    assert_eq!(status(&caller.kill(id).await, 200), "ended");
    assert_eq!(caller.end(id).await, End::Killed);
    assert_eq!(recorded(&caller.dir(id)).keeper, None);
}
