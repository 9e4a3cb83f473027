//! What the server application is made of, shared by its two entrances.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use domain::policy::Digest;
use domain::schedule::snapshot::Snapshot;
use domain::{AssignmentId, ServiceName};
use store::Store;

use super::operations::joining::Joining;
use super::operations::policy::Registry;
use super::operations::pool::Pool;
use super::operations::storage::{InFlight, Probe, Shard};
use super::outlook::Outlook;
use super::services::Services;
use super::wakes::Wakes;
use crate::config::settings::{DownloadContract, ServerSettings};
use crate::runtime::Tasks;

/// The parts of a running server. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    pub settings: Arc<ServerSettings>,
    pub services: Services,
    pub store: Store,
    pub pool: Arc<Pool>,
    pub policies: Arc<Registry>,
    pub joining: Arc<Joining>,
    pub wakes: Wakes,
    pub outlook: Outlook,
    pub tasks: Tasks,
    pub places: Places,
    pub in_flight: InFlight,
    pub probe: Probe,
}

impl Parts {
    /// All queues and clients at this instant, for a decision.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut snapshot = self.store.snapshot();
        self.note_failures(&mut snapshot);
        snapshot
    }

    /// Adds what is known in memory only of how clients fare.
    pub fn note_failures(&self, snapshot: &mut Snapshot) {
        for client in &mut snapshot.clients {
            client.recent_failures = self.pool.member(&client.record.name).map_or(0, |member| member.recent_failures());
        }
    }

    /// The generation of the predecessor's download call that `service` speaks.
    #[must_use]
    pub fn download_contract(&self, service: &ServiceName) -> DownloadContract {
        self.services.download_contract(service).unwrap_or(self.settings.download_contract)
    }
}

/// Which kind of file a directory holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tree {
    Payloads,
    Results,
}

impl Tree {
    const ALL: [Self; 2] = [Self::Payloads, Self::Results];

    fn name(self) -> &'static str {
        match self {
            Self::Payloads => "payloads",
            Self::Results => "results",
        }
    }
}

/// Where files are. Both trees are spread over 256 directories, so that none grows without bound.
#[derive(Debug, Clone)]
pub struct Places {
    root: Arc<PathBuf>,
}

impl Places {
    #[must_use]
    pub fn new(data_dir: PathBuf) -> Self {
        Self { root: Arc::new(data_dir) }
    }

    /// The directory that holds the payload directories whose random keys begin alike.
    #[must_use]
    pub fn payload_parent(&self, key: &str) -> PathBuf {
        self.tree(Tree::Payloads).join(shard(key))
    }

    #[must_use]
    pub fn payload(&self, key: &str) -> PathBuf {
        self.payload_parent(key).join(key)
    }

    /// The results of one assignment; a job has at most one assignment whose results are accepted.
    #[must_use]
    pub fn result(&self, assignment: AssignmentId) -> PathBuf {
        let key = assignment.to_string();
        self.tree(Tree::Results).join(shard(&key)).join(format!("{key}.zip"))
    }

    /// Where the components are that were handed in.
    #[must_use]
    pub fn components(&self) -> PathBuf {
        self.root.join("policies").join("components")
    }

    #[must_use]
    pub fn component(&self, digest: Digest) -> PathBuf {
        self.components().join(format!("{digest}.wasm"))
    }

    /// The key by which instances know this server.
    #[must_use]
    pub fn server_key(&self) -> PathBuf {
        self.root.join("secrets").join("server-key.pem")
    }

    /// Where the instances are that are processes of this machine.
    #[must_use]
    pub fn instances(&self) -> PathBuf {
        self.root.join("instances")
    }

    /// Where what nobody needs waits for its removal.
    #[must_use]
    pub fn trash(&self) -> PathBuf {
        self.root.join("trash")
    }

    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directories that the trees are spread over.
    #[must_use]
    pub fn shards(&self) -> Vec<Shard> {
        let shard = |tree: Tree, number: u8| {
            let digits = format!("{number:02x}");
            Shard { tree, path: self.tree(tree).join(&digits), digits }
        };
        Tree::ALL.into_iter().flat_map(|tree| (0..=u8::MAX).map(move |number| shard(tree, number))).collect()
    }

    /// Makes the directories that every path above needs.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn prepare(&self) -> std::io::Result<()> {
        for shard in self.shards() {
            std::fs::create_dir_all(shard.path)?;
        }
        std::fs::create_dir_all(self.trash())?;
        for tree in Tree::ALL {
            std::fs::File::open(self.tree(tree))?.sync_all()?;
        }
        std::fs::File::open(&*self.root)?.sync_all()
    }

    fn tree(&self, tree: Tree) -> PathBuf {
        self.root.join(tree.name())
    }
}

/// Keys are hexadecimal; anything shorter than a shard's name cannot come from here.
fn shard(key: &str) -> &str {
    key.get(..2).unwrap_or("00")
}
