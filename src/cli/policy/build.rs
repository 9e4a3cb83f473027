//! `policy build`: compiles a crate to a component.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use domain::policy::{PolicyKind, PolicyName};
use policy_build::Toolchain;

use crate::cli::USAGE;

const EXAMPLES: &str = "\
Examples:
  job-orchestrator policy build
  job-orchestrator policy build quota-nights-first --out policies

It takes cargo and a compiler for wasm32-unknown-unknown: rustup's (rustup target add
wasm32-unknown-unknown), else Debian's (apt-get install rustc-web cargo-web rust-web-src lld).
The component imports nothing but the types of the interface, so it has no clock, files or network.

Exit code: 0 made, 1 the crate makes no policy, 2 there is no compiler.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Build {
    /// The crate's directory.
    #[arg(value_name = "DIR", default_value = ".")]
    dir: PathBuf,
    /// Where the component goes, named as its package [default: DIR].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

impl Build {
    pub(super) fn run(self) -> anyhow::Result<ExitCode> {
        let dir = self.dir.canonicalize().with_context(|| self.dir.display().to_string())?;
        let toolchain = match Toolchain::find(&dir) {
            Ok(toolchain) => toolchain,
            Err(error) => {
                eprintln!("job-orchestrator: {error}");
                return Ok(USAGE.into());
            }
        };
        let out = self.out.unwrap_or(self.dir);
        fs::create_dir_all(&out).with_context(|| out.display().to_string())?;
        for built in policy_build::build(&toolchain, &dir, &dir.join("target"), &[])? {
            let package = built.package;
            anyhow::ensure!(
                is_policy_name(&package),
                "the package is called `{package}`; the name of a policy's is its kind and its own name: quota-{package}"
            );
            let path = out.join(format!("{package}.wasm"));
            fs::write(&path, &built.component).with_context(|| path.display().to_string())?;
            println!("{}: {} bytes", path.display(), built.component.len());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// `KIND-NAME`, as the files of policies are called.
fn is_policy_name(package: &str) -> bool {
    let parts = package.split_once('-');
    parts.is_some_and(|(kind, name)| kind.parse::<PolicyKind>().is_ok() && name.parse::<PolicyName>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_component_is_named_by_kind_and_name() {
        assert!(is_policy_name("quota-nights-first"));
        assert!(!is_policy_name("nights-first"));
        assert!(!is_policy_name("quota"));
        assert!(!is_policy_name("quota-Nights"));
    }
}
