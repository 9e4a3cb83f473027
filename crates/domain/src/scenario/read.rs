//! Single statements of the language. An error is a sentence; who calls adds the line.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::time::Duration;

use crate::policy::{Settings, Value};
use crate::schedule::snapshot::{ClientView, Head, ServiceQueue, Shape, UserQueue, Waiting};
use crate::{ClientRecord, ClientState, JobId, Labels, Limits, Requires, Slots};

/// `key=value` words; what no one asked for is an error.
pub(super) struct Fields<'a>(BTreeMap<&'a str, &'a str>);

impl<'a> Fields<'a> {
    pub(super) fn read(words: impl Iterator<Item = &'a str>) -> Result<Self, String> {
        let mut fields = BTreeMap::new();
        for word in words {
            let (key, value) = word.split_once('=').ok_or_else(|| format!("`{word}` is not key=value"))?;
            if fields.insert(key, value).is_some() {
                return Err(format!("`{key}` is given twice"));
            }
        }
        Ok(Self(fields))
    }

    pub(super) fn take<T: FromStr>(&mut self, key: &str, default: T) -> Result<T, String> {
        self.optional(key).map(|value| value.unwrap_or(default))
    }

    pub(super) fn optional<T: FromStr>(&mut self, key: &str) -> Result<Option<T>, String> {
        self.0.remove(key).map(|value| parsed(value, key)).transpose()
    }

    pub(super) fn duration(&mut self, key: &str) -> Result<Option<Duration>, String> {
        self.0.remove(key).map(seconds).transpose()
    }

    pub(super) fn end(self) -> Result<(), String> {
        self.0.keys().next().map_or(Ok(()), |key| Err(format!("`{key}` is not known here")))
    }
}

pub(super) fn parsed<T: FromStr>(text: &str, what: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no {what}"))
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    let number = text.strip_suffix('s').and_then(|number| number.parse().ok());
    number.map(Duration::from_secs).ok_or_else(|| format!("`{text}` is no duration such as 600s"))
}

/// A policy's settings, each read as what it looks like.
pub(super) fn settings(fields: Fields<'_>) -> Settings {
    let value = |text: &str| {
        let whole = || text.parse().map(Value::Whole);
        let number = |_| text.parse().map(Value::Number);
        text.parse()
            .map(Value::Flag)
            .or_else(|_| whole())
            .or_else(number)
            .unwrap_or_else(|_| Value::Text(text.to_owned()))
    };
    Settings(fields.0.into_iter().map(|(name, text)| (name.to_owned(), value(text))).collect())
}

pub(super) fn client(name: &str, mut fields: Fields<'_>) -> Result<ClientView, String> {
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
        labels: fields.take("labels", Labels::default())?,
        state,
    };
    let (running, recent_failures) = (fields.take("running", used)?, fields.take("failures", 0)?);
    fields.end().map(|()| ClientView { record, used, running, recent_failures })
}

pub(super) fn service(name: &str, mut fields: Fields<'_>) -> Result<ServiceQueue, String> {
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

pub(super) fn user(id: &str, mut fields: Fields<'_>) -> Result<UserQueue, String> {
    let active = fields.take("active", 0)?;
    let queue = UserQueue {
        user: parsed(id, "user")?,
        active,
        active_everywhere: fields.take("everywhere", active)?,
        last_turn: fields.take("last_turn", 0)?,
        usage: fields.take("usage", 0.0)?,
        waiting: Vec::new(),
    };
    fields.end().map(|()| queue)
}

pub(super) fn jobs(range: &str, mut fields: Fields<'_>) -> Result<Waiting, String> {
    let (first, last) = range.split_once("..").unwrap_or((range, range));
    let (first, last): (i64, i64) = (parsed(first, "job")?, parsed(last, "job")?);
    let priority = fields.take("priority", 0)?;
    let attempt = fields.take("attempt", 0)?;
    let last_client = fields.optional("last_client")?;
    let head = |job| Head { job: JobId(job), priority, attempt, last_client: last_client.clone() };
    let heads: Vec<Head> = (first..=last).map(head).collect();
    let slots = Slots::try_from(fields.take("slots", 1_u32)?).map_err(|error| error.to_string())?;
    let waiting = Waiting {
        shape: Shape { slots, requires: fields.take("requires", Requires::default())? },
        queued: heads.len() as u64,
        oldest_wait: fields.duration("waited")?.unwrap_or_default(),
        heads,
    };
    fields.end().map(|()| waiting)
}

/// Jobs of a shape that the user already has join its queue, as the store would hand them over.
pub(super) fn add(all: &mut Vec<Waiting>, jobs: Waiting) {
    let Some(known) = all.iter_mut().find(|known| known.shape == jobs.shape) else {
        return all.push(jobs);
    };
    known.queued += jobs.queued;
    known.oldest_wait = known.oldest_wait.max(jobs.oldest_wait);
    known.heads.extend(jobs.heads);
    known.heads.sort_by_key(|head| (-head.priority, head.job));
}
