//! The example of a policy in Python as a component, which tests load.

use std::path::PathBuf;
use std::process::Command;

use crate::python;
use crate::step::good;
use crate::workspace::Workspace;

/// The variable by which a test finds the component.
pub const VARIABLE: &str = "TEST_PYTHON_POLICY";

/// All that the component is made of.
const SOURCES: [&str; 3] =
    ["plugins/python/requirements.txt", "plugins/python/longest_wait.py", "plugins/wit/v1/policy.wit"];

/// The component, whether it exists or not.
pub fn component(workspace: &Workspace) -> PathBuf {
    dir(workspace).join("quota-longest-wait.wasm")
}

fn dir(workspace: &Workspace) -> PathBuf {
    workspace.target.join("python-policy")
}

/// Makes the component. Costs nothing while its sources and the version of the tool are the same.
pub fn provide(workspace: &Workspace) -> Result<(), String> {
    let mut wanted = String::new();
    for source in SOURCES {
        let path = workspace.root.join(source);
        wanted += &std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
    }
    // Written last, so that an interrupted build starts again.
    let stamp = dir(workspace).join("made-of.txt");
    if std::fs::read_to_string(&stamp).is_ok_and(|have| have == wanted) {
        return Ok(());
    }
    let venv = dir(workspace).join("venv");
    println!("making a component of plugins/python in {}", dir(workspace).display());
    python::install(&venv, &workspace.root.join(SOURCES[0]))?;
    let mut make = Command::new(venv.join("bin/componentize-py"));
    make.current_dir(workspace.root.join("plugins/python"))
        .args(["--quiet", "-d", "../wit/v1", "-w", "quota", "componentize", "--stub-wasi", "longest_wait", "-o"])
        .arg(component(workspace));
    if !good(&mut make) {
        return Err("componentize-py failed".to_owned());
    }
    std::fs::write(&stamp, wanted).map_err(|error| format!("{}: {error}", stamp.display()))
}
