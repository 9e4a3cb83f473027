//! Accepting a job: its files are on the disk and its row is committed before anybody hears of its id.

use std::str::FromStr;

use domain::{ClientState, JobId, JobRequest, Labels, Requires, ServiceName, Slots, UserId};
use store::{NewJob, PayloadKey, PayloadKeyError, StoreError};

use crate::files::upload::{Part, Payload, Upload, UploadError};
use crate::runtime::OnEnd;
use crate::runtime::crash::CrashPoint;
use crate::server::parts::Parts;

/// Priorities a caller may give.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;

/// Why an upload was not accepted. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum AcceptError {
    /// The upload itself: cut, too large, a hostile name, no room.
    #[error(transparent)]
    Upload(#[from] UploadError),
    #[error("the field `{field}` is missing")]
    Missing { field: &'static str, remedy: &'static str },
    #[error("the field `{field}` is wrong: {why}")]
    Field { field: &'static str, value: String, why: String, remedy: String },
    #[error("the upload has no file")]
    NoFile,
    #[error("no client of service `{service}` could ever run this job: {wanted}")]
    NeverFits { service: ServiceName, wanted: String },
    #[error("the job cannot be recorded")]
    Store(#[from] StoreError),
    #[error("no random source for the payload's name")]
    Random(#[from] getrandom::Error),
    #[error("the payload's name is none")]
    Key(#[from] PayloadKeyError),
    /// Accepting broke off for a reason that the log tells.
    #[error("accepting the job broke off")]
    BrokenOff,
}

/// A job that is durable now.
pub struct Accepted {
    pub id: JobId,
    pub user: UserId,
    pub service: ServiceName,
}

/// Reads the upload to its end, then makes the job durable, also when the caller is gone by then.
///
/// # Errors
/// See [`AcceptError`].
pub async fn accept(parts: &Parts, mut upload: Upload) -> Result<Accepted, AcceptError> {
    let key = random_key()?;
    let mut payload = Payload::durable(&parts.places.payload_parent(key.as_str()), key.as_str());
    let mut fields = Fields::default();
    while let Some(part) = upload.next().await? {
        match part {
            Part::Field { name, text } => fields.take(&name, text)?,
            Part::File(file) => payload.receive(file).await?,
        }
    }
    let request = fields.request(parts)?;
    if payload.files() == 0 {
        return Err(AcceptError::NoFile);
    }
    could_ever_fit(parts, &request)?;
    let task = finish(parts.clone(), payload, key, request);
    let accepted = parts.tasks.spawn("accept", OnEnd::Done, task).await;
    accepted.ok().flatten().unwrap_or(Err(AcceptError::BrokenOff))
}

async fn finish(parts: Parts, payload: Payload, key: PayloadKey, request: JobRequest) -> Result<Accepted, AcceptError> {
    CrashPoint::UploadWritten.passed();
    let stored = payload.finish().await?;
    CrashPoint::UploadDurable.passed();
    let (user, service) = (request.user, request.service.clone());
    let id = parts.store.accept(NewJob { request, payload: key, payload_bytes: stored.bytes() }).await?;
    CrashPoint::JobCommitted.passed();
    stored.keep();
    parts.wakes.dispatch.wake();
    Ok(Accepted { id, user, service })
}

/// The name of a payload's directory: 128 random bits, so that no upload meets another's files.
fn random_key() -> Result<PayloadKey, AcceptError> {
    let mut random = [0; 16];
    getrandom::fill(&mut random)?;
    Ok(format!("{:032x}", u128::from_be_bytes(random)).parse()?)
}

/// The text fields of an upload. Others than these are ignored, as the predecessor did.
#[derive(Default)]
struct Fields {
    user_id: Option<String>,
    service: Option<String>,
    slots: Option<String>,
    priority: Option<String>,
    requires: Option<String>,
    labels: Option<String>,
}

impl Fields {
    fn take(&mut self, name: &str, text: String) -> Result<(), AcceptError> {
        let (field, slot) = match name {
            "user_id" => ("user_id", &mut self.user_id),
            "service" => ("service", &mut self.service),
            "slots" => ("slots", &mut self.slots),
            "priority" => ("priority", &mut self.priority),
            "requires" => ("requires", &mut self.requires),
            "labels" => ("labels", &mut self.labels),
            _ => return Ok(()),
        };
        if slot.is_some() {
            let why = "it is given twice".to_owned();
            return Err(AcceptError::Field { field, value: text, why, remedy: "give it once".to_owned() });
        }
        *slot = Some(text);
        Ok(())
    }

    fn request(self, parts: &Parts) -> Result<JobRequest, AcceptError> {
        let user = self.user_id.ok_or(AcceptError::Missing {
            field: "user_id",
            remedy: "send the number of the user that the job belongs to",
        })?;
        let service = self.service.ok_or(AcceptError::Missing {
            field: "service",
            remedy: "send the name of the service that shall run it",
        })?;
        let slots = match self.slots {
            None => Slots::ONE,
            Some(text) => parse::<u32>("slots", &text)?.try_into().map_err(|error: domain::limits::SlotsError| {
                wrong("slots", &text, &error.to_string(), "leave it out for 1")
            })?,
        };
        Ok(JobRequest {
            user: parse::<UserId>("user_id", &user)?,
            service: known_service(parts, &service)?,
            slots,
            priority: self.priority.map_or(Ok(0), |text| priority(&text))?,
            requires: self.requires.map_or(Ok(Requires::default()), |text| parse("requires", &text))?,
            labels: self.labels.map_or(Ok(Labels::default()), |text| parse("labels", &text))?,
        })
    }
}

fn priority(text: &str) -> Result<i32, AcceptError> {
    let value = parse::<i32>("priority", text)?;
    if PRIORITIES.contains(&value) {
        return Ok(value);
    }
    Err(wrong("priority", text, "it is out of range", "send a whole number from -100 to 100; higher goes first"))
}

fn parse<T: FromStr<Err: std::fmt::Display>>(field: &'static str, text: &str) -> Result<T, AcceptError> {
    text.trim()
        .parse()
        .map_err(|error: T::Err| wrong(field, text, &error.to_string(), "see /swagger-ui/ for what the field takes"))
}

fn wrong(field: &'static str, value: &str, why: &str, remedy: &str) -> AcceptError {
    AcceptError::Field { field, value: value.to_owned(), why: why.to_owned(), remedy: remedy.to_owned() }
}

fn known_service(parts: &Parts, text: &str) -> Result<ServiceName, AcceptError> {
    let services = &parts.settings.services;
    let known = ServiceName::from_str(text).ok().filter(|service| services.contains_key(service));
    known.ok_or_else(|| {
        let names: Vec<_> = services.keys().map(ServiceName::as_str).collect();
        let remedy = if names.is_empty() {
            "the operator configures services; there is none yet".to_owned()
        } else {
            format!("use one of: {}", names.join(", "))
        };
        wrong("service", text, "no such service is configured", &remedy)
    })
}

/// A job is refused only if every client of its service was heard of and none could ever take it; else it waits, and
/// says why.
fn could_ever_fit(parts: &Parts, request: &JobRequest) -> Result<(), AcceptError> {
    let clients: Vec<_> = parts
        .store
        .clients()
        .into_iter()
        .map(|view| view.record)
        .filter(|client| client.state != ClientState::Gone && client.services.contains(&request.service))
        .collect();
    let fits = |client: &domain::ClientRecord| {
        client.slots >= request.slots.get() && request.requires.hold_for(&client.labels)
    };
    let unheard = |client: &domain::ClientRecord| client.slots == 0;
    if clients.is_empty() || clients.iter().any(|client| unheard(client) || fits(client)) {
        return Ok(());
    }
    let mut wanted = vec![format!("slots = {}", request.slots.get())];
    if !request.requires.is_empty() {
        wanted.push(format!("requires = {}", request.requires));
    }
    let wanted = wanted.join(", ");
    Err(AcceptError::NeverFits { service: request.service.clone(), wanted })
}
