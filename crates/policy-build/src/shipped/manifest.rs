//! policies/MANIFEST.toml: of what, and with what, each component was made.

use std::collections::BTreeMap;
use std::path::Path;

use domain::policy::Digest;
use serde::{Deserialize, Serialize};

use super::Result;

/// Its name in policies/.
pub(super) const NAME: &str = "MANIFEST.toml";

const HEAD: &str = "# Made by `cargo xtask policies`. `source` is over what the component is compiled from, `component` over its bytes.\n\n";

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Manifest {
    /// By package.
    pub(super) components: BTreeMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Entry {
    pub(super) source: Digest,
    pub(super) component: Digest,
    pub(super) toolchain: String,
}

impl Manifest {
    pub(super) fn read(dir: &Path) -> Result<Self> {
        let path = dir.join(NAME);
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        Ok(toml::from_str(&text)?)
    }

    pub(super) fn to_text(&self) -> Result<String> {
        Ok(format!("{HEAD}{}", toml::to_string(self)?))
    }
}
