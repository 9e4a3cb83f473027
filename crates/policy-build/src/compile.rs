//! Compiles crates of policies.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::toolchain::Toolchain;
use crate::{ComponentError, component};

/// A component that was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The package's name.
    pub package: String,
    /// The component's bytes.
    pub component: Vec<u8>,
}

/// Why there is no component.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// Cargo is not there.
    #[error("cargo cannot be started: {0}")]
    Start(#[source] std::io::Error),
    /// Cargo ended with an error, which it told on stderr.
    #[error("the crate in {0} does not compile")]
    Compile(PathBuf),
    /// Cargo made no module.
    #[error(
        "the crate in {0} makes no wasm module; its Cargo.toml needs\n    [lib]\n    crate-type = [\"cdylib\", \"rlib\"]"
    )]
    NoModule(PathBuf),
    /// A module cannot be read.
    #[error("{path}: {source}")]
    Read {
        /// Of the module.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A module is no policy.
    #[error("{package}: {source}")]
    Component {
        /// Which.
        package: String,
        /// Why.
        source: ComponentError,
    },
}

/// Compiles `packages` of the crate or workspace in `dir` below `target`, or its only one where none is named, and makes
/// components of them. What cargo has to say goes to stderr.
///
/// # Errors
/// See [`BuildError`].
pub fn build(toolchain: &Toolchain, dir: &Path, target: &Path, packages: &[&str]) -> Result<Vec<Built>, BuildError> {
    let mut cargo = toolchain.cargo_build(dir);
    cargo.args(["--lib", "--message-format", "json-render-diagnostics", "--target-dir"]).arg(target);
    for package in packages {
        cargo.args(["--package", package]);
    }
    let output = cargo.stdin(Stdio::null()).stderr(Stdio::inherit()).output().map_err(BuildError::Start)?;
    if !output.status.success() {
        return Err(BuildError::Compile(dir.to_owned()));
    }
    let messages = String::from_utf8_lossy(&output.stdout);
    let modules: Vec<(String, PathBuf)> = messages.lines().filter_map(module).collect();
    if modules.is_empty() {
        return Err(BuildError::NoModule(dir.to_owned()));
    }
    modules.into_iter().map(|(package, path)| wrap(package, path)).collect()
}

fn wrap(package: String, path: PathBuf) -> Result<Built, BuildError> {
    let module = std::fs::read(&path).map_err(|source| BuildError::Read { path, source })?;
    match component(&module) {
        Ok(component) => Ok(Built { package, component }),
        Err(source) => Err(BuildError::Component { package, source }),
    }
}

/// The name and the module of a package that one of cargo's messages tells of.
fn module(line: &str) -> Option<(String, PathBuf)> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let files = message.get("filenames")?.as_array()?;
    let mut files = files.iter().filter_map(|file| file.as_str()).map(Path::new);
    let module = files.find(|file| file.extension().is_some_and(|extension| extension == "wasm"))?;
    Some((package(message.get("package_id")?.as_str()?)?.to_owned(), module.to_owned()))
}

/// Of `path+file:///dir/name#0.1.0` or `path+file:///dir#name@0.1.0`.
fn package(id: &str) -> Option<&str> {
    let (path, version) = id.rsplit_once('#')?;
    match version.split_once('@') {
        Some((name, _)) => Some(name),
        None => path.rsplit('/').next(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_found_in_either_form_of_its_id() {
        assert_eq!(package("path+file:///work/quota-mine#0.1.0"), Some("quota-mine"));
        assert_eq!(package("path+file:///work/dir#quota-mine@0.1.0"), Some("quota-mine"));
    }
}
