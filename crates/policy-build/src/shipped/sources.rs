//! What a component is compiled from.

use std::fs;
use std::path::{Path, PathBuf};

use domain::policy::Digest;
use sha2::{Digest as _, Sha256};

use super::Result;

/// Of the domain only what a policy can reach: a change elsewhere in it makes no other component.
const SHARED: [&str; 8] = [
    "crates/domain/src/ids.rs",
    "crates/domain/src/labels.rs",
    "crates/domain/src/limits.rs",
    "crates/domain/src/policy",
    "crates/domain/src/schedule/policies.rs",
    "plugins/sdk",
    "plugins/shipped",
    "plugins/wit",
];

/// Over names and contents of all files; tests are left out where they have files of their own.
pub(super) fn digest(root: &Path, package: &str) -> Result<Digest> {
    let own = Path::new("plugins").join(package);
    let mut files = Vec::new();
    for place in SHARED.iter().map(Path::new).chain([own.as_path()]) {
        collect(root, place, &mut files)?;
    }
    files.sort();
    let mut hash = Sha256::new();
    for file in files {
        let bytes = fs::read(root.join(&file)).map_err(|error| format!("{}: {error}", file.display()))?;
        hash.update(file.to_string_lossy().as_bytes());
        hash.update([0]);
        hash.update((bytes.len() as u64).to_le_bytes());
        hash.update(bytes);
    }
    Ok(Digest::from_bytes(hash.finalize().into()))
}

fn collect(root: &Path, place: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    let full = root.join(place);
    if full.is_file() {
        let name = place.file_name().unwrap_or_default().to_string_lossy();
        if !name.ends_with("tests.rs") {
            files.push(place.to_owned());
        }
        return Ok(());
    }
    for entry in fs::read_dir(&full).map_err(|error| format!("{}: {error}", full.display()))? {
        let name = entry?.file_name();
        if name != "tests" && name != "target" {
            collect(root, &place.join(name), files)?;
        }
    }
    Ok(())
}
