//! The programs that the tests call, and where they come from.

use std::process::Command;

use crate::step::{cargo, find_program, good, tools_dir};
use crate::workspace::Workspace;

struct Need {
    program: &'static str,
    debian: &'static str,
}

/// What a plain Debian may lack.
const NEEDS: &[Need] = &[
    Need { program: "bash", debian: "bash" },
    Need { program: "awk", debian: "mawk" },
    Need { program: "curl", debian: "curl" },
    Need { program: "faketime", debian: "faketime" },
    Need { program: "git", debian: "git" },
    Need { program: "ip", debian: "iproute2" },
    Need { program: "python3", debian: "python3" },
    Need { program: "strace", debian: "strace" },
    Need { program: "unzip", debian: "unzip" },
];

/// Makes everything available, or says what is missing and how to get it.
pub fn provide(workspace: &Workspace) -> Result<(), String> {
    let mut packages: Vec<&str> =
        NEEDS.iter().filter(|need| find_program(workspace, need.program).is_none()).map(|need| need.debian).collect();
    if find_program(workspace, "python3").is_none() || !python_has_venv() {
        packages.push("python3-venv");
    }
    if !packages.is_empty() {
        install_debian(&packages.join(" "))?;
    }
    provide_nextest(workspace)
}

fn python_has_venv() -> bool {
    Command::new("python3").args(["-c", "import venv, ensurepip"]).output().is_ok_and(|out| out.status.success())
}

fn install_debian(packages: &str) -> Result<(), String> {
    let remedy = format!("apt-get install --no-install-recommends {packages}");
    if !is_root() || !good(Command::new("apt-get").arg("--version").stdout(std::process::Stdio::null())) {
        return Err(format!("the tests need these Debian packages: {packages}\n    sudo {remedy}"));
    }
    println!("installing what is missing: {remedy}");
    let script = format!("apt-get update -q && DEBIAN_FRONTEND=noninteractive {remedy} -y -q");
    if good(Command::new("sh").args(["-c", &script])) { Ok(()) } else { Err(format!("this failed: {remedy}")) }
}

fn is_root() -> bool {
    // A directory of /proc belongs to the process's effective user.
    use std::os::unix::fs::MetadataExt as _;
    std::fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn provide_nextest(workspace: &Workspace) -> Result<(), String> {
    if find_program(workspace, "cargo-nextest").is_some() {
        return Ok(());
    }
    let root = tools_dir(workspace);
    println!("installing cargo-nextest into {} (some minutes, once)", root.display());
    let mut install = cargo(workspace);
    // Not optimized: that takes longer to build than it saves over all the runs of a day.
    install.args(["install", "--debug", "--locked", "--root"]).arg(&root).arg("cargo-nextest@0.9.143");
    install.env("CARGO_PROFILE_DEV_DEBUG", "false");
    if good(&mut install) {
        return Ok(());
    }
    Err("cargo-nextest is missing and could not be installed\n    cargo install --locked cargo-nextest".to_owned())
}
