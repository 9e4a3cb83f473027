//! HTTP to client machines.
//!
//! Owns addresses, deadlines, bounds and what each answer means. Knows no store and no loop: it is told what to send,
//! and says what came of it in the kinds that matter to a job: surely not delivered, refused, or unknown. A client may
//! be broken or hostile: `line` reads every answer with limits, and what is out of them is [`RemoteError::Nonsense`].

mod error;
mod line;
mod modern;
mod payload;
mod predecessor;

use std::time::Duration;

use domain::pool::ProviderId;
use reqwest::StatusCode;
use reqwest::header::{HeaderName, HeaderValue};
use store::instances::Registrant;

pub use error::RemoteError;
pub use line::Zip;
pub use modern::{Modern, Wire};
pub use payload::Payload;
pub use predecessor::{Predecessor, PredecessorStatus};

use crate::config::settings::{ClusterKey, StaticClient};
use crate::protocol::{FORMER_SERVERS_HEADER, Info, PARAMETERS_SINCE};
use crate::tls::{self, Pin, PinError, TlsError};
use line::Line;

/// Until a connection stands.
const CONNECT_DEADLINE: Duration = Duration::from_secs(5);
/// Of a retrieval until its first byte: the client may have to pack gigabytes first.
const PACK_DEADLINE: Duration = Duration::from_secs(900);
/// The slowest link that a payload is sent over, in bytes per second; with the client's patience it bounds a delivery.
const SLOWEST_LINK: u64 = 256 * 1024;

/// What was found at a client's address.
#[derive(Debug, Clone)]
pub enum Speaker {
    Modern(Modern, Box<Info>),
    Predecessor(Predecessor),
}

impl Speaker {
    /// Whether scripts get their values there.
    #[must_use]
    pub fn takes_parameters(&self) -> bool {
        match self {
            Self::Modern(_, info) => info.protocol >= PARAMETERS_SINCE,
            Self::Predecessor(_) => false,
        }
    }
}

/// Where a client is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// Where the configuration says.
    Configured(StaticClient),
    /// Where the client of an instance said.
    Joined(JoinedClient),
}

/// A client on an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JoinedClient {
    /// The provider's id of it.
    pub provider: ProviderId,
    pub registrant: Registrant,
    /// What it asks of its server.
    pub key: ClusterKey,
}

/// Makes the connections to clients; one per server process.
#[derive(Debug, Clone)]
pub struct Remotes {
    http: reqwest::Client,
    key: Option<ClusterKey>,
    server_id: String,
    /// Told to every client: it may belong to a server that this one was restored from.
    former_ids: Option<HeaderValue>,
    patience: Duration,
}

impl Remotes {
    /// `patience` is how long a client may be silent within a call.
    ///
    /// # Errors
    /// The HTTP client cannot be set up.
    pub fn new(
        key: Option<ClusterKey>,
        server_id: String,
        former_ids: &[String],
        patience: Duration,
    ) -> Result<Self, TlsError> {
        // Ids are hexadecimal digits, which any header takes.
        let former_ids = HeaderValue::from_str(&former_ids.join(",")).ok().filter(|former| !former.is_empty());
        let http = set_up(tls::http()?, former_ids.as_ref(), patience)?;
        Ok(Self { http, key, server_id, former_ids, patience })
    }

    /// Finds out which protocol the client speaks.
    ///
    /// # Errors
    /// It cannot be reached, refuses us, or is newer than this server.
    pub async fn meet(&self, address: &Address) -> Result<Speaker, RemoteError> {
        match address {
            Address::Configured(client) => self.meet_configured(client).await,
            Address::Joined(client) => self.meet_joined(client).await,
        }
    }

    async fn meet_configured(&self, client: &StaticClient) -> Result<Speaker, RemoteError> {
        let line =
            Line { http: self.http.clone(), name: client.name.clone(), key: self.key.clone(), patience: self.patience };
        let modern = Modern::new(line.clone(), client.name.to_string(), self.server_id.clone());
        match modern.info().await {
            Ok(info) => Ok(Speaker::Modern(modern, Box::new(info))),
            Err(RemoteError::Refused { status: StatusCode::NOT_FOUND, .. }) => {
                let predecessor = Predecessor::new(line, client.clone());
                predecessor.load().await?;
                Ok(Speaker::Predecessor(predecessor))
            }
            Err(error) => Err(error),
        }
    }

    /// It has the key that it registered with, or it is somebody else.
    async fn meet_joined(&self, client: &JoinedClient) -> Result<Speaker, RemoteError> {
        let Registrant { name, key, url } = &client.registrant;
        let failed = |what: String| RemoteError::Nonsense { call: "info", client: name.to_string(), what };
        let pin: Pin = key.to_string().parse().map_err(|error: PinError| failed(error.to_string()))?;
        let http = tls::https(&pin).and_then(|http| set_up(http, self.former_ids.as_ref(), self.patience));
        let http = http.map_err(|error| failed(error.to_string()))?;
        let line = Line { http, name: name.clone(), key: Some(client.key.clone()), patience: self.patience };
        let modern = Modern::new(line, url.clone(), self.server_id.clone());
        let info = modern.info().await?;
        Ok(Speaker::Modern(modern, Box::new(info)))
    }
}

fn set_up(
    http: reqwest::ClientBuilder,
    former_ids: Option<&HeaderValue>,
    patience: Duration,
) -> Result<reqwest::Client, TlsError> {
    let former = former_ids.map(|former| (HeaderName::from_static(FORMER_SERVERS_HEADER), former.clone()));
    Ok(http
        .default_headers(former.into_iter().collect())
        .connect_timeout(CONNECT_DEADLINE.min(patience))
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .build()?)
}
