//! What compiles wasm32 here.

use std::path::{Path, PathBuf};
use std::process::Command;

/// The target: no system behind it, so that a policy has no clock, no files and no network to ask.
pub const TARGET: &str = "wasm32-unknown-unknown";

/// Nothing on this machine compiles wasm32.
#[derive(Debug, thiserror::Error)]
#[error(
    "no compiler for {TARGET} was found. With rustup:\n    rustup target add {TARGET}\n\
     with Debian's compiler:\n    apt-get install rustc-web cargo-web rust-web-src lld"
)]
pub struct NoToolchain;

/// A cargo and a compiler that make wasm32.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    cargo: PathBuf,
    rustc: PathBuf,
    sysroot: PathBuf,
    /// The linker with which to build the standard library too; `None` where it is there for the target.
    from_source: Option<PathBuf>,
}

impl Toolchain {
    /// What would compile in `dir`: its own rustc where that has the target, else any here that can build the standard
    /// library for it.
    ///
    /// # Errors
    /// There is none.
    pub fn find(dir: &Path) -> Result<Self, NoToolchain> {
        let known = [("cargo", "rustc"), ("/usr/bin/cargo", "/usr/bin/rustc")];
        let known: Vec<Self> = known.iter().filter_map(|(cargo, rustc)| Self::probe(cargo, rustc, dir)).collect();
        if let Some(ready) = known.iter().find(|toolchain| toolchain.has_target()) {
            return Ok(ready.clone());
        }
        let linker = linker(&known).ok_or(NoToolchain)?;
        let able = known.into_iter().find(|toolchain| toolchain.library().join("std/Cargo.toml").is_file());
        able.map(|toolchain| Self { from_source: Some(linker), ..toolchain }).ok_or(NoToolchain)
    }

    fn probe(cargo: &str, rustc: &str, dir: &Path) -> Option<Self> {
        let sysroot = said(Command::new(rustc).args(["--print", "sysroot"]).current_dir(dir))?;
        Some(Self { cargo: cargo.into(), rustc: rustc.into(), sysroot: sysroot.into(), from_source: None })
    }

    fn has_target(&self) -> bool {
        self.sysroot.join("lib/rustlib").join(TARGET).join("lib").is_dir()
    }

    fn library(&self) -> PathBuf {
        self.sysroot.join("lib/rustlib/src/rust/library")
    }

    /// The versions of all that decides about the bytes that come out: two equal names make equal bytes of equal sources.
    #[must_use]
    pub fn name(&self, dir: &Path) -> String {
        let version = said(Command::new(&self.rustc).arg("--version").current_dir(dir));
        let rustc = version.unwrap_or_else(|| "an unknown rustc".to_owned());
        match &self.from_source {
            None => format!("{rustc}, its own {TARGET}"),
            Some(linker) => {
                let lld = said(Command::new(linker).args(["-flavor", "wasm", "--version"])).unwrap_or_default();
                // `LLD 22.1.2 (where its source lay when it was built)`
                let lld = lld.split(" (").next().unwrap_or_default();
                format!("{rustc}, std from source, {lld}")
            }
        }
    }

    /// `cargo build` for the target, in `dir`, for speed: it is called in every decision and compiled once. Paths of this machine stay out of what it makes.
    pub(crate) fn cargo_build(&self, dir: &Path) -> Command {
        let mut command = Command::new(&self.cargo);
        command.current_dir(dir).args(["build", "--release", "--target", TARGET]);
        let mut flags = self.remaps(dir);
        if let Some(linker) = &self.from_source {
            command.arg("-Zbuild-std=std,panic_abort");
            // The unstable flag above is the only reason.
            command.env("RUSTC_BOOTSTRAP", "1").env("RUSTC", &self.rustc);
            flags.push(format!("-Clinker={}", linker.display()));
            flags.push("-Clinker-flavor=wasm-ld".to_owned());
        }
        // As variables, so that no author's Cargo.toml has to repeat them.
        for (name, value) in PROFILE {
            command.env(format!("CARGO_PROFILE_RELEASE_{name}"), value);
        }
        command.env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"));
        command
    }

    fn remaps(&self, dir: &Path) -> Vec<String> {
        let home = |variable: &str, default: &str| match std::env::var_os(variable) {
            Some(set) => Some(PathBuf::from(set)),
            None => std::env::home_dir().map(|home| home.join(default)),
        };
        let mut remaps = vec![(dir.to_owned(), "")];
        remaps.extend(home("CARGO_HOME", ".cargo").map(|home| (home.join("registry/src"), "/crates")));
        let library = self.library();
        // Debian's is a symbolic link, and the compiler sees where it leads.
        remaps.extend(library.canonicalize().ok().map(|real| (real, "/rust/library")));
        remaps.push((library, "/rust/library"));
        remaps.into_iter().map(|(from, to)| format!("--remap-path-prefix={}={to}", from.display())).collect()
    }
}

const PROFILE: [(&str, &str); 6] = [
    ("OPT_LEVEL", "3"),
    ("LTO", "true"),
    ("CODEGEN_UNITS", "1"),
    ("PANIC", "abort"),
    ("STRIP", "true"),
    ("DEBUG", "false"),
];

/// A linker for wasm: one that came with some rustc here, else LLVM's own.
fn linker(known: &[Toolchain]) -> Option<PathBuf> {
    let mut roots: Vec<PathBuf> = known.iter().map(|toolchain| toolchain.sysroot.clone()).collect();
    // Rustup's toolchains lie beside each other.
    roots.extend(known.iter().filter_map(|toolchain| toolchain.sysroot.parent()).flat_map(entries));
    let of_rustc =
        roots.iter().flat_map(|root| entries(&root.join("lib/rustlib"))).map(|host| host.join("bin/rust-lld"));
    let of_llvm = entries(Path::new("/usr/bin"))
        .into_iter()
        .filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("wasm-ld")));
    of_rustc.chain(of_llvm).find(|path| path.is_file())
}

/// In the order of their names, so that two runs choose alike.
fn entries(dir: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths
}

/// The first line that a command prints, if it can be run and ends well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8_lossy(&output.stdout).lines().next()?.to_owned())
}
