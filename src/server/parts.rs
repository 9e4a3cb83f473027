//! What the server application is made of, shared by its two entrances.

use std::path::PathBuf;
use std::sync::Arc;

use domain::{AssignmentId, ServiceName};
use store::Store;

use super::operations::pool::Pool;
use super::wakes::Wakes;
use crate::config::settings::{DownloadContract, ServerSettings};
use crate::runtime::Tasks;

/// The parts of a running server. Cheap to clone.
#[derive(Clone)]
pub struct Parts {
    pub settings: Arc<ServerSettings>,
    pub store: Store,
    pub pool: Arc<Pool>,
    pub wakes: Wakes,
    pub tasks: Tasks,
    pub places: Places,
}

impl Parts {
    /// The generation of the predecessor's download call that `service` speaks.
    #[must_use]
    pub fn download_contract(&self, service: &ServiceName) -> DownloadContract {
        let own = self.settings.services.get(service).and_then(|settings| settings.download_contract);
        own.unwrap_or(self.settings.download_contract)
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
        self.root.join("payloads").join(shard(key))
    }

    #[must_use]
    pub fn payload(&self, key: &str) -> PathBuf {
        self.payload_parent(key).join(key)
    }

    /// The results of one assignment; a job has at most one assignment whose results are accepted.
    #[must_use]
    pub fn result(&self, assignment: AssignmentId) -> PathBuf {
        let key = assignment.to_string();
        self.root.join("results").join(shard(&key)).join(format!("{key}.zip"))
    }

    /// Makes the directories that every path above needs.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn prepare(&self) -> std::io::Result<()> {
        for tree in ["payloads", "results"] {
            for shard in 0..=u8::MAX {
                std::fs::create_dir_all(self.root.join(tree).join(format!("{shard:02x}")))?;
            }
            std::fs::File::open(self.root.join(tree))?.sync_all()?;
        }
        std::fs::File::open(&*self.root)?.sync_all()
    }
}

/// Keys are hexadecimal; anything shorter than a shard's name cannot come from here.
fn shard(key: &str) -> &str {
    key.get(..2).unwrap_or("00")
}
