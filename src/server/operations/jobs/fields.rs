//! The text fields of an upload, parsed at the door.

use std::str::FromStr;

use domain::limits::{SlotsError, WalltimeError};
use domain::{IdempotencyKey, JobRequest, Labels, Requires, ServiceName, Slots, UserId, Walltime};

use super::accept::AcceptError;
use super::parameters::Given;
use crate::server::parts::Parts;

/// Priorities a caller may give.
const PRIORITIES: std::ops::RangeInclusive<i32> = -100..=100;

/// The text fields of an upload. Others than these, and than values for a script of the operator's, are ignored, as the
/// predecessor did.
#[derive(Default)]
pub(super) struct Fields {
    user_id: Option<String>,
    service: Option<String>,
    slots: Option<String>,
    priority: Option<String>,
    requires: Option<String>,
    labels: Option<String>,
    walltime: Option<String>,
    idempotency_key: Option<String>,
    parameters: Given,
}

/// What the text fields say.
pub(super) struct Said {
    pub request: JobRequest,
    /// The caller's key for it.
    pub key: Option<IdempotencyKey>,
    pub parameters: Given,
}

impl Fields {
    /// None yet but the service, where the address of the call names one.
    pub(super) fn of(service: Option<String>) -> Self {
        Self { service, ..Self::default() }
    }

    pub(super) fn take(&mut self, name: &str, text: String) -> Result<(), AcceptError> {
        if Given::has(name) {
            return self.parameters.take(name, text);
        }
        let (field, slot) = match name {
            "user_id" => ("user_id", &mut self.user_id),
            "service" => ("service", &mut self.service),
            "slots" => ("slots", &mut self.slots),
            "priority" => ("priority", &mut self.priority),
            "requires" => ("requires", &mut self.requires),
            "labels" => ("labels", &mut self.labels),
            "walltime" => ("walltime", &mut self.walltime),
            "idempotency_key" => ("idempotency_key", &mut self.idempotency_key),
            _ => return Ok(()),
        };
        if slot.is_some() {
            let why = "it is given twice".to_owned();
            return Err(AcceptError::Field { field, value: text, why, remedy: "give it once".to_owned() });
        }
        *slot = Some(text);
        Ok(())
    }

    /// # Errors
    /// A field is missing or wrong.
    pub(super) fn read(self, parts: &Parts) -> Result<Said, AcceptError> {
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
            Some(text) => parse::<u32>("slots", &text)?
                .try_into()
                .map_err(|error: SlotsError| wrong("slots", &text, &error.to_string(), "leave it out for 1"))?,
        };
        let service = known_service(parts, &service)?;
        let key = self.idempotency_key.map(|text| parse("idempotency_key", &text)).transpose()?;
        let request = JobRequest {
            user: parse::<UserId>("user_id", &user)?,
            walltime: self.walltime.map(|text| walltime(parts, &service, &text)).transpose()?,
            service,
            slots,
            priority: self.priority.map_or(Ok(0), |text| priority(&text))?,
            requires: self.requires.map_or(Ok(Requires::default()), |text| parse("requires", &text))?,
            labels: self.labels.map_or(Ok(Labels::default()), |text| parse("labels", &text))?,
        };
        Ok(Said { request, key, parameters: self.parameters })
    }
}

fn priority(text: &str) -> Result<i32, AcceptError> {
    let value = parse::<i32>("priority", text)?;
    if PRIORITIES.contains(&value) {
        return Ok(value);
    }
    Err(wrong("priority", text, "it is out of range", "send a whole number from -100 to 100; higher goes first"))
}

fn walltime(parts: &Parts, service: &ServiceName, text: &str) -> Result<Walltime, AcceptError> {
    let asked: Walltime = parse::<u32>("walltime", text)?.try_into().map_err(|error: WalltimeError| {
        wrong("walltime", text, &error.to_string(), "leave it out for the service's own")
    })?;
    match parts.services.get(service).and_then(|service| service.walltime) {
        Some(most) if asked > most => {
            let why = format!("the service allows {} s", most.seconds());
            Err(wrong("walltime", text, &why, "ask for less, or leave it out for the service's own"))
        }
        _ => Ok(asked),
    }
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
    let services = &parts.services;
    let known = ServiceName::from_str(text).ok().filter(|service| services.get(service).is_some());
    known.ok_or_else(|| {
        let names: Vec<_> = services.names().map(ServiceName::as_str).collect();
        let remedy = if names.is_empty() {
            "the operator configures services; there is none yet".to_owned()
        } else {
            format!("use one of: {}", names.join(", "))
        };
        wrong("service", text, "no such service is configured", &remedy)
    })
}
