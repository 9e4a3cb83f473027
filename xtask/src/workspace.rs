//! Where things are.

use std::path::{Path, PathBuf};

/// The checkout and the folder for what is built from it.
pub struct Workspace {
    pub root: PathBuf,
    /// `CARGO_TARGET_DIR`, else `target` in the checkout. All that xtask sets up for itself is below it.
    pub target: PathBuf,
}

impl Workspace {
    /// The checkout that cargo runs us from, else the one the current directory is in.
    pub fn find() -> Result<Self, String> {
        let start = match std::env::var_os("CARGO_MANIFEST_DIR") {
            Some(dir) => PathBuf::from(dir),
            None => std::env::current_dir().map_err(|error| format!("no current directory: {error}"))?,
        };
        let root = start
            .ancestors()
            .find(|dir| is_root(dir))
            .ok_or_else(|| format!("{} is not inside a checkout of the project", start.display()))?
            .to_path_buf();
        let target = match std::env::var_os("CARGO_TARGET_DIR") {
            Some(dir) => root.join(dir),
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }
}

fn is_root(dir: &Path) -> bool {
    dir.join("xtask/Cargo.toml").is_file() && dir.join("Cargo.toml").is_file()
}
