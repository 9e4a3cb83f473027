//! Policies that authors write: in Rust from the template, in Python and in JavaScript from the examples.

use std::path::{Path, PathBuf};

use crate::harness::{Bed, Form, command};
use crate::policies_cli::told;

/// The component is activated with a setting, places a job, and nobody finds a fault.
async fn decides(component: &Path, name: &str) {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let path = component.to_str().unwrap();
    let activated = told(&server, &["activate", path, "--set", "jobs_per_turn=1"]);
    assert!(activated.ends_with("in force as generation 1\n"), "{activated}");
    let id = server.submit(Form::new(7).script("true")).await;
    server.ended(id).await;
    server
        .until("its decision is told", async || {
            let decisions = told(&server, &["decisions"]);
            if decisions.contains(name) { Ok(()) } else { Err(decisions) }
        })
        .await;
    let shown = told(&server, &["list"]);
    let line = shown.lines().find(|line| line.contains(name)).unwrap();
    assert_eq!(line.split_whitespace().skip(4).collect::<Vec<_>>(), ["active", "0", "*"], "{shown}");
}

fn component(variable: &str) -> PathBuf {
    std::env::var_os(variable)
        .expect("the variable names no component: run this by `cargo xtask test` or `.ci/full`")
        .into()
}

#[tokio::test]
async fn a_policy_in_python_decides() {
    decides(&component("TEST_PYTHON_POLICY"), "longest-wait").await;
}

#[tokio::test]
#[ignore = "needs npm: .ci/full makes the component"]
async fn a_policy_in_javascript_decides() {
    decides(&component("TEST_JS_POLICY"), "longest-wait").await;
}

#[tokio::test]
#[ignore = "needs a compiler for wasm32, and a minute"]
async fn a_new_policy_is_compiled_and_decides() {
    let bed = Bed::new();
    let dir = bed.path().join("new");
    let run = |arguments: &[&str]| {
        let arguments: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let status = command(&arguments, &[]).current_dir(bed.path()).status().unwrap();
        assert!(status.success(), "{arguments:?}");
    };
    run(&["policy", "new", "quota", "mine", "--dir", "new"]);
    run(&["policy", "build", "new"]);
    decides(&dir.join("quota-mine.wasm"), "mine").await;
}
