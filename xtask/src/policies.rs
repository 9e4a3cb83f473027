//! `cargo xtask policies`: the shipped components. A crate of its own knows how they are made; this one stays small.

use crate::Outcome;
use crate::step::cargo;
use crate::workspace::Workspace;

pub fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    if !matches!(words[..], [] | ["--check"]) {
        return Outcome::Unable("policies takes only --check".to_owned());
    }
    let mut build = cargo(workspace);
    build.args(["run", "--quiet", "--package", "policy-build", "--"]).arg(&workspace.root).arg(&workspace.target);
    match build.args(words).status().map(|status| status.code()) {
        Ok(Some(0)) => Outcome::Good,
        Ok(Some(1)) => Outcome::Found,
        Ok(_) => Outcome::Unable("the policies could not be built".to_owned()),
        Err(error) => Outcome::Unable(format!("cargo: {error}")),
    }
}
