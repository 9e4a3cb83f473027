//! Compiled code on disk, so that a restart does not compile again.
//!
//! The code is run as it is read, so its directory must be writable for nobody else, and a file that is not whole must
//! not be believed: it begins with the digest of the rest. It is keyed by the component and by all of the engine that the
//! code depends on.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use domain::policy::Digest;
use sha2::{Digest as _, Sha256};
use wasmtime::Engine;
use wasmtime::component::Component;

/// The digest before the code.
const HEAD: usize = 32;

#[derive(Clone)]
pub(crate) struct Cache {
    directory: PathBuf,
    /// Of the engine: another version or another processor has another.
    engine: u64,
}

impl Cache {
    /// `None` where the directory cannot be made or others may write to it; that is logged.
    pub(crate) fn open(directory: &Path, engine: &Engine) -> Option<Self> {
        let shown = directory.display();
        if let Err(error) = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory) {
            tracing::warn!(%error, "no cache for compiled policies in {shown}");
            return None;
        }
        let private = std::fs::metadata(directory)
            .is_ok_and(|meta| meta.uid() == rustix::process::geteuid().as_raw() && meta.mode() & 0o022 == 0);
        if !private {
            tracing::warn!("{shown} is writable for others: compiled policies are not kept there; chmod 700 it");
            return None;
        }
        let mut hasher = DefaultHasher::new();
        engine.precompile_compatibility_hash().hash(&mut hasher);
        Some(Self { directory: directory.to_owned(), engine: hasher.finish() })
    }

    pub(crate) fn get(&self, engine: &Engine, digest: Digest) -> Option<Component> {
        let file = std::fs::read(self.path(digest)).ok()?;
        let (head, code) = file.split_at_checked(HEAD)?;
        if head != Sha256::digest(code).as_slice() {
            tracing::warn!(policy.digest = %digest, "compiled code is damaged; it is compiled again");
            return None;
        }
        #[expect(unsafe_code, reason = "wasmtime has no other way to take compiled code back")]
        // SAFETY: only this user can write to the directory, and the bytes are those that `put` wrote there.
        let component = unsafe { Component::deserialize(engine, code) };
        component.map_err(|error| tracing::warn!(%error, "compiled code cannot be used; it is compiled again")).ok()
    }

    /// Failing to keep it costs time at the next start and nothing else.
    pub(crate) fn put(&self, component: &Component, digest: Digest) {
        if let Err(error) = self.write(component, digest) {
            tracing::warn!(%error, "compiled code of a policy could not be kept");
        }
    }

    fn write(&self, component: &Component, digest: Digest) -> Result<(), wasmtime::Error> {
        let code = component.serialize()?;
        let mut file = tempfile::NamedTempFile::new_in(&self.directory)?;
        file.write_all(&Sha256::digest(&code))?;
        file.write_all(&code)?;
        file.persist(self.path(digest))?;
        Ok(())
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.directory.join(format!("{digest}-{:016x}.code", self.engine))
    }
}
