//! Real binaries, and everything that happens to them meanwhile: uploads, kills, cuts. Writes down what it did and saw.

use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use domain::OnContactLost;
use tokio::task::JoinSet;

use super::judge::{Absence, Answered, Rules, Upload};
use super::plan::{Plan, Random};
use crate::harness::{Bed, ClientNode, Form, Proxy, ServerNode, pass};

const USERS: u64 = 20;
const CLIENTS: usize = 4;
const SLOTS: usize = 6;
const RUNS_PER_USER: usize = 2;
const MAX_RUNS: usize = 20;
/// Uploads at once.
const UPLOADERS: usize = 4;
/// Of the time with faults, the share in which jobs are uploaded.
const UPLOADING: f64 = 0.7;
/// Between two questions to a client whether it is there, and how long each may take.
const ASK: Duration = Duration::from_millis(200);
const ANSWER: Duration = Duration::from_secs(1);
/// A client that is back is left alone until its server has met it again, for certain: the server's longest pause between
/// two tries is 5 s. Else two absences would be one silence to the server.
const REUNION: Duration = Duration::from_secs(6);

/// How long and how much.
#[derive(Debug, Clone)]
pub struct Course {
    pub jobs: u32,
    /// With faults; then everything is let end.
    pub time: Duration,
    pub seed: u64,
    pub on_contact_lost: OnContactLost,
}

/// How long what lasts, in milliseconds. `lost_after` is longer than any fault of a line, and shorter than a long absence
/// of a client.
struct Pace {
    lost_after: Duration,
    server_lives: Range<u64>,
    long_absences: Range<u64>,
    /// After so many lives of a server comes one that is long enough to declare a loss, whatever its pauses.
    long_life: Option<(u32, Range<u64>)>,
}

impl Pace {
    fn of(on_contact_lost: OnContactLost) -> Self {
        match on_contact_lost {
            OnContactLost::Finish => Self {
                lost_after: Duration::from_secs(3),
                server_lives: 2_000..5_000,
                long_absences: 7_000..12_000,
                long_life: None,
            },
            // So long that the restart of a server, on a busy machine, is not yet a reason to stop what runs.
            OnContactLost::Stop => Self {
                lost_after: Duration::from_secs(8),
                server_lives: 2_000..5_000,
                long_absences: 10_000..14_000,
                long_life: Some((3, 11_000..14_000)),
            },
        }
    }
}

/// What was done.
#[derive(Debug, Default, Clone)]
pub struct Deeds {
    pub server_kills: u32,
    pub client_kills: u32,
    pub long_absences: u32,
    pub cuts: u32,
    pub stalls: u32,
    pub delays: u32,
}

/// A client with its line from the server.
pub struct Machine {
    pub node: Mutex<ClientNode>,
    pub line: Proxy,
    /// Held by whoever does something to it: one fault at a time. When it was last back.
    turn: tokio::sync::Mutex<Option<Instant>>,
}

pub struct World {
    pub machines: Vec<Machine>,
    pub server: Mutex<ServerNode>,
    pub uplink: Proxy,
    pub course: Course,
    pace: Pace,
    begun: Instant,
    drawer: Mutex<(Random, u32)>,
    pub notes: Mutex<Notes>,
    /// Last, so that it is dropped when nothing of the others runs any more.
    pub bed: Bed,
}

/// What the driver writes down.
#[derive(Debug, Default)]
pub struct Notes {
    pub uploads: Vec<Upload>,
    pub absences: Vec<Absence>,
    pub answers: Vec<Answered>,
    pub deeds: Deeds,
}

impl Notes {
    fn acknowledged(&self) -> usize {
        self.uploads.iter().filter(|upload| upload.acknowledged.is_some()).count()
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

pub fn wall_ms() -> i64 {
    i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis()).unwrap()
}

impl World {
    pub fn new(course: Course) -> Self {
        let bed = Bed::in_memory();
        let machine = |number: usize| {
            let slots = SLOTS.to_string();
            let args = ["--slots", &slots, "--kill-grace-seconds", "1"];
            let node = bed.steady_client(&format!("client-{number}"), &args, &[]);
            let line = Proxy::to(&node.url);
            Machine { node: Mutex::new(node), line, turn: tokio::sync::Mutex::default() }
        };
        let machines: Vec<_> = (0..CLIENTS).map(machine).collect();
        let pace = Pace::of(course.on_contact_lost);
        let server = bed.steady_server(&config(&machines, course.on_contact_lost, pace.lost_after), &[]);
        let uplink = Proxy::to(&server.url);
        Self {
            machines,
            server: Mutex::new(server),
            uplink,
            begun: Instant::now(),
            drawer: Mutex::new((Random::new(course.seed, 0), 0)),
            notes: Mutex::default(),
            course,
            pace,
            bed,
        }
    }

    pub fn rules(&self) -> Rules {
        Rules {
            on_contact_lost: self.course.on_contact_lost,
            runs_per_user: RUNS_PER_USER,
            max_runs: MAX_RUNS,
            lost_after_ms: i64::try_from(self.pace.lost_after.as_millis()).unwrap(),
        }
    }

    /// Where scripts write what they do.
    pub fn record(&self) -> PathBuf {
        self.bed.path().join("record")
    }

    fn is_over(&self) -> bool {
        self.begun.elapsed() >= self.course.time
    }

    fn draw(&self) -> (Plan, u32) {
        let mut drawer = lock(&self.drawer);
        let number = drawer.1;
        drawer.1 += 1;
        (Plan::draw(&mut drawer.0, number, USERS), number)
    }
}

fn config(machines: &[Machine], on_contact_lost: OnContactLost, lost_after: Duration) -> String {
    let clients: Vec<_> = machines.iter().map(|machine| machine.line.url.as_str()).collect();
    let on_contact_lost = match on_contact_lost {
        OnContactLost::Finish => "finish",
        OnContactLost::Stop => "stop",
    };
    format!(
        "[server]\nlost_after_seconds = {}\n[service.example]\nclients = {clients:?}\nruns_per_user = {RUNS_PER_USER}\n\
         max_runs = {MAX_RUNS}\non_contact_lost = \"{on_contact_lost}\"\n",
        lost_after.as_secs()
    )
}

/// Lets everything happen, until all jobs are uploaded and the time is over. Then nothing is broken any more.
pub async fn run(world: &Arc<World>) {
    let mut actors = JoinSet::new();
    for _ in 0..UPLOADERS {
        actors.spawn(upload(Arc::clone(world)));
    }
    for number in 0..world.machines.len() {
        actors.spawn(watch(Arc::clone(world), number));
    }
    actors.spawn(kill_servers(Arc::clone(world)));
    actors.spawn(kill_clients(Arc::clone(world)));
    actors.spawn(break_lines(Arc::clone(world)));
    while let Some(ended) = actors.join_next().await {
        ended.expect("an actor of the run");
    }
}

/// Uploads jobs at an even pace until enough were acknowledged.
async fn upload(world: Arc<World>) {
    let http = job_orchestrator::tls::http().unwrap().timeout(Duration::from_secs(5)).build().unwrap();
    let pace = world.course.time.mul_f64(UPLOADING) / world.course.jobs;
    while lock(&world.notes).acknowledged() < world.course.jobs as usize {
        let (plan, number) = world.draw();
        pass((pace * number).saturating_sub(world.begun.elapsed())).await;
        let form = plan.form(&world.record());
        let request = http.post(format!("{}/upload", world.uplink.url)).header("content-type", Form::content_type());
        match acknowledged(request.body(form.finished())).await {
            Err(error) if error.is_connect() => pass(Duration::from_millis(50)).await,
            Err(_broken) => lock(&world.notes).uploads.push(Upload { plan, acknowledged: None }),
            Ok(id) => lock(&world.notes).uploads.push(Upload { plan, acknowledged: Some(id) }),
        }
    }
}

/// The id of a 201 that was read whole.
async fn acknowledged(request: reqwest::RequestBuilder) -> Result<i64, reqwest::Error> {
    let response = request.send().await?;
    let status = response.status();
    let body = response.bytes().await?;
    assert_eq!(status, 201, "{}", String::from_utf8_lossy(&body));
    let told: serde_json::Value = serde_json::from_slice(&body).unwrap();
    Ok(told["id"].as_i64().unwrap())
}

/// Asks a client, over the line that its server has, whether it is there.
async fn watch(world: Arc<World>, number: usize) {
    let http = job_orchestrator::tls::http().unwrap().timeout(ANSWER).build().unwrap();
    let client = world.machines[number].line.url.clone();
    while !world.is_over() {
        let answer = http.get(format!("{client}/health")).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            lock(&world.notes).answers.push(Answered { client: client.clone(), at: wall_ms() });
        }
        pass(ASK).await;
    }
}

async fn kill_servers(world: Arc<World>) {
    let mut random = Random::new(world.course.seed, 1);
    for life in 1.. {
        if world.is_over() {
            return;
        }
        let long = world.pace.long_life.as_ref().filter(|(every, _)| life % every == 0).map(|(_, range)| range);
        pass(Duration::from_millis(random.within(long.unwrap_or(&world.pace.server_lives).clone()))).await;
        tokio::task::block_in_place(|| {
            let mut server = lock(&world.server);
            server.kill();
            server.start();
        });
        lock(&world.notes).deeds.server_kills += 1;
    }
}

/// One after another: now for a moment, now for so long that what it ran is given up.
async fn kill_clients(world: Arc<World>) {
    let mut random = Random::new(world.course.seed, 2);
    for machine in world.machines.iter().cycle() {
        if world.is_over() {
            return;
        }
        let is_long = random.percent(40);
        let millis = if is_long { random.within(world.pace.long_absences.clone()) } else { random.within(0..800) };
        let is_refused = random.percent(60);
        let mut turn = machine.turn.lock().await;
        pass(turn.map_or(Duration::ZERO, |back: Instant| REUNION.saturating_sub(back.elapsed()))).await;
        let from = wall_ms();
        tokio::task::block_in_place(|| lock(&machine.node).kill());
        if is_refused {
            machine.line.refuse();
        }
        pass(Duration::from_millis(millis)).await;
        tokio::task::block_in_place(|| lock(&machine.node).start());
        machine.line.clear();
        {
            let mut notes = lock(&world.notes);
            notes.absences.push(Absence { client: machine.line.url.clone(), from, until: wall_ms() });
            notes.deeds.client_kills += 1;
            notes.deeds.long_absences += u32::from(is_long);
        }
        *turn = Some(Instant::now());
        drop(turn);
        pass(Duration::from_millis(random.within(200..1_500))).await;
    }
}

/// Lines of clients that are there, and the one for uploads.
async fn break_lines(world: Arc<World>) {
    let mut random = Random::new(world.course.seed, 3);
    while !world.is_over() {
        pass(Duration::from_millis(random.within(100..700))).await;
        let number = random.within(0..world.machines.len() as u64 + 1) as usize;
        let Some(machine) = world.machines.get(number) else {
            harm(&world, &world.uplink, &mut random).await;
            continue;
        };
        let Ok(turn) = machine.turn.try_lock() else { continue };
        if turn.is_none_or(|back| back.elapsed() >= REUNION) {
            harm(&world, &machine.line, &mut random).await;
        }
    }
}

/// Never for longer than a second: what is there goes on answering.
async fn harm(world: &World, line: &Proxy, random: &mut Random) {
    let kind = random.within(0..10);
    let note = |deed: fn(&mut Deeds) -> &mut u32| *deed(&mut lock(&world.notes).deeds) += 1;
    match kind {
        0..3 => {
            line.cut();
            note(|deeds| &mut deeds.cuts);
        }
        3..6 => {
            line.cut_after(random.within(1..60_000));
            note(|deeds| &mut deeds.cuts);
        }
        6..8 => {
            line.stall();
            note(|deeds| &mut deeds.stalls);
            pass(Duration::from_millis(random.within(200..900))).await;
        }
        _ => {
            line.delay(Duration::from_millis(random.within(5..100)));
            note(|deeds| &mut deeds.delays);
            pass(Duration::from_millis(random.within(500..1_500))).await;
        }
    }
    // A fuse burns on.
    if !(3..6).contains(&kind) {
        line.clear();
    }
}
