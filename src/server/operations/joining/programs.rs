//! The programs that instances fetch: this one for its own architecture, the configured ones for others.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::PathBuf;

use provider_ec2::Architecture;
use sha2::{Digest, Sha256};

/// This binary, also when the file it was started from was replaced meanwhile.
const THIS_BINARY: &str = "/proc/self/exe";

/// What this binary is for.
const OWN: &str = if cfg!(target_arch = "aarch64") { "aarch64" } else { "x86_64" };

/// A program, as it was at the start.
#[derive(Debug)]
pub struct Program {
    pub path: PathBuf,
    /// SHA-256, in hexadecimal digits.
    pub digest: String,
}

/// By the name that `uname -m` has for what they run on.
#[derive(Debug, Default)]
pub struct Programs(BTreeMap<String, Program>);

#[derive(Debug, thiserror::Error)]
#[error("the program for instances {} cannot be read", path.display())]
pub struct ProgramsError {
    path: PathBuf,
    source: io::Error,
}

impl Programs {
    /// Reads them whole, for their digests.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn open(configured: &BTreeMap<Architecture, PathBuf>) -> Result<Self, ProgramsError> {
        let mut paths = BTreeMap::from([(OWN.to_owned(), PathBuf::from(THIS_BINARY))]);
        paths.extend(configured.iter().map(|(architecture, path)| (architecture.to_string(), path.clone())));
        let programs = paths.into_iter().map(|(name, path)| {
            let digest = digest(&path).map_err(|source| ProgramsError { path: path.clone(), source })?;
            Ok((name, Program { path, digest }))
        });
        programs.collect::<Result<_, _>>().map(Self)
    }

    #[must_use]
    pub fn get(&self, architecture: &str) -> Option<&Program> {
        self.0.get(architecture)
    }

    /// Name and digest of each.
    pub fn digests(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, program)| (name.as_str(), program.digest.as_str()))
    }
}

fn digest(path: &std::path::Path) -> io::Result<String> {
    let mut hash = Sha256::new();
    let mut file = File::open(path)?;
    let mut piece = vec![0; 1 << 20];
    loop {
        match io::Read::read(&mut file, &mut piece)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    Ok(super::hex(&hash.finalize()))
}
