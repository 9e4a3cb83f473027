//! What a client promises its server, over HTTP, with no server there.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::{AssignmentId, End, JobId};
use job_orchestrator::client::record::{self, BootId, Recorded};
use job_orchestrator::protocol::{
    ASSIGNMENT_HEADER, AttemptStatus, ClientEvent, EventPage, EventsQuery, Refusal, SERVER_HEADER, Submission, What,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use reqwest::Method;

use crate::harness::{Answer, Bed, ClientNode, Form, PATIENCE, unzip};

const SERVER: &str = "server-one";

/// The test as the client's server.
struct Caller<'a> {
    /// Its own: a pool would keep connections to a client that was started again.
    http: reqwest::Client,
    client: &'a ClientNode,
    server: &'static str,
}

fn new_id() -> AssignmentId {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    AssignmentId::from_random(random)
}

/// A payload for `id` as the server sends it.
fn form(id: AssignmentId, slots: u32) -> Form {
    let service = "example".parse().unwrap();
    let spec = Submission { assignment: id, job: JobId(1), attempt: 1, user: 7.try_into().unwrap(), service, slots };
    Form::default().field("spec", &serde_json::to_string(&spec).unwrap())
}

impl<'a> Caller<'a> {
    fn new(client: &'a ClientNode) -> Self {
        Self { http: reqwest::Client::builder().no_proxy().build().unwrap(), client, server: SERVER }
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.http.request(method, format!("{}{path}", self.client.url)).header(SERVER_HEADER, self.server)
    }

    async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    async fn submit(&self, id: AssignmentId, form: Form) -> Answer {
        let request = self.request(Method::POST, "/submit").header(ASSIGNMENT_HEADER, id.to_string());
        Answer::read(request.header("content-type", Form::content_type()).body(form.finished()).send().await.unwrap())
            .await
    }

    /// Submits a script that must be taken.
    async fn start(&self, script: &str) -> AssignmentId {
        let id = new_id();
        let answer = self.submit(id, form(id, 1).script(script)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        id
    }

    async fn kill(&self, id: AssignmentId) -> Answer {
        Answer::read(self.request(Method::POST, &format!("/kill/{id}")).send().await.unwrap()).await
    }

    async fn events(&self, query: &EventsQuery) -> EventPage {
        let answer = Answer::read(self.request(Method::GET, "/events").query(query).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Listens until `found` sees what it looks for among the latest events.
    async fn hears<T>(&self, what: &str, found: impl Fn(&ClientEvent) -> Option<T>) -> T {
        let start = Instant::now();
        let mut query = EventsQuery { wait_ms: 5_000, ..EventsQuery::default() };
        let mut heard = Vec::new();
        while start.elapsed() < PATIENCE {
            let page = self.events(&query).await;
            query.incarnation = Some(page.incarnation);
            for event in page.events {
                query.after = query.after.max(event.seq);
                if let Some(found) = found(&event) {
                    return found;
                }
                heard.push(event);
            }
        }
        panic!("never heard: {what}; heard {heard:?}");
    }

    async fn end(&self, id: AssignmentId) -> End {
        self.hears("the end", |event| match &event.what {
            What::Ended { end, .. } if event.assignment == id => Some(end.clone()),
            _ => None,
        })
        .await
    }

    async fn started(&self, id: AssignmentId) {
        self.hears("the start", |event| (event.assignment == id && event.what == What::Started).then_some(())).await;
    }

    fn dir(&self, id: AssignmentId) -> PathBuf {
        self.client.dir.join("jobs").join(id.to_string())
    }
}

fn recorded(dir: &Path) -> Recorded {
    record::read(dir).unwrap().unwrap()
}

fn refusal(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice::<Refusal>(&answer.body).unwrap().code
}

fn status(answer: &Answer, code: u16) -> String {
    assert_eq!(answer.status.as_u16(), code, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice::<AttemptStatus>(&answer.body).unwrap().status
}

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

async fn wait_for_file(path: PathBuf) {
    let start = Instant::now();
    while !path.exists() {
        assert!(start.elapsed() < PATIENCE, "never: {}", path.display());
        tokio::task::yield_now().await;
    }
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
async fn kill_that_comes_first_keeps_the_job_out() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    assert_eq!(refusal(&caller.kill(id).await, 404), "no-such-assignment");
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("")).await, 409), "killed");
}

#[tokio::test]
async fn other_server_is_refused_until_nothing_is_left_of_the_first() {
    let bed = Bed::new();
    let client = bed.client("client");
    let first = Caller::new(&client);
    let second = Caller { server: "server-two", ..Caller::new(&client) };
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

async fn acknowledge_all(caller: &Caller<'_>) {
    let page = caller.events(&EventsQuery::default()).await;
    let last = page.events.iter().map(|event| event.seq).max().unwrap_or_default();
    let query = EventsQuery { incarnation: Some(page.incarnation), after: last, acknowledged: last, wait_ms: 0 };
    assert_eq!(caller.events(&query).await.events, []);
}

#[tokio::test]
async fn acknowledged_attempt_is_forgotten_and_an_unknown_incarnation_acknowledges_nothing() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("exit 0").await;
    caller.end(id).await;
    let foreign = EventsQuery { incarnation: Some("foreign".to_owned()), after: 9, acknowledged: 9, wait_ms: 0 };
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

#[tokio::test]
async fn attempt_without_its_keeper_is_cut_off() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("echo $$ > pid; exec sleep 1000").await;
    caller.started(id).await;
    let pid = caller.dir(id).join("work/pid");
    wait_for_file(pid.clone()).await;
    let keeper = recorded(&caller.dir(id)).keeper.unwrap();
    kill(Pid::from_raw(keeper.cast_signed()), Signal::SIGKILL).unwrap();
    assert_eq!(caller.end(id).await, End::CutOff);
    kill(Pid::from_raw(std::fs::read_to_string(pid).unwrap().trim().parse().unwrap()), Signal::SIGKILL).unwrap();
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
    let url = client.url.clone();
    let first: EventPage = bed
        .http()
        .get(format!("{url}/events?after=0&acknowledged=0&wait_ms=0"))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    let query = EventsQuery { incarnation: Some(first.incarnation), wait_ms: 15_000, ..EventsQuery::default() };
    let waits = bed.http().get(format!("{url}/events")).query(&query).send();
    let stop = async {
        // The request is there before the stop: this one, on another connection, was answered after it was sent.
        bed.http().get(format!("{url}/info")).send().await.unwrap();
        tokio::task::spawn_blocking(move || client.stop()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(waits, stop);
    assert_eq!(answer.unwrap().status(), 200);
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
