//! The scenario language: a snapshot as text, a decision as text. Described in tests/scenarios/README.md.

mod policies;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::str::FromStr;
use std::time::Duration;

use domain::schedule::policies::Policies;
use domain::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, Snapshot, UserQueue, Waiting};
use domain::schedule::{Decision, ScheduleSettings};
use domain::{ClientRecord, ClientState, JobId, Limits, Slots};

pub struct Scenario {
    pub snapshot: Snapshot,
    pub policies: Box<dyn Policies>,
    pub settings: ScheduleSettings,
}

pub fn parse(text: &str) -> Result<Scenario, String> {
    let mut scenario = Scenario {
        snapshot: Snapshot::default(),
        policies: policies::named("native")?,
        settings: ScheduleSettings::default(),
    };
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split('#').next().unwrap_or_default().trim();
        if !line.is_empty() {
            scenario.line(line).map_err(|error| format!("line {number}: {error}"))?;
        }
    }
    Ok(scenario)
}

impl Scenario {
    fn line(&mut self, line: &str) -> Result<(), String> {
        let mut words = line.split_whitespace();
        let verb = words.next().unwrap_or_default();
        match verb {
            "policy" => self.policies = policies::named(words.next().unwrap_or_default())?,
            "reserve_after" => self.settings.reserve_after = seconds(words.next().unwrap_or_default())?,
            "client" => {
                let client = client(words.next().unwrap_or_default(), Fields::read(words)?)?;
                self.snapshot.clients.push(client);
            }
            "service" => {
                let service = service(words.next().unwrap_or_default(), Fields::read(words)?)?;
                self.snapshot.services.push(service);
            }
            "user" => {
                let service = self.snapshot.services.last_mut().ok_or("a user needs a service above")?;
                let user = user(words.next().unwrap_or_default(), Fields::read(words)?)?;
                service.users.push(user);
            }
            "jobs" => {
                let service = self.snapshot.services.last_mut().ok_or("jobs need a service above")?;
                let user = service.users.last_mut().ok_or("jobs need a user above")?;
                let jobs = jobs(words.next().unwrap_or_default(), Fields::read(words)?)?;
                add(&mut user.waiting, jobs);
            }
            other => return Err(format!("`{other}` is not one of policy, reserve_after, client, service, user, jobs")),
        }
        Ok(())
    }
}

/// `key=value` words; what no one asked for is an error.
struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    fn read(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        words
            .map(|word| word.split_once('=').ok_or(format!("`{word}` is not key=value")))
            .collect::<Result<_, _>>()
            .map(Self)
    }

    fn take<T: FromStr>(&mut self, key: &str, default: T) -> Result<T, String> {
        self.0.remove(key).map_or(Ok(default), |value| parsed(value, key))
    }

    fn end(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |key| Err(format!("`{key}` is not known here")))
    }
}

fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no {what}"))
}

fn seconds(text: &str) -> Result<Duration, String> {
    parsed(text.strip_suffix('s').unwrap_or_default(), "duration such as 600s").map(Duration::from_secs)
}

fn client(name: &str, mut fields: Fields<'_>) -> Result<ClientView, String> {
    let services = fields.take("services", String::new())?;
    let state = match fields.take("state", "ready".to_owned())?.as_str() {
        "joining" => ClientState::Joining,
        "ready" => ClientState::Ready,
        "suspect" => ClientState::Suspect,
        "quarantined" => ClientState::Quarantined,
        "draining" => ClientState::Draining,
        "gone" => ClientState::Gone,
        other => return Err(format!("`{other}` is no state of a client")),
    };
    let used = fields.take("used", 0)?;
    let record = ClientRecord {
        name: parsed(name, "client name")?,
        services: services.split(',').map(|name| parsed(name, "service")).collect::<Result<_, _>>()?,
        slots: fields.take("slots", 1)?,
        labels: fields.take("labels", domain::Labels::default())?,
        state,
    };
    let view = ClientView { record, used, running: fields.take("running", used)? };
    fields.end().map(|()| view)
}

fn service(name: &str, mut fields: Fields<'_>) -> Result<ServiceQueue, String> {
    let limits = Limits { runs_per_user: fields.take("runs_per_user", 5)?, max_runs: fields.take("max_runs", 10)? };
    let removed = fields.take("removed", false)?;
    let queue = ServiceQueue {
        service: parsed(name, "service")?,
        limits: (!removed).then_some(limits),
        active: fields.take("active", 0)?,
        users: Vec::new(),
    };
    fields.end().map(|()| queue)
}

fn user(id: &str, mut fields: Fields<'_>) -> Result<UserQueue, String> {
    let active = fields.take("active", 0)?;
    let queue = UserQueue {
        user: parsed(id, "user")?,
        active,
        active_everywhere: fields.take("everywhere", active)?,
        last_turn: fields.take("last_turn", 0)?,
        waiting: Vec::new(),
    };
    fields.end().map(|()| queue)
}

fn jobs(range: &str, mut fields: Fields<'_>) -> Result<Waiting, String> {
    let (first, last) = range.split_once("..").unwrap_or((range, range));
    let (first, last): (i64, i64) = (parsed(first, "job")?, parsed(last, "job")?);
    let priority = fields.take("priority", 0)?;
    let attempt = fields.take("attempt", 0)?;
    let last_client = fields.0.remove("last_client").map(|name| parsed(name, "client")).transpose()?;
    let head = |job| Head { job: JobId(job), priority, attempt, last_client: last_client.clone() };
    let heads: Vec<Head> = (first..=last).map(head).collect();
    let slots = Slots::try_from(fields.take("slots", 1_u32)?).map_err(|error| error.to_string())?;
    let waiting = Waiting {
        shape: Shape { slots, requires: fields.take("requires", domain::Requires::default())? },
        queued: heads.len() as u64,
        oldest_wait: fields.0.remove("waited").map_or(Ok(Duration::ZERO), seconds)?,
        heads,
    };
    fields.end().map(|()| waiting)
}

/// Jobs of a shape that the user already has join its queue, as the store would hand them over.
fn add(all: &mut Vec<Waiting>, jobs: Waiting) {
    let Some(known) = all.iter_mut().find(|known| known.shape == jobs.shape) else {
        return all.push(jobs);
    };
    known.queued += jobs.queued;
    known.oldest_wait = known.oldest_wait.max(jobs.oldest_wait);
    known.heads.extend(jobs.heads);
    known.heads.sort_by_key(|head| (-head.priority, head.job));
}

pub fn print(decision: &Decision) -> String {
    let mut text = String::new();
    for (job, client) in &decision.placements {
        writeln!(text, "  place {job} on {client}").unwrap();
    }
    for waiting in &decision.reasons {
        let Shape { slots, requires } = &waiting.shape;
        write!(text, "  wait {} user {}", waiting.service, waiting.user).unwrap();
        if slots.get() > 1 {
            write!(text, " slots={}", slots.get()).unwrap();
        }
        if !requires.is_empty() {
            write!(text, " requires={requires}").unwrap();
        }
        writeln!(text, ": {}: {}", waiting.reason.code(), waiting.reason).unwrap();
    }
    for fault in &decision.faults {
        let service = fault.service.as_ref().map_or(String::new(), |service| format!(" for {service}"));
        writeln!(text, "  fault {:?}{service}: {:?} x{}", fault.policy, fault.breach, fault.count).unwrap();
    }
    if decision.again {
        text.push_str("  again\n");
    }
    text
}
