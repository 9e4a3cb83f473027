//! What a client promises its server, over HTTP, with no server there.

use std::os::unix::fs::PermissionsExt;
use std::time::Instant;

use domain::End;
use job_orchestrator::client::record::BootId;
use job_orchestrator::protocol::{ASSIGNMENT_HEADER, EventPage, EventsQuery, What};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;

use crate::harness::caller::{Caller, form, new_id, recorded, refusal, status, wait_for, wait_for_file};
use crate::harness::{Answer, Bed, Form, PATIENCE, is_alive, unzip};

#[tokio::test]
async fn repeated_submit_runs_once() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    let payload = form(id, 1).script("echo run >> runs");
    let (first, second) = tokio::join!(caller.submit(id, payload.clone()), caller.submit(id, payload.clone()));
    assert_eq!((first.status.as_u16(), second.status.as_u16()), (200, 200));
    assert_eq!(caller.end(id).await, End::Exit(0));
    assert_eq!(caller.submit(id, payload).await.body, first.body);
    let zip = caller.get(&format!("/retrieve/{id}")).await;
    assert_eq!(zip.header(ASSIGNMENT_HEADER), id.to_string());
    assert_eq!(unzip(&zip.body)["runs"], b"run\n");
}

#[tokio::test]
async fn results_hold_inputs_outputs_and_the_log_also_of_a_failed_job() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    let script = "mkdir out; cp 'data/in put.txt' out/copy; echo said; echo loudly >&2; exit 9";
    caller.submit(id, form(id, 1).script(script).file("data/in put.txt", "x")).await;
    assert_eq!(caller.end(id).await, End::Exit(9));
    let files = unzip(&caller.get(&format!("/retrieve/{id}")).await.body);
    assert_eq!(files["out/copy"], b"x");
    assert_eq!(files["data/in put.txt"], b"x");
    assert_eq!(files[".orchestrator.log"], b"said\nloudly\n");
    assert_eq!(caller.get(&format!("/logs/{id}?tail_bytes=7")).await.body, b"loudly\n");
}

#[tokio::test]
async fn running_job_shows_what_is_there() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("echo half > half; until [ -e go ]; do sleep 0.01; done").await;
    caller.started(id).await;
    assert_eq!(status(&caller.get(&format!("/retrieve/{id}")).await, 202), "running");
    let work = caller.dir(id).join("work");
    wait_for_file(work.join("half")).await;
    assert!(unzip(&caller.get(&format!("/retrieve_partial/{id}")).await.body).contains_key("half"));
    std::fs::write(work.join("go"), "").unwrap();
    assert_eq!(caller.end(id).await, End::Exit(0));
}

#[tokio::test]
async fn large_results_go_on_where_a_transfer_broke_off() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("head -c 3000000 /dev/urandom > noise").await;
    caller.end(id).await;
    let path = format!("/retrieve/{id}");
    let whole = caller.get(&path).await;
    assert_eq!(whole.header("content-length"), whole.body.len().to_string());
    let rest =
        caller.request(Method::GET, &path).header("range", "bytes=1000000-").header("if-range", whole.header("etag"));
    let rest = Answer::read(rest.send().await.unwrap()).await;
    assert_eq!(rest.status, 206);
    assert_eq!(rest.header("content-range"), format!("bytes 1000000-{}/{}", whole.body.len() - 1, whole.body.len()));
    assert!(rest.body == whole.body[1_000_000..]);
    assert_eq!(unzip(&whole.body)["noise"].len(), 3_000_000);
}

#[tokio::test]
async fn upload_without_a_script_is_invalid_and_says_what_to_do() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    for name in ["input.txt", "run.sh/inner"] {
        let id = new_id();
        let answer = caller.submit(id, form(id, 1).file(name, "x")).await;
        assert_eq!(answer.status, 200);
        assert!(matches!(caller.end(id).await, End::Invalid(why) if why.contains("no file named run.sh; add one")));
        assert_eq!(caller.get(&format!("/retrieve/{id}")).await.status, 200);
    }
}

#[tokio::test]
async fn jobs_wait_for_slots_and_start_in_turn() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let caller = Caller::new(&client);
    let first = caller.start("until [ -e go ]; do sleep 0.01; done").await;
    let second = caller.start("exit 2").await;
    caller.started(first).await;
    assert_eq!(status(&caller.get(&format!("/retrieve/{second}")).await, 202), "held");
    assert_eq!(caller.get("/load").await.body, b"100.0");
    std::fs::write(caller.dir(first).join("work/go"), "").unwrap();
    assert_eq!(caller.end(second).await, End::Exit(2));
    let id = new_id();
    assert_eq!(refusal(&caller.submit(id, form(id, 2).script("")).await, 503), "no-free-slot");
}

#[tokio::test]
async fn killed_job_ends_and_one_that_waits_never_starts() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let caller = Caller::new(&client);
    let running = caller.start("sleep 1000").await;
    let waiting = caller.start("exit 0").await;
    caller.started(running).await;
    assert_eq!(status(&caller.kill(waiting).await, 200), "ended");
    assert_eq!(caller.end(waiting).await, End::Killed);
    caller.kill(running).await;
    assert_eq!(caller.end(running).await, End::Killed);
    assert_eq!(status(&caller.kill(running).await, 200), "ended");
    assert_eq!(recorded(&caller.dir(waiting)).keeper, None);
}

#[tokio::test]
async fn other_server_is_refused_until_nothing_is_left_of_the_first() {
    let bed = Bed::new();
    let client = bed.client("client");
    let first = Caller::new(&client);
    let second = first.under("server-two");
    let id = first.start("exit 0").await;
    first.end(id).await;
    let other = new_id();
    assert_eq!(refusal(&second.submit(other, form(other, 1).script("")).await, 409), "other-server");
    assert_eq!(refusal(&second.kill(id).await, 409), "other-server");
    assert_eq!(refusal(&second.get("/events?after=0&acknowledged=0&wait_ms=0").await, 409), "other-server");
    acknowledge_all(&first).await;
    assert_eq!(second.submit(other, form(other, 1).script("")).await.status, 200);
    assert_eq!(second.end(other).await, End::Exit(0));
}

#[tokio::test]
async fn restored_server_takes_its_client_along_and_its_old_id_is_refused_from_then_on() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let old = Caller::new(&client);
    let id = old.start("until [ -e go ]; do sleep 0.01; done; exit 4").await;
    old.started(id).await;
    assert_eq!(refusal(&old.restored("server-three", "server-two, server-zero").kill(id).await, 409), "other-server");
    let new = old.restored("server-two", "server-zero, server-one");
    new.started(id).await;
    for path in
        ["/events?after=0&acknowledged=0&wait_ms=0".to_owned(), format!("/retrieve/{id}"), format!("/logs/{id}")]
    {
        assert_eq!(refusal(&old.get(&path).await, 409), "other-server", "{path}");
    }
    // Over a restart, and when nothing is left that could be mixed up.
    client.kill();
    client.start();
    let (old, new) = (Caller::new(&client), Caller::new(&client).restored("server-two", "server-zero, server-one"));
    std::fs::write(new.dir(id).join("work/go"), "").unwrap();
    assert_eq!(new.end(id).await, End::Exit(4));
    acknowledge_all(&new).await;
    let other = new_id();
    assert_eq!(refusal(&old.submit(other, form(other, 1).script("")).await, 409), "other-server");
    assert_eq!(new.submit(other, form(other, 1).script("")).await.status, 200);
    assert_eq!(new.end(other).await, End::Exit(0));
}

/// Says that all of a page has arrived, and asks for what comes after it.
fn acknowledging(page: EventPage) -> EventsQuery {
    let last = page.events.iter().map(|event| event.seq).max().unwrap_or_default();
    EventsQuery { incarnation: Some(page.incarnation), after: last, acknowledged: last, ..EventsQuery::default() }
}

async fn acknowledge_all(caller: &Caller) {
    let query = acknowledging(caller.events(&EventsQuery::default()).await);
    assert_eq!(caller.events(&query).await.events, []);
}

#[tokio::test]
async fn acknowledged_attempt_is_forgotten_and_an_unknown_incarnation_acknowledges_nothing() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("exit 0").await;
    caller.end(id).await;
    let foreign =
        EventsQuery { incarnation: Some("foreign".to_owned()), after: 9, acknowledged: 9, ..EventsQuery::default() };
    let page = caller.events(&foreign).await;
    assert!(page.full && page.events.iter().any(|event| event.assignment == id));
    acknowledge_all(&caller).await;
    assert_eq!(refusal(&caller.get(&format!("/retrieve/{id}")).await, 404), "no-such-assignment");
    assert!(!caller.dir(id).exists());
}

#[tokio::test]
async fn restarted_client_goes_on_with_its_jobs() {
    let bed = Bed::new();
    let mut client = bed.client_with("client", &["--slots", "2"]);
    let (ended, running, waiting) = {
        let caller = Caller::new(&client);
        let ended = caller.start("exit 3").await;
        caller.end(ended).await;
        let running = new_id();
        let script = "until [ -e go ]; do sleep 0.01; done; exit 4";
        caller.submit(running, form(running, 2).script(script)).await;
        caller.started(running).await;
        (ended, running, caller.start("exit 5").await)
    };
    client.kill();
    client.start();
    let caller = Caller::new(&client);
    let page = caller.events(&EventsQuery::default()).await;
    let state = |id| page.events.iter().find(|event| event.assignment == id).map(|event| event.what.clone());
    assert!(page.full);
    assert!(matches!(state(ended), Some(What::Ended { end: End::Exit(3), .. })), "{page:?}");
    assert_eq!((state(running), state(waiting)), (Some(What::Started), Some(What::Held)));
    std::fs::write(caller.dir(running).join("work/go"), "").unwrap();
    assert_eq!(caller.end(running).await, End::Exit(4));
    assert_eq!(caller.end(waiting).await, End::Exit(5));
}

#[tokio::test]
async fn job_that_ends_while_the_client_is_stopped_is_told_of_later() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let id = {
        let caller = Caller::new(&client);
        let id = caller.start("until [ -e go ]; do sleep 0.01; done; exit 4").await;
        caller.started(id).await;
        id
    };
    let dir = client.dir.join("jobs").join(id.to_string());
    client.stop();
    std::fs::write(dir.join("work/go"), "").unwrap();
    let start = Instant::now();
    while recorded(&dir).exit.is_none() {
        assert!(start.elapsed() < PATIENCE, "no end is recorded");
        tokio::task::yield_now().await;
    }
    client.start();
    let caller = Caller::new(&client);
    assert_eq!(caller.end(id).await, End::Exit(4));
    // A second kill of what has ended changes nothing.
    caller.kill(id).await;
    assert_eq!(caller.end(id).await, End::Exit(4));
}

/// Leaves a process that stays in no session, directory or tree of the job's, and one that does.
const SCATTERED: &str = "(setsid bash -c 'cd /; trap \"\" TERM HUP; echo $BASHPID > '$PWD'/far; exec sleep 1000' &)
    until [ -s far ]; do sleep 0.01; done
    echo $$ > near; sleep 1000";

/// Kills the keeper of an attempt that has scattered, and returns the pids of what it ran.
async fn kill_keeper(caller: &Caller, id: domain::AssignmentId) -> Vec<u32> {
    wait_for_file(caller.dir(id).join("work/near")).await;
    let keeper = recorded(&caller.dir(id)).keeper.unwrap();
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL).unwrap();
    let pid = |name| {
        let text = std::fs::read_to_string(caller.dir(id).join("work").join(name)).unwrap();
        text.trim().parse().unwrap()
    };
    vec![pid("far"), pid("near")]
}

#[tokio::test]
async fn attempt_without_its_keeper_is_cut_off_once_nothing_of_it_is_left() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start(SCATTERED).await;
    let pids = kill_keeper(&caller, id).await;
    assert_eq!(caller.end(id).await, End::CutOff);
    // A zombie of an init that does not reap is not alive; here there is one that does, or the test's own.
    wait_for("both are gone", || pids.iter().all(|pid| !is_alive(*pid)).then_some(())).await;
    assert_eq!(caller.get("/load").await.body, b"0.0");
}

#[tokio::test]
async fn restarted_client_ends_what_a_dead_keeper_left_before_it_tells_the_end() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start(SCATTERED).await;
    wait_for_file(caller.dir(id).join("work/near")).await;
    client.kill();
    let pids = kill_keeper(&caller, id).await;
    client.start();
    let caller = Caller::new(&client);
    assert_eq!(caller.end(id).await, End::CutOff);
    assert!(pids.iter().all(|pid| !is_alive(*pid)));
}

#[tokio::test]
async fn bad_upload_is_refused_and_leaves_nothing() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    let cut = caller.request(Method::POST, "/submit").header(ASSIGNMENT_HEADER, id.to_string());
    let mut body = form(id, 1).script("exit 0").file("large", vec![b'x'; 300_000]).finished();
    body.truncate(body.len() - 1000);
    let cut = cut.header("content-type", Form::content_type()).body(body);
    assert_eq!(refusal(&Answer::read(cut.send().await.unwrap()).await, 400), "bad-upload");
    for bad in
        [Form::default().script("no spec"), form(new_id(), 1).script("another's"), form(id, 1).file("../run.sh", "")]
    {
        assert_eq!(refusal(&caller.submit(id, bad).await, 400), "bad-upload");
    }
    assert_eq!(std::fs::read_dir(client.dir.join("jobs")).unwrap().count(), 0);
    let good = caller.submit(id, form(id, 1).script("exit 0")).await;
    assert_eq!(good.status, 200);
    assert_eq!(caller.end(id).await, End::Exit(0));
}

#[tokio::test]
async fn wrong_key_opens_nothing_but_the_health_check() {
    let bed = Bed::new();
    let file = bed.path().join("key");
    std::fs::write(&file, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef\n").unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    let client = bed.client_with("client", &["--cluster-key", &file.display().to_string()]);
    let caller = Caller::new(&client);
    assert_eq!(caller.get("/health").await.status, 200);
    for path in ["/info", "/load", "/events", "/retrieve/1", "/logs/1"] {
        assert_eq!(refusal(&caller.get(path).await, 401), "wrong-key", "{path}");
    }
    let id = new_id();
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("")).await, 401), "wrong-key");
    let key = std::fs::read_to_string(&file).unwrap();
    let info = Answer::read(caller.request(Method::GET, "/info").bearer_auth(key.trim()).send().await.unwrap()).await;
    assert_eq!(info.status, 200);
}

#[tokio::test]
async fn stopping_client_answers_who_waits() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("exit 0").await;
    caller.end(id).await;
    let page = caller.events(&EventsQuery::default()).await;
    let query = EventsQuery { wait_ms: 15_000, ..acknowledging(page) };
    let stop = async {
        // What the query acknowledges is forgotten: so it has arrived, and waits.
        wait_for("the query is there", || (!caller.dir(id).exists()).then_some(())).await;
        tokio::task::spawn_blocking(move || client.stop()).await.unwrap();
    };
    // A page, not a broken connection.
    tokio::join!(caller.events(&query), stop);
}

#[tokio::test]
async fn attempt_of_an_earlier_boot_is_cut_off() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let (ended, dir) = {
        let caller = Caller::new(&client);
        let ended = caller.start("exit 0").await;
        assert_eq!(caller.end(ended).await, End::Exit(0));
        (ended, caller.dir(ended))
    };
    client.stop();
    let record = dir.join("record");
    let boot = serde_json::to_string(&BootId::current().unwrap()).unwrap();
    let text = std::fs::read_to_string(&record).unwrap();
    std::fs::write(&record, text.replace(&boot, "\"another\"")).unwrap();
    client.start();
    assert_eq!(Caller::new(&client).end(ended).await, End::CutOff);
}

#[tokio::test]
async fn absurd_event_queries_forget_nothing_and_are_answered() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("exit 0").await;
    caller.end(id).await;
    let incarnation = caller.events(&EventsQuery::default()).await.incarnation;
    let query = EventsQuery { incarnation: Some(incarnation), ..EventsQuery::default() };
    let ahead = EventsQuery { after: u64::MAX, acknowledged: u64::MAX, page: Some(u64::MAX), ..query.clone() };
    let page = caller.events(&ahead).await;
    assert!(page.full && page.events.iter().any(|event| event.assignment == id), "{page:?}");
    // Acknowledged is at most what was heard.
    caller.events(&EventsQuery { acknowledged: u64::MAX, ..query.clone() }).await;
    assert_eq!(caller.get(&format!("/retrieve/{id}")).await.status, 200);
    for bad in
        ["after=-1&acknowledged=0&wait_ms=0", "after=x", "after=99999999999999999999999&acknowledged=0&wait_ms=0"]
    {
        assert_eq!(caller.get(&format!("/events?{bad}")).await.status, 400, "{bad}");
    }
}

#[tokio::test]
async fn oversized_calls_are_refused_leave_nothing_and_are_logged() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    let spec = Form::default().field("spec", &"x".repeat(70_000)).script("");
    assert_eq!(refusal(&caller.submit(id, spec).await, 400), "bad-upload");
    let long = "x".repeat(300_000);
    let header = caller.request(Method::POST, "/submit").header(ASSIGNMENT_HEADER, &long);
    assert_eq!(refusal(&Answer::read(header.send().await.unwrap()).await, 400), "bad-upload");
    // Above what is read at all: an answer, or a closed connection.
    let huge = caller.request(Method::POST, "/submit").header("x-huge", "x".repeat(4_000_000)).send().await;
    assert!(huge.is_err() || huge.is_ok_and(|answer| answer.status().is_client_error()));
    let many =
        (0..5_000).fold(caller.request(Method::GET, "/info"), |request, n| request.header(format!("x-{n}"), "x"));
    assert!(many.send().await.is_ok_and(|answer| answer.status().is_client_error()));
    assert_eq!(std::fs::read_dir(client.dir.join("jobs")).unwrap().count(), 0);
    assert_eq!(caller.get("/health").await.status, 200);
    let log = std::fs::read_to_string(client.dir.with_extension("log")).unwrap();
    assert!(log.contains("an assignment was refused") && log.contains(&id.to_string()), "{log}");
}
