//! The components that are here, by digest: those that this program brings with it, and those that were handed in.
//!
//! A component that was handed in is a file of its own, written once and never changed. Loading compiles, which takes
//! seconds for some: it happens off the threads that others need, and what is in use is compiled once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use domain::policy::{Description, Digest, PolicyKind, PolicyName, Settings};
use policy_host::{Budget, Component, EngineError, LoadError, PolicyHost};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::files::durable;

/// A component that this program brings with it.
struct Shipped {
    kind: PolicyKind,
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! shipped {
    ($($kind:ident $name:literal $file:literal),* $(,)?) => {
        &[$(Shipped {
            kind: PolicyKind::$kind,
            name: $name,
            bytes: include_bytes!(concat!(env!("CARGO_MANIFEST_DIR"), "/policies/", $file)),
        }),*]
    };
}

/// The first of each kind decides where nothing else was chosen.
const SHIPPED: &[Shipped] = shipped![
    Quota "round-robin" "quota-round-robin.wasm",
    Quota "fair-share" "quota-fair-share.wasm",
    Quota "priority" "quota-priority.wasm",
    Routing "least-loaded" "routing-least-loaded.wasm",
    Routing "best-fit" "routing-best-fit.wasm",
    Scaling "demand" "scaling-demand.wasm",
];

/// Why a component cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum LibraryError {
    /// Nothing of that digest is here.
    #[error("no component with the digest {0} is here")]
    Missing(Digest),
    #[error("the file of the component {0} is damaged")]
    Damaged(Digest),
    #[error("the file {0} cannot be read")]
    Read(PathBuf, #[source] std::io::Error),
    #[error("the component cannot be kept in {0}")]
    Write(PathBuf, #[source] std::io::Error),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("the server is stopping")]
    Stopping,
}

/// What is known of a component that is here.
#[derive(Debug, Clone)]
pub struct Known {
    pub kind: PolicyKind,
    pub digest: Digest,
    pub shipped: bool,
    /// As it is without settings; the reason where it does not work without, or not at all.
    pub description: Result<Description, String>,
}

pub struct Library {
    host: PolicyHost,
    directory: PathBuf,
    shipped: BTreeMap<Digest, &'static Shipped>,
    /// In use by somebody.
    loaded: Mutex<HashMap<Digest, Weak<Component>>>,
    known: Mutex<BTreeMap<Digest, Known>>,
    /// One at a time: it takes all processors, and of a component with a whole Python in it a gigabyte.
    compiling: Arc<Semaphore>,
}

impl Library {
    /// With the place for components and for what was compiled of them below the server's data directory.
    ///
    /// # Errors
    /// The directory cannot be made, or this machine cannot run components.
    pub fn open(data_dir: &Path) -> Result<Self, LibraryError> {
        let policies = data_dir.join("policies");
        let directory = policies.join("components");
        durable::create_dirs(&directory).map_err(|error| LibraryError::Write(directory.clone(), error))?;
        let host = PolicyHost::new(Budget::default(), Some(&policies.join("code")))?;
        let shipped = SHIPPED.iter().map(|shipped| (PolicyHost::digest(shipped.bytes), shipped)).collect();
        Ok(Self {
            host,
            directory,
            shipped,
            loaded: Mutex::default(),
            known: Mutex::default(),
            compiling: Arc::new(Semaphore::new(1)),
        })
    }

    /// What decides where nothing else was chosen.
    #[must_use]
    pub fn default_of(kind: PolicyKind) -> (PolicyName, Digest) {
        // A row of the table above for each kind, with a name that its policy parses; a test holds both.
        #[expect(clippy::expect_used, reason = "the table has a row for each kind, and a test holds its names")]
        let (shipped, name) = SHIPPED
            .iter()
            .find(|shipped| shipped.kind == kind)
            .and_then(|shipped| Some((shipped, shipped.name.parse().ok()?)))
            // See above.
            .expect("a shipped policy of each kind");
        (name, PolicyHost::digest(shipped.bytes))
    }

    /// Whether this program brings that component with it.
    #[must_use]
    pub fn ships(digest: Digest) -> bool {
        SHIPPED.iter().any(|shipped| PolicyHost::digest(shipped.bytes) == digest)
    }

    /// The component, compiled.
    ///
    /// # Errors
    /// It is not here, or is none any more for this version of the program.
    pub async fn load(&self, digest: Digest) -> Result<Arc<Component>, LibraryError> {
        if let Some(component) = self.in_use(digest) {
            return Ok(component);
        }
        let turn = self.turn().await?;
        // Somebody else may have had the same wish before.
        if let Some(component) = self.in_use(digest) {
            return Ok(component);
        }
        let shipped = self.shipped.get(&digest).map(|shipped| shipped.bytes);
        let path = self.path(digest);
        let host = self.host.clone();
        let component = off_thread(move || {
            let _turn = turn;
            let bytes = match shipped {
                Some(bytes) => std::borrow::Cow::Borrowed(bytes),
                None => std::borrow::Cow::Owned(read(&path, digest)?),
            };
            Ok(host.load(&bytes)?)
        })
        .await?;
        self.loaded().insert(digest, Arc::downgrade(&component));
        Ok(component)
    }

    /// Keeps a component that somebody hands in, once it has turned out to be one. In the place of a damaged file, too.
    ///
    /// # Errors
    /// It is no policy, or the disk does not take it.
    pub async fn add(&self, bytes: Vec<u8>) -> Result<Arc<Component>, LibraryError> {
        let digest = PolicyHost::digest(&bytes);
        if self.shipped.contains_key(&digest) || self.has_whole(digest).await {
            return self.load(digest).await;
        }
        let turn = self.turn().await?;
        let (host, path) = (self.host.clone(), self.path(digest));
        let component = off_thread(move || {
            let _turn = turn;
            let component = host.load(&bytes)?;
            durable::write_file(&path, &bytes).map_err(|error| LibraryError::Write(path, error))?;
            Ok(component)
        })
        .await?;
        // What was known may be of a file that was damaged.
        self.known_so_far().remove(&digest);
        self.loaded().insert(digest, Arc::downgrade(&component));
        Ok(component)
    }

    /// Goes with the work, which goes on when its caller is gone.
    async fn turn(&self) -> Result<OwnedSemaphorePermit, LibraryError> {
        self.compiling.clone().acquire_owned().await.map_err(|_closed| LibraryError::Stopping)
    }

    async fn has_whole(&self, digest: Digest) -> bool {
        let path = self.path(digest);
        off_thread(move || read(&path, digest)).await.is_ok()
    }

    /// Everything that is here, by kind and name.
    pub async fn list(&self) -> Vec<Known> {
        let mut known = Vec::new();
        for digest in self.digests() {
            known.push(self.known(digest).await);
        }
        known.sort_by(|a, b| {
            let name = |known: &Known| known.description.as_ref().map(|it| it.name.clone()).ok();
            (a.kind, name(a), a.digest).cmp(&(b.kind, name(b), b.digest))
        });
        known
    }

    async fn known(&self, digest: Digest) -> Known {
        if let Some(known) = self.known_so_far().get(&digest) {
            return known.clone();
        }
        let shipped = self.shipped.contains_key(&digest);
        let known = match self.load(digest).await {
            Ok(component) => {
                let described = component.configure(&Settings::default());
                let description =
                    described.map(|policy| policy.description().clone()).map_err(|error| error.to_string());
                Known { kind: component.kind(), digest, shipped, description }
            }
            // Of a kind that nobody can tell; what it was chosen for says it, where it was.
            Err(error) => Known { kind: PolicyKind::Quota, digest, shipped, description: Err(error.to_string()) },
        };
        self.known_so_far().insert(digest, known.clone());
        known
    }

    /// The digest of what is called so: of those handed in the one that came last, else what this program brings.
    pub async fn named(&self, kind: PolicyKind, name: &PolicyName) -> Option<Digest> {
        let named = |known: &Known| known.kind == kind && known.description.as_ref().is_ok_and(|it| it.name == *name);
        let all: Vec<Known> = self.list().await.into_iter().filter(named).collect();
        let handed_in = all.iter().filter(|known| !known.shipped);
        let last =
            handed_in.max_by_key(|known| std::fs::metadata(self.path(known.digest)).and_then(|it| it.modified()).ok());
        last.or_else(|| all.iter().find(|known| known.shipped)).map(|known| known.digest)
    }

    fn digests(&self) -> Vec<Digest> {
        let mut digests: Vec<Digest> = self.shipped.keys().copied().collect();
        for entry in std::fs::read_dir(&self.directory).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let digits = name.to_str().and_then(|name| name.strip_suffix(".wasm"));
            digests.extend(digits.and_then(|digits| digits.parse::<Digest>().ok()));
        }
        digests
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}.wasm"))
    }

    fn in_use(&self, digest: Digest) -> Option<Arc<Component>> {
        self.loaded().get(&digest).and_then(Weak::upgrade)
    }

    fn loaded(&self) -> MutexGuard<'_, HashMap<Digest, Weak<Component>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_so_far(&self) -> MutexGuard<'_, BTreeMap<Digest, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path, digest: Digest) -> Result<Vec<u8>, LibraryError> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(LibraryError::Missing(digest)),
        Err(error) => return Err(LibraryError::Read(path.to_owned(), error)),
    };
    if PolicyHost::digest(&bytes) == digest { Ok(bytes) } else { Err(LibraryError::Damaged(digest)) }
}

async fn off_thread<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, LibraryError> + Send + 'static,
) -> Result<T, LibraryError> {
    tokio::task::spawn_blocking(work).await.map_err(|_| LibraryError::Stopping)?
}

#[cfg(test)]
#[path = "library_tests.rs"]
mod tests;
