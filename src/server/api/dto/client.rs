//! Clients in JSON.

use std::collections::BTreeMap;

use poem_openapi::Object;
use time::OffsetDateTime;

use super::time;
use crate::server::operations::pool::ClientInfo;

/// A client machine as this server sees it.
#[derive(Debug, Object)]
#[oai(rename = "Client")]
pub struct ClientDto {
    /// Its base address, which is its name everywhere.
    pub name: String,
    /// `own` or `predecessor`; missing until it was met.
    #[oai(skip_serializing_if_is_none)]
    pub kind: Option<String>,
    /// `joining`, `ready`, `suspect`, `quarantined` or `draining`. Only a ready one is given work.
    pub state: String,
    /// Why it is in that state, in a few stable words: `not-heard-of`, `silent`, `refused: CODE`, `backing-off: CODE`,
    /// `removed`, `operator: WHO` drains it, why its instance goes, its own word such as `disk-full`, or the cause of its quarantine (`faults`, `quick-failures`,
    /// `before-restart`) and where its trial stands. Missing while it takes any work.
    #[oai(skip_serializing_if_is_none)]
    pub reason: Option<String>,
    /// When the state began; not before this server's start.
    pub since: OffsetDateTime,
    /// What it may be given work of.
    pub services: Vec<String>,
    /// Slots that it offers, as last heard.
    pub slots: u32,
    /// Slots that its active jobs take. More than `slots` if it came back with fewer.
    pub used: u32,
    /// Its active jobs.
    pub running: u32,
    pub labels: BTreeMap<String, String>,
    /// Of its program, as last heard.
    #[oai(skip_serializing_if_is_none)]
    pub version: Option<String>,
    /// Answers since this server's start that no healthy client gives.
    pub faults: u64,
    /// What last went wrong with it, since this server's start.
    #[oai(skip_serializing_if_is_none)]
    pub last_error: Option<String>,
    /// How long it has not answered; missing while it does.
    #[oai(skip_serializing_if_is_none)]
    pub silent_for_seconds: Option<u64>,
}

/// A page of clients.
#[derive(Debug, Object)]
#[oai(rename = "Clients")]
pub struct ClientsDto {
    /// In the order of their names.
    pub clients: Vec<ClientDto>,
    /// The cursor of the next page; missing on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<String>,
}

impl ClientDto {
    pub fn new(client: ClientInfo) -> Self {
        let ClientInfo { record, used, running, standing } = client;
        Self {
            name: record.name.to_string(),
            kind: standing.kind.map(|kind| kind.as_str().to_owned()),
            state: standing.state.as_str().to_owned(),
            reason: standing.reason,
            since: time(standing.since),
            services: record.services.iter().map(ToString::to_string).collect(),
            slots: record.slots,
            used,
            running,
            labels: record.labels.iter().map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
            version: standing.version,
            faults: standing.faults,
            last_error: standing.last_error,
            silent_for_seconds: standing.silent_for.map(|silent| silent.as_secs()),
        }
    }
}
