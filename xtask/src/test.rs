//! `cargo xtask test`: all that must hold, in the order in which it is cheapest to fail.

use std::process::Command;

use crate::step::{Steps, cargo, find_program, good};
use crate::workspace::Workspace;
use crate::{Outcome, needs, python, python_policy, tidy};

/// The tests run the binary that can be killed at its crash points.
const FEATURES: [&str; 2] = ["--features", "job-orchestrator/crash-points"];

struct Options<'a> {
    fast: bool,
    nextest: &'a [String],
}

pub fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    let options = match parse(arguments) {
        Ok(options) => options,
        Err(why) => return Outcome::Unable(why),
    };
    let mut steps = Steps::default();
    if !options.fast {
        let mut missing = None;
        steps.run("set-up", || {
            let provided = needs::provide(workspace).and_then(|()| python::provide(workspace));
            missing = provided.and_then(|()| python_policy::provide(workspace)).err();
            missing.is_none()
        });
        if let Some(why) = missing {
            return Outcome::Unable(why);
        }
    }
    steps.run("format", || good(cargo(workspace).args(["fmt", "--all", "--check"])));
    steps.run("tidy", || matches!(tidy::run(workspace, &[]), Outcome::Good));
    if !options.fast {
        slow_checks(workspace, &mut steps);
    }
    // Last, so that the runner's own count of tests is what a reader finds at the end.
    steps.run("tests", || tests(workspace, &options));
    finish(&steps)
}

fn parse(arguments: &[String]) -> Result<Options<'_>, String> {
    let split = arguments.iter().position(|word| word == "--").unwrap_or(arguments.len());
    let (own, rest) = arguments.split_at(split);
    if let Some(unknown) = own.iter().find(|word| *word != "--fast") {
        return Err(format!("test does not know `{unknown}`; arguments for nextest come after --"));
    }
    Ok(Options { fast: !own.is_empty(), nextest: rest.get(1..).unwrap_or_default() })
}

fn slow_checks(workspace: &Workspace, steps: &mut Steps) {
    steps.run("clippy", || {
        good(
            cargo(workspace)
                .args(["clippy", "--quiet", "--workspace", "--all-targets"])
                .args(FEATURES)
                .args(["--", "-D", "warnings"]),
        )
    });
    if find_program(workspace, "cargo-deny").is_some() {
        steps.run("deny", || {
            // It reads the sources of every crate that is locked, also of those that this system never builds.
            good(cargo(workspace).args(["fetch", "--quiet", "--locked"]))
                && good(cargo(workspace).args(["deny", "--offline", "check", "bans", "licenses", "sources"]))
        });
    } else {
        println!("cargo-deny is not installed: licences and bans are left to .ci/full");
    }
    steps.run("documentation", || {
        good(cargo(workspace).args(["doc", "--quiet", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
    });
}

fn tests(workspace: &Workspace, options: &Options<'_>) -> bool {
    let mut nextest = cargo(workspace);
    nextest.args(["nextest", "run", "--no-tests", "fail"]);
    if !options.nextest.iter().any(|word| word == "-p" || word.starts_with("--package")) {
        nextest.arg("--workspace").args(FEATURES);
    }
    if !options.fast {
        nextest.args(["--profile", "ci"]);
    }
    surround(&mut nextest, workspace);
    good(nextest.args(options.nextest))
}

/// Tells the tests what was set up for them.
pub fn surround(nextest: &mut Command, workspace: &Workspace) {
    let python = python::interpreter(workspace);
    if python.is_file() {
        nextest.env(python::VARIABLE, python);
    }
    let component = python_policy::component(workspace);
    if component.is_file() {
        nextest.env(python_policy::VARIABLE, component);
    }
    // moto takes any credentials; with these the SDK looks for no others, and finds nobody's real ones.
    nextest.env("AWS_ACCESS_KEY_ID", "moto").env("AWS_SECRET_ACCESS_KEY", "moto").env_remove("AWS_SESSION_TOKEN");
}

fn finish(steps: &Steps) -> Outcome {
    println!("times: {}", steps.times());
    if steps.failed().is_empty() {
        return Outcome::Good;
    }
    println!("FAILED: {}", steps.failed().join(", "));
    Outcome::Found
}
