//! The clients of this server: who they are, how they are spoken to, and what is believed of their state.

mod contact;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use domain::{ClientName, ClientRecord, ClientState, Labels};
use store::{Store, StoreError};

pub use contact::{Contact, Verdict};

use crate::config::settings::{ServerSettings, StaticClient};
use crate::server::remote::{RemoteError, Remotes, Speaker};

/// How long a client that refused work is not given any.
const REFUSAL_PAUSE: Duration = Duration::from_secs(10);

/// All configured clients.
pub struct Pool {
    members: BTreeMap<ClientName, Arc<Member>>,
}

/// One client. Its row in the store is what dispatch sees; this is what its own loops share.
pub struct Member {
    pub client: StaticClient,
    remotes: Remotes,
    store: Store,
    /// Jobs that a client which does not tell its slots is given at once.
    assumed_slots: u32,
    memory: Mutex<Memory>,
}

#[derive(Default)]
struct Memory {
    speaker: Option<Speaker>,
    record: Option<ClientRecord>,
    refused_at: Option<Instant>,
}

impl Pool {
    /// Registers the configured clients; those known from before keep their last labels and slots, and count as
    /// joining until they are heard. Clients that are no longer configured become gone.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn open(settings: &ServerSettings, remotes: &Remotes, store: &Store) -> Result<Self, StoreError> {
        let known: BTreeMap<_, _> =
            store.clients().into_iter().map(|view| (view.record.name.clone(), view.record)).collect();
        let mut members = BTreeMap::new();
        for client in &settings.clients {
            let before = known.get(&client.name);
            let record = ClientRecord {
                name: client.name.clone(),
                services: client.services.clone(),
                slots: before.map_or(0, |record| record.slots),
                labels: before.map_or_else(Labels::default, |record| record.labels.clone()),
                state: ClientState::Joining,
            };
            store.put_client(record.clone()).await?;
            let member = Member {
                client: client.clone(),
                remotes: remotes.clone(),
                store: store.clone(),
                assumed_slots: assumed_slots(settings, client),
                memory: Mutex::new(Memory { record: Some(record), ..Memory::default() }),
            };
            members.insert(client.name.clone(), Arc::new(member));
        }
        for (name, record) in known {
            if !members.contains_key(&name) && record.state != ClientState::Gone {
                store.put_client(ClientRecord { state: ClientState::Gone, ..record }).await?;
            }
        }
        Ok(Self { members })
    }

    #[must_use]
    pub fn member(&self, name: &ClientName) -> Option<&Arc<Member>> {
        self.members.get(name)
    }

    pub fn members(&self) -> impl Iterator<Item = &Arc<Member>> {
        self.members.values()
    }
}

/// A predecessor client takes whatever it is sent, so the services' own limits are all that bounds it.
fn assumed_slots(settings: &ServerSettings, client: &StaticClient) -> u32 {
    let limits = client.services.iter().filter_map(|service| settings.services.get(service));
    limits.map(|service| service.limits.max_runs).fold(0, u32::saturating_add)
}

impl Member {
    fn memory(&self) -> std::sync::MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How to speak to the client, if it was met.
    #[must_use]
    pub fn speaker(&self) -> Option<Speaker> {
        self.memory().speaker.clone()
    }

    /// Finds out what the client is, and makes it ready.
    ///
    /// # Errors
    /// It does not answer, or refuses us, or the store does.
    pub async fn meet(&self) -> Result<Speaker, MeetError> {
        let speaker = self.remotes.meet(&self.client).await?;
        let (slots, labels) = match &speaker {
            Speaker::Modern(_, info) => (info.slots, info.labels.clone()),
            Speaker::Predecessor(_) => (self.assumed_slots, Labels::default()),
        };
        self.memory().speaker = Some(speaker.clone());
        self.change(|record| {
            record.slots = slots;
            record.labels = labels;
            record.state = ClientState::Ready;
        })
        .await?;
        tracing::info!(client.id = %self.client.name, slots, "client is ready");
        Ok(speaker)
    }

    /// The client did not answer: what it is must be found out again.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn suspect(&self) -> Result<(), StoreError> {
        self.memory().speaker = None;
        self.change(|record| record.state = ClientState::Suspect).await
    }

    /// The client answers, and would not take work: it gets none for a while.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn refused(&self) -> Result<(), StoreError> {
        self.memory().refused_at = Some(Instant::now());
        self.change(|record| record.state = ClientState::Suspect).await
    }

    /// The client answered: it is ready again, unless it refused work a moment ago. Tells whether that is news.
    ///
    /// # Errors
    /// The store refuses.
    pub async fn answered(&self) -> Result<bool, StoreError> {
        let news = {
            let mut memory = self.memory();
            let pausing = memory.refused_at.is_some_and(|at| at.elapsed() < REFUSAL_PAUSE);
            if !pausing {
                memory.refused_at = None;
            }
            !pausing && memory.record.as_ref().is_some_and(|record| record.state != ClientState::Ready)
        };
        if news {
            self.change(|record| record.state = ClientState::Ready).await?;
        }
        Ok(news)
    }

    async fn change(&self, change: impl FnOnce(&mut ClientRecord)) -> Result<(), StoreError> {
        let changed = {
            let mut memory = self.memory();
            let Some(record) = memory.record.as_mut() else { return Ok(()) };
            let before = record.clone();
            change(record);
            (*record != before).then(|| record.clone())
        };
        match changed {
            Some(record) => self.store.put_client(record).await,
            None => Ok(()),
        }
    }
}

/// Why a client could not be met.
#[derive(Debug, thiserror::Error)]
pub enum MeetError {
    #[error(transparent)]
    Remote(#[from] RemoteError),
    #[error(transparent)]
    Store(#[from] StoreError),
}
