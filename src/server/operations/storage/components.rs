//! Components that were handed in: files that never change, named after the digest of their bytes.

use std::io;
use std::path::{Path, PathBuf};

use domain::policy::Digest;
use store::policies::PoliciesInForce;

use super::backup::BackupError;
use crate::files::copies::{self, Sharing};
use crate::files::digest;
use crate::server::operations::policy::Library;
use crate::server::parts::Places;

/// Every component that is there.
fn all(places: &Places) -> io::Result<Vec<(Digest, PathBuf)>> {
    let entries = match std::fs::read_dir(places.components()) {
        Ok(entries) => entries,
        // No policy was ever handed in.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let digest = name.to_str().and_then(|name| name.strip_suffix(".wasm")).and_then(|name| name.parse().ok());
        found.extend(digest.map(|digest| (digest, places.component(digest))));
    }
    Ok(found)
}

/// Copies every component, also those that are not in force: somebody may go back to one. How many there were.
///
/// # Errors
/// One cannot be read or written.
pub(super) fn copy(from: &Places, to: &Places, sharing: Sharing) -> Result<u64, BackupError> {
    let components = all(from).map_err(|source| BackupError::Copy { path: from.components(), source })?;
    for (digest, path) in &components {
        let copied = copies::copy_tree(path, &to.component(*digest), sharing);
        copied.map_err(|source| BackupError::Copy { path: path.clone(), source })?;
    }
    Ok(components.len() as u64)
}

/// What is wrong with the components that are in force, for a person.
pub(super) fn problems(places: &Places, in_force: &PoliciesInForce) -> Vec<String> {
    let mut problems = Vec::new();
    for activation in in_force.activations() {
        let Some(chosen) = &activation.chosen else { continue };
        let path = places.component(chosen.digest);
        if Library::ships(chosen.digest) && !path.exists() {
            continue;
        }
        if let Err(found) = is_whole(&path, chosen.digest) {
            let (scope, name, digest) = (&activation.scope, &chosen.name, chosen.digest.short());
            problems.push(format!("the policy {name} ({digest}) for {scope} at {}: {found}", path.display()));
        }
    }
    problems
}

fn is_whole(path: &Path, expected: Digest) -> Result<(), String> {
    let (_, found) = digest::of_file(path).map_err(|error| error.to_string())?;
    if found == expected.to_string() { Ok(()) } else { Err(format!("its bytes have the SHA-256 {found}")) }
}
