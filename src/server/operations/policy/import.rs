//! The folder of policies as a request: which components there are, with which settings, and which of them decide.
//!
//! `KIND-NAME.wasm` is a component, `KIND-NAME.toml` its settings, `active.toml` says which decide. What the folder does
//! not name is left as it is, unless it was the folder that chose it. What was asked for last is remembered, so that a
//! restart asks for nothing and undoes nothing.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::io::{self, Read as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use domain::policy::{Digest, PolicyKind, PolicyName, Settings};
use sha2::{Digest as _, Sha256};
use store::policies::{Activation, Source};
use store::{Store, StoreError};

use super::activation::{ActivateError, Refusal, Step, Wanted, Wish};
use super::folder::{self, Active};
use super::library::LibraryError;
use super::registry::Registry;
use super::wanted::Which;
use crate::files::durable;
use crate::runtime::chain;
use crate::server::services::Services;

/// The largest file that is read, in bytes; as the largest component.
const FILE_BYTES: u64 = 64 << 20;

/// Why the folder cannot be looked at, or what is in it not asked for; it is tried again.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    #[error("the folder of policies {0} cannot be read")]
    Folder(PathBuf, #[source] io::Error),
    #[error("the file {0} cannot be read")]
    File(PathBuf, #[source] io::Error),
    #[error("what was asked for last cannot be kept in {0}")]
    Remember(PathBuf, #[source] io::Error),
    #[error("the database does not take what the folder of policies asks for")]
    Store(#[source] StoreError),
    #[error("a component of the folder of policies cannot be kept")]
    Library(#[source] LibraryError),
    #[error("the server is stopping")]
    Stopping,
    /// Not worth another try before a file changes.
    #[error(transparent)]
    Mistake(#[from] Mistake),
}

/// What is wrong in the folder, for the operator.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {why}")]
pub struct Mistake {
    file: String,
    why: String,
}

impl Mistake {
    pub(super) fn new(file: impl Into<String>, why: &dyn Display) -> Self {
        Self { file: file.into(), why: why.to_string() }
    }
}

/// The files of the folder, and what changes with each of them. A name that leads to another file is another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamps(BTreeMap<String, Stamp>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    bytes: u64,
    /// Seconds and nanoseconds of its last change of any kind.
    changed: (i64, i64),
}

/// The folder, and where it is remembered what it asked for.
pub struct Import {
    folder: PathBuf,
    memory: PathBuf,
}

/// What is in the folder.
struct Contents {
    components: BTreeMap<String, Vec<u8>>,
    texts: BTreeMap<String, String>,
    /// Of all names and contents.
    digest: String,
}

impl Import {
    #[must_use]
    pub fn new(folder: PathBuf, data_dir: &Path) -> Self {
        Self { folder, memory: data_dir.join("policies").join("imported") }
    }

    /// Cheap: no file is read.
    ///
    /// # Errors
    /// The folder is not there, or cannot be read.
    pub fn look(&self) -> Result<Stamps, ImportError> {
        let failed = |error| ImportError::Folder(self.folder.clone(), error);
        let mut stamps = BTreeMap::new();
        for entry in std::fs::read_dir(&self.folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            if !folder::is_ours(&name) {
                continue;
            }
            // A link that leads nowhere, or a file that is just being exchanged, is not there.
            let Ok(file) = std::fs::metadata(entry.path()) else { continue };
            if file.is_file() {
                let changed = (file.ctime(), file.ctime_nsec());
                stamps.insert(name, Stamp { device: file.dev(), inode: file.ino(), bytes: file.len(), changed });
            }
        }
        Ok(Stamps(stamps))
    }

    /// Asks for what is there, unless it was asked for last. What is wrong with it is told as an event, and all stays as it
    /// was; it is not asked for again until it changes.
    ///
    /// # Errors
    /// A file cannot be read, or the database does not take it now: worth another try.
    pub async fn ask(&self, registry: &Registry, services: &Services, store: &Store) -> Result<(), ImportError> {
        let stamps = self.look()?;
        let contents = tokio::task::block_in_place(|| self.read(&stamps))?;
        if std::fs::read_to_string(&self.memory).is_ok_and(|last| last == contents.digest) {
            tracing::info!(folder = %self.folder.display(), "the folder of policies asks for what it asked for last");
            return Ok(());
        }
        let by = format!("folder {}", self.folder.display());
        let digest = contents.digest.clone();
        match request(contents, &by, registry, services, store).await {
            Ok(()) => {}
            Err(ImportError::Mistake(mistake)) => {
                let text = format!("{mistake}; what was in force decides on");
                registry.events.tell(by, None, "folder", false, text);
            }
            Err(passing) => return Err(passing),
        }
        let remembered = tokio::task::block_in_place(|| durable::write_file(&self.memory, digest.as_bytes()));
        remembered.map_err(|error| ImportError::Remember(self.memory.clone(), error))
    }

    fn read(&self, stamps: &Stamps) -> Result<Contents, ImportError> {
        let mut all = Sha256::new();
        let (mut components, mut texts) = (BTreeMap::new(), BTreeMap::new());
        for name in stamps.0.keys() {
            let bytes = self.file(name)?;
            all.update((name.len() as u64).to_le_bytes());
            all.update(name);
            all.update((bytes.len() as u64).to_le_bytes());
            all.update(&bytes);
            if folder::is_component(name) {
                components.insert(name.clone(), bytes);
            } else {
                texts.insert(name.clone(), String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(Contents { components, texts, digest: Digest::from_bytes(all.finalize().into()).to_string() })
    }

    /// One byte more than is allowed is enough to see that it is too much.
    fn file(&self, name: &str) -> Result<Vec<u8>, ImportError> {
        let path = self.folder.join(name);
        let mut bytes = Vec::new();
        let read = std::fs::File::open(&path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut bytes));
        read.map_err(|error| ImportError::File(path, error))?;
        Ok(bytes)
    }
}

impl Contents {
    /// The file that an operator has to look at.
    fn file_of(&self, refusal: &Refusal, active: &Active) -> String {
        let Refusal { scope, step, .. } = refusal;
        let Some(name) = active.chosen.get(scope) else { return folder::ACTIVE.to_owned() };
        let settings = format!("{}-{name}.toml", scope.kind);
        let is_theirs = *step == Step::Configure && self.texts.contains_key(&settings);
        if is_theirs { settings } else { format!("{}-{name}.wasm", scope.kind) }
    }
}

async fn request(
    mut contents: Contents,
    by: &str,
    registry: &Registry,
    services: &Services,
    store: &Store,
) -> Result<(), ImportError> {
    let active = match contents.texts.get(folder::ACTIVE) {
        Some(text) => Active::parse(text)?,
        None => Active::default(),
    };
    let wishes = wishes(&mut contents, &active, by, registry, services, store).await?;
    if wishes.is_empty() {
        return Ok(());
    }
    match registry.activate(wishes, by, Source::Folder, None).await {
        Ok(_) => Ok(()),
        Err(ActivateError::Store(error)) => Err(ImportError::Store(error)),
        Err(ActivateError::Stopping) => Err(ImportError::Stopping),
        Err(ActivateError::Refused(refusal)) => Err(Mistake::new(contents.file_of(&refusal, &active), &refusal).into()),
        Err(error) => Err(Mistake::new(folder::ACTIVE, &error).into()),
    }
}

/// All that the folder wants. Components come into the library, also those that shall not decide.
async fn wishes(
    contents: &mut Contents,
    active: &Active,
    by: &str,
    registry: &Registry,
    services: &Services,
    store: &Store,
) -> Result<Vec<Wish>, ImportError> {
    let mut here = BTreeMap::new();
    for (name, bytes) in std::mem::take(&mut contents.components) {
        match registry.library.add(bytes).await {
            Ok(component) => drop(here.insert(name, component.digest())),
            Err(LibraryError::Stopping) => return Err(ImportError::Stopping),
            Err(error @ (LibraryError::Read(..) | LibraryError::Write(..) | LibraryError::Engine(_))) => {
                return Err(ImportError::Library(error));
            }
            // Nobody asks for it: the others need not wait for it.
            Err(error) if !active.names(&name) => {
                registry.events.tell(by.to_owned(), None, "folder", false, format!("{name}: {}", chain(&error)));
            }
            Err(error) => return Err(Mistake::new(name, &chain(&error)).into()),
        }
    }
    let mut wishes = Vec::new();
    for (scope, name) in &active.chosen {
        if let Some(service) = scope.service.as_ref().filter(|service| services.get(service).is_none()) {
            return Err(Mistake::new(folder::ACTIVE, &format!("no service {service} is configured")).into());
        }
        let policy = Some(wanted(registry, &contents.texts, &here, scope.kind, name).await?);
        wishes.push(Wish { scope: scope.clone(), policy });
    }
    // What the folder chose before and does not name any more.
    let dropped = |row: &&Activation| {
        row.source == Source::Folder && row.chosen.is_some() && !active.chosen.contains_key(&row.scope)
    };
    let rows = store.policies();
    wishes.extend(rows.activations().filter(dropped).map(|row| Wish { scope: row.scope.clone(), policy: None }));
    Ok(wishes)
}

/// The component of that name, of the folder or else of the library, with the folder's settings.
async fn wanted(
    registry: &Registry,
    texts: &BTreeMap<String, String>,
    here: &BTreeMap<String, Digest>,
    kind: PolicyKind,
    name: &PolicyName,
) -> Result<Wanted, Mistake> {
    let file = format!("{kind}-{name}");
    let digest = if let Some(digest) = here.get(&format!("{file}.wasm")) {
        *digest
    } else {
        let found = registry.library.find(kind, &Which::Name(name.clone())).await;
        found.map_err(|error| Mistake::new(folder::ACTIVE, &error))?
    };
    let file = format!("{file}.toml");
    let settings = match texts.get(&file) {
        Some(text) => folder::settings(text).map_err(|why| Mistake::new(file, &why))?,
        None => Settings::default(),
    };
    Ok(Wanted { digest, settings })
}
