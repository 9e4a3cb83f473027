//! The Python programs that tests call, in a place of their own below the target folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::step::good;
use crate::workspace::Workspace;

/// The variable by which a test finds the interpreter.
pub const VARIABLE: &str = "TEST_PYTHON";

/// The interpreter of the environment, whether it exists or not.
pub fn interpreter(workspace: &Workspace) -> PathBuf {
    venv(workspace).join("bin/python")
}

fn venv(workspace: &Workspace) -> PathBuf {
    workspace.target.join("python")
}

/// Makes the environment hold exactly what tests/python/requirements.txt names. Costs nothing when it does already.
pub fn provide(workspace: &Workspace) -> Result<(), String> {
    let list = workspace.root.join("tests/python/requirements.txt");
    let wanted = std::fs::read_to_string(&list).map_err(|error| format!("{}: {error}", list.display()))?;
    let venv = venv(workspace);
    // Written last, so that an interrupted installation starts again.
    let stamp = venv.join("installed.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    println!("installing Python packages into {}", venv.display());
    install(&venv, &list)?;
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}

/// Makes an environment anew, with what a list names.
pub fn install(venv: &Path, list: &Path) -> Result<(), String> {
    if !good(Command::new("python3").args(["-m", "venv", "--clear"]).arg(venv)) {
        return Err("python3 -m venv failed\n    apt-get install python3-venv".to_owned());
    }
    let mut pip = Command::new(venv.join("bin/python"));
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--requirement"])
        .arg(list);
    if good(&mut pip) {
        return Ok(());
    }
    Err(format!("pip could not install {}; is PyPI reachable?", list.display()))
}
