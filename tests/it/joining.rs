//! Who joins a server as an instance's client is that of the first key, proves it each way, and knows when its time is over.
//!
//! A pool of processes launches an instance whose own client is held up; the test takes its invitation, and joins by it.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use domain::{JobId, Labels};
use job_orchestrator::protocol::PROTOCOL_VERSION;
use job_orchestrator::protocol::join::{INSTANCE_HEADER, Invitation, NOTICE, PROGRAM, REGISTER, Registration};
use job_orchestrator::tls::{self, Key, Pin};
use poem::http::StatusCode;
use poem::listener::TcpAcceptor;
use poem::web::Data;
use poem::{EndpointExt, Request, Response, Route, Server, get, handler, put};
use reqwest::RequestBuilder;

use crate::harness::{Answer, Bed, ClientNode, Form, Gate, PATIENCE, Proxy, Record, ServerNode, pass};
use crate::pools::{OPEN, burst, in_state, instances, instances_until, nothing_is_left};

/// A server with an instance that boots for as long as `ready` says, and a job that wants it.
struct World {
    server: ServerNode,
    ready: Gate,
    job: JobId,
    invitation: Invitation,
    /// Last, as what is in it ends before it does.
    bed: Bed,
}

impl World {
    /// `script` makes the job's script.
    async fn with(server_table: &str, script: impl FnOnce(&Bed) -> String) -> Self {
        let bed = Bed::new();
        let ready = Gate::new(&bed, "ready");
        let pool = format!("max = 2\nready_command = \"\"\"{}\"\"\"", ready.wait());
        let server = bed.server_with(&format!("{server_table}\n{}", burst("", &pool)), &OPEN);
        let job = server.submit(Form::new(1).script(&script(&bed))).await;
        instances_until(&server, "an instance boots", |all| in_state(all, "booting") == 1).await;
        let invitation = serde_json::from_slice(&std::fs::read(file_of(&server)).unwrap()).unwrap();
        Self { server, ready, job, invitation, bed }
    }

    async fn new() -> Self {
        Self::with("", |_| "true".to_owned()).await
    }

    /// A client that joins by the invitation, which `change` may change.
    fn joins(&self, name: &str, change: impl FnOnce(&mut Invitation)) -> ClientNode {
        let mut invitation = Invitation { ready_command: None, ends_jobs: false, ..self.invitation.clone() };
        change(&mut invitation);
        let file = self.bed.path().join(format!("{name}.json"));
        std::fs::write(&file, serde_json::to_vec(&invitation).unwrap()).unwrap();
        self.bed.client_with(name, &["--join", file.to_str().unwrap()])
    }

    /// A call by the invitation, with this token.
    fn call(&self, method: &str, path: &str, token: &str) -> RequestBuilder {
        let http = tls::https(&self.invitation.pin).unwrap().build().unwrap();
        let call = http.request(method.parse().unwrap(), format!("{}{path}", self.invitation.server));
        call.header(INSTANCE_HEADER, self.invitation.instance.to_string()).bearer_auth(token)
    }

    async fn registered(&self, pin: Pin) -> Answer {
        let call = self.call("POST", REGISTER, &self.invitation.token).json(&registration(pin));
        Answer::read(call.send().await.unwrap()).await
    }

    /// Waits until the client knows that the server has all that it gave.
    async fn forgets(&self, client: &ClientNode) {
        self.server
            .until("the client has nothing", async || {
                let left = client.attempts();
                if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
            })
            .await;
    }

    async fn clients(&self) -> Vec<String> {
        let clients = self.server.get("/api/v1/clients").await.json();
        clients["clients"].as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap().to_owned()).collect()
    }
}

fn file_of(server: &ServerNode) -> PathBuf {
    let dir = std::fs::read_dir(server.dir.join("instances")).unwrap().next().unwrap().unwrap();
    dir.path().join("invitation.json")
}

fn key(bed: &Bed, name: &str) -> Pin {
    Key::open(&bed.path().join(name)).unwrap().pin()
}

/// Of a client that nobody finds.
fn registration(pin: Pin) -> Registration {
    let labels = Labels::default();
    Registration { pin, port: 9, slots: 1, labels, version: "0".to_owned(), protocol: PROTOCOL_VERSION }
}

fn log(client: &ClientNode) -> String {
    std::fs::read_to_string(client.dir.with_extension("log")).unwrap()
}

/// Ends by itself, and well.
fn ends_well(client: &mut ClientNode, why: &str) {
    let status = client.process.take().unwrap().ended();
    assert_eq!(status.code(), Some(0), "{}", log(client));
    assert!(log(client).contains(why), "{}", log(client));
}

fn runs(client: &mut ClientNode) -> bool {
    client.process.as_mut().unwrap().is_running()
}

#[tokio::test]
async fn first_key_is_the_instances_and_another_is_refused_and_reported() {
    let world = World::new().await;
    let (first, second) = (key(&world.bed, "first.pem"), key(&world.bed, "second.pem"));
    for _ in 0..2 {
        let answer = world.registered(first.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.json()["client"], "burst-1");
    }
    let refused = world.registered(second).await;
    assert_eq!((refused.status.as_u16(), refused.json()["code"].as_str()), (409, Some("other-key")));
    assert!(world.server.log().contains("somebody else tried to register"), "{}", world.server.log());
    assert_eq!(world.clients().await, ["burst-1"]);
    // The instance's own client comes too late: it ends, the job goes elsewhere, and nothing stays.
    world.ready.open();
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    assert_eq!(instances(&world.server).await.len(), 2);
    nothing_is_left(&world.server).await;
}

#[tokio::test]
async fn registration_whose_answer_is_lost_is_repeated_and_is_the_same_client() {
    let mut world = World::new().await;
    let (server, pin) = (world.invitation.server.clone(), key(&world.bed, "key.pem"));
    let line = Proxy::to(&server.replace("https://", "http://"));
    world.invitation.server = line.url.replace("http://", "https://");
    let mut bytes = 1_000;
    let answer = loop {
        // A hundred more each time: one of the lines breaks within the answer.
        line.cut_after(bytes);
        bytes += 100;
        let call = world.call("POST", REGISTER, &world.invitation.token).json(&registration(pin.clone()));
        match call.send().await {
            Ok(answer) if answer.status() == 200 => break Answer::read(answer).await,
            Ok(answer) => panic!("{answer:?}"),
            Err(_) => assert!(bytes < 20_000),
        }
    };
    assert_eq!(answer.json()["client"], "burst-1");
    let times = world.server.log().matches("client joined").count();
    assert!(times >= 2, "an answer was lost, so it joined {times} times");
    assert_eq!(world.clients().await, ["burst-1"]);
    world.ready.open();
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    nothing_is_left(&world.server).await;
}

#[tokio::test]
async fn neither_side_is_believed_without_the_token_of_its_own() {
    let mut world = World::new().await;
    let arch = format!("{PROGRAM}/{}", std::env::consts::ARCH);
    for token in ["", &"0".repeat(64), &world.invitation.server_token] {
        for (method, path) in [("POST", REGISTER), ("POST", NOTICE), ("GET", &arch)] {
            let answer = Answer::read(world.call(method, path, token).send().await.unwrap()).await;
            assert_eq!((answer.status.as_u16(), answer.json()["code"].as_str()), (401, Some("wrong-token")), "{path}");
        }
    }
    let own = world.invitation.instance;
    world.invitation.instance.0 += 1;
    let other = world.call("POST", REGISTER, &world.invitation.token);
    assert_eq!(other.send().await.unwrap().status(), 401, "a token is of one instance");
    world.invitation.instance = own;
    assert!(world.clients().await.is_empty());
    let client = world.joins("client", |_| {});
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    let http = tls::https(&key(&world.bed, "client/key.pem")).unwrap().build().unwrap();
    let info = format!("{}/info", client.url.replace("http://", "https://"));
    for (token, status) in [("", 401), (&world.invitation.token, 401), (&world.invitation.server_token, 200)] {
        assert_eq!(http.get(&info).bearer_auth(token).send().await.unwrap().status(), status);
    }
}

#[tokio::test]
async fn instance_fetches_the_program_of_its_architecture_also_the_rest_of_it() {
    let program = tempfile::NamedTempFile::new().unwrap();
    let (foreign, machine) = if cfg!(target_arch = "aarch64") { ("x86_64", 62_u8) } else { ("aarch64", 183) };
    // The beginning of a program of 64 bits; nobody runs it.
    let mut content = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0".to_vec();
    content.extend([machine, 0]);
    content.extend((20..3_000_000_u32).map(|number| number.to_le_bytes()[1]));
    program.as_file().write_all(&content).unwrap();
    let table = format!("[server.client_binary]\n{foreign} = \"{}\"", program.path().display());
    let world = World::with(&table, |_| "true".to_owned()).await;
    let fetch = |arch: &str| world.call("GET", &format!("{PROGRAM}/{arch}"), &world.invitation.token);
    let whole = Answer::read(fetch(foreign).send().await.unwrap()).await;
    assert!(whole.status == 200 && whole.body == content);
    let rest = Answer::read(fetch(foreign).header("range", "bytes=2000000-").send().await.unwrap()).await;
    assert_eq!((rest.status.as_u16(), rest.header("content-range")), (206, "bytes 2000000-2999999/3000000"));
    assert!(rest.body == content[2_000_000..]);
    assert_eq!(fetch("sparc").send().await.unwrap().status(), 404);
    let own = fetch(std::env::consts::ARCH).header("range", "bytes=0-3").send().await.unwrap();
    assert_eq!(Answer::read(own).await.body, b"\x7fELF");
}

#[tokio::test]
async fn client_that_comes_back_is_the_same_and_its_job_went_on() {
    let world = World::with("", |bed| {
        let gate = Gate::new(bed, "gate");
        Record::new(bed).around("job", &gate.wait())
    })
    .await;
    let mut client = world.joins("client", |_| {});
    world.server.reached(world.job, "Running").await;
    let pin = key(&world.bed, "client/key.pem");
    client.kill();
    client.start();
    Gate::new(&world.bed, "gate").open();
    let job = world.server.ended(world.job).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(pin, key(&world.bed, "client/key.pem"));
    assert_eq!(Record::new(&world.bed).begun().len(), 1);
    assert_eq!(world.clients().await, ["burst-1"]);
}

#[tokio::test]
async fn instance_tells_what_its_machine_has() {
    let world = World::new().await;
    let _client = world.joins("client", |invitation| invitation.labels = Labels::from_pairs(["cpus=77"]).unwrap());
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    let client = world.server.get("/api/v1/clients").await.json()["clients"][0].clone();
    assert_eq!(client["labels"]["arch"], std::env::consts::ARCH, "{client:#}");
    assert_eq!(client["labels"]["cpus"], "77", "what was declared counts: {client:#}");
    assert!(client["labels"]["memory_mb"].as_str().unwrap().parse::<u64>().unwrap() > 0, "{client:#}");
}

#[tokio::test]
async fn client_whose_instance_is_gone_ends_and_says_why() {
    let world = World::new().await;
    world.ready.open();
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    nothing_is_left(&world.server).await;
    let mut late = world.joins("late", |_| {});
    ends_well(&mut late, "the server says 410 Gone");
}

#[tokio::test]
async fn idle_client_ends_once_its_server_is_silent_for_too_long_and_not_before() {
    let mut world = World::new().await;
    // Nothing but the silence ends it.
    world.server.post("/api/v1/instances/1/protect").await;
    let mut client = world.joins("client", |invitation| invitation.idle_patience_seconds = 3);
    assert_eq!(world.server.ended(world.job).await.status(), "Completed");
    world.forgets(&client).await;
    pass(Duration::from_millis(4_500)).await;
    assert!(runs(&mut client), "the server was there all the time: {}", log(&client));
    world.server.kill();
    ends_well(&mut client, "the server did not ask");
    world.server.start();
    world.server.post("/api/v1/instances/1/unprotect").await;
    world.ready.open();
    nothing_is_left(&world.server).await;
}

#[tokio::test]
async fn client_that_never_reaches_its_server_ends_too() {
    let world = World::new().await;
    let mut lost = world.joins("lost", |invitation| {
        invitation.server = "https://127.0.0.1:9".to_owned();
        invitation.idle_patience_seconds = 1;
    });
    ends_well(&mut lost, "the server did not ask");
    let mut deceived = world.joins("deceived", |invitation| {
        invitation.pin = key(&world.bed, "other.pem");
        invitation.idle_patience_seconds = 1;
    });
    ends_well(&mut deceived, "the server did not ask");
    assert!(world.clients().await.is_empty(), "it told its token to somebody else");
}

#[tokio::test]
async fn busy_client_ends_its_work_and_keeps_the_results_for_a_server_that_is_back() {
    let mut world = World::with("", |bed| Record::new(bed).around("job", &Gate::new(bed, "gate").wait())).await;
    let mut client = world.joins("client", |invitation| invitation.idle_patience_seconds = 2);
    world.server.reached(world.job, "Running").await;
    world.server.kill();
    pass(Duration::from_secs(3)).await;
    Gate::new(&world.bed, "gate").open();
    pass(Duration::from_secs(3)).await;
    assert!(runs(&mut client), "{}", log(&client));
    world.server.start();
    let job = world.server.ended(world.job).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert_eq!(Record::new(&world.bed).begun().len(), 1);
    world.forgets(&client).await;
    world.server.kill();
    ends_well(&mut client, "the server did not ask");
}

#[tokio::test]
async fn results_have_all_of_their_time_however_long_the_job_ran_without_the_server() {
    let mut world = World::with("", |bed| Record::new(bed).around("job", &Gate::new(bed, "gate").wait())).await;
    let mut client = world.joins("client", |invitation| invitation.result_patience_seconds = 3);
    world.server.reached(world.job, "Running").await;
    world.server.kill();
    pass(Duration::from_secs(4)).await;
    assert!(runs(&mut client), "a job runs: {}", log(&client));
    Gate::new(&world.bed, "gate").open();
    let ended = ended_within(&world.bed).await;
    pass(Duration::from_secs(2).saturating_sub(ended.elapsed())).await;
    assert!(runs(&mut client), "{}", log(&client));
    ends_well(&mut client, "the server did not ask");
}

/// When the job was seen to end.
async fn ended_within(bed: &Bed) -> std::time::Instant {
    let begun = std::time::Instant::now();
    while !Record::new(bed).lines().contains(&"-job".to_owned()) {
        assert!(begun.elapsed() < PATIENCE, "the job does not end");
        pass(Duration::from_millis(5)).await;
    }
    std::time::Instant::now()
}

/// Metadata by IMDSv2: whether the machine is taken away.
struct Metadata(AtomicBool);

#[handler]
fn session(request: &Request) -> Response {
    let has_lifetime = request.header("x-aws-ec2-metadata-token-ttl-seconds").is_some();
    let answer = Response::builder();
    if has_lifetime { answer.body("a token") } else { answer.status(StatusCode::BAD_REQUEST).finish() }
}

#[handler]
fn instance_action(request: &Request, Data(metadata): Data<&Arc<Metadata>>) -> Response {
    let answer = Response::builder();
    match (request.header("x-aws-ec2-metadata-token"), metadata.0.load(Ordering::Relaxed)) {
        (Some("a token"), true) => answer.body(r#"{"action": "terminate", "time": "2026-12-01T10:00:00Z"}"#),
        (Some("a token"), false) => answer.status(StatusCode::NOT_FOUND).finish(),
        _ => answer.status(StatusCode::UNAUTHORIZED).finish(),
    }
}

#[tokio::test]
async fn instance_that_its_provider_takes_away_drains_and_others_do_what_comes() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let metadata = Arc::new(Metadata(AtomicBool::new(false)));
    let routes = Route::new()
        .at("/latest/api/token", put(session))
        .at("/latest/meta-data/spot/instance-action", get(instance_action))
        .data(Arc::clone(&metadata));
    let service = Server::new_with_acceptor(TcpAcceptor::from_tokio(listener).unwrap()).run(routes);
    let story = async {
        let bed = Bed::new();
        let variable = ("ORCHESTRATOR_IMDS_ENDPOINT", endpoint.as_str());
        let server = bed.server_with(&burst("", "max = 2"), &[OPEN[0], variable]);
        let gate = Gate::new(&bed, "gate");
        let busy = server.submit(Form::new(1).script(&gate.wait())).await;
        server.reached(busy, "Running").await;
        metadata.0.store(true, Ordering::Relaxed);
        let all = instances_until(&server, "it drains", |all| in_state(all, "draining") == 1).await;
        assert_eq!(all[0]["why"], "the provider takes it away", "{all:#?}");
        metadata.0.store(false, Ordering::Relaxed);
        let next = server.submit(Form::new(2).script("true")).await;
        assert_eq!(server.ended(next).await.status(), "Completed");
        assert_eq!(server.job(busy).await.status(), "Running", "a notice ends nothing by itself");
        gate.open();
        assert_eq!(server.ended(busy).await.status(), "Completed");
        nothing_is_left(&server).await;
    };
    tokio::select! {
        ended = service => panic!("{ended:?}"),
        () = story => {}
    }
}
