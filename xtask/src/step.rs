//! One step of a command: its name, the program it runs, what it took.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use crate::workspace::Workspace;

/// The steps done so far.
#[derive(Default)]
pub struct Steps {
    took: Vec<(String, Duration)>,
    failed: Vec<String>,
}

impl Steps {
    /// Runs `work` as a step and says what it took. A failed step does not stop the next: all findings come at once.
    pub fn run(&mut self, name: &str, work: impl FnOnce() -> bool) {
        println!("==> {name}");
        let begun = Instant::now();
        let good = work();
        let took = begun.elapsed();
        println!("<== {name}: {} in {:.1} s", if good { "good" } else { "FAILED" }, took.as_secs_f64());
        self.took.push((name.to_owned(), took));
        if !good {
            self.failed.push(name.to_owned());
        }
    }

    pub fn failed(&self) -> &[String] {
        &self.failed
    }

    /// `format 0.4 s, clippy 31.0 s, …, in all 75.2 s`
    pub fn times(&self) -> String {
        let mut line = String::new();
        let mut all = Duration::ZERO;
        for (name, took) in &self.took {
            // Writing to a String cannot fail.
            let _ = write!(line, "{name} {:.1} s, ", took.as_secs_f64());
            all += *took;
        }
        format!("{line}in all {:.1} s", all.as_secs_f64())
    }
}

/// The cargo that runs us, at the root of the checkout, finding the tools that we installed.
pub fn cargo(workspace: &Workspace) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(&workspace.root).env("PATH", path_with_tools(workspace));
    // Set by `cargo run` for us; for a cargo below us they would be wrong, and would rebuild what reads them.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("CARGO_PKG_") || name == "CARGO_MANIFEST_DIR" {
            command.env_remove(name);
        }
    }
    command
}

/// Whether the command ran and ended well; a command that cannot be started is said on stderr.
pub fn good(command: &mut Command) -> bool {
    match command.status() {
        Ok(status) => status.success(),
        Err(error) => {
            eprintln!("{}: {error}", command.get_program().display());
            false
        }
    }
}

/// Where `cargo install --root` puts what xtask installs.
pub fn tools_dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("tools")
}

/// The full path of a program, if it is there.
pub fn find_program(workspace: &Workspace, name: &str) -> Option<PathBuf> {
    std::env::split_paths(&path_with_tools(workspace)).map(|dir| dir.join(name)).find(|path| is_file(path))
}

fn is_file(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file())
}

fn path_with_tools(workspace: &Workspace) -> std::ffi::OsString {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::env::split_paths(&path).chain([tools_dir(workspace).join("bin")]);
    // Fails only for a directory with a colon in its name; then the tools of the system must do.
    std::env::join_paths(dirs).unwrap_or(path)
}
