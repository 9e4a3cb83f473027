//! The tools of the house: `cargo xtask COMMAND`.
//!
//! Owns how the project is tested and which rules its text must keep. Must not know what the project does: it reads
//! files as text and calls cargo, so that it builds in a second and works while the rest does not compile.

mod mutate;
mod needs;
mod policies;
mod python;
mod python_policy;
mod step;
mod test;
mod tidy;
mod workspace;

use std::process::ExitCode;

use workspace::Workspace;

const HELP: &str = "\
The tools of the house.

    cargo xtask test [--fast] [-- NEXTEST ARGUMENTS]
        Sets up what the tests need, then: rustfmt, tidy, clippy, cargo-deny (if installed), documentation, tests.
        --fast   only rustfmt, tidy and the tests, without the set-up: for the edit loop
        e.g.     cargo xtask test --fast -- -p domain round_robin

    cargo xtask tidy
        The rules that a compiler does not know: floors, sizes, names, leftover marks, sleeps, allows, unwraps.
        Prints path:line: rule: remedy

    cargo xtask mutate [NAME ...]
        Applies every patch of tests/mutants (or those named), each a small bug, in a tree of its own and shows that
        the test it names turns red.

    cargo xtask policies [--check]
        Makes the shipped policies again: policies/*.wasm, their settings, MANIFEST.toml. Needs a compiler for wasm32.
        --check  only says whether what is there is what these sources make

Exit code: 0 all is well, 1 something was found, 2 something that is needed is missing or the command is not understood.
";

/// What a command found out.
enum Outcome {
    Good,
    /// The project breaks a promise or a rule; it was already printed which.
    Found,
    /// The command could not do its work.
    Unable(String),
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Outcome::Good => ExitCode::SUCCESS,
        Outcome::Found => ExitCode::from(1),
        Outcome::Unable(why) => {
            eprintln!("xtask: {why}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &[String]) -> Outcome {
    let Some((command, rest)) = arguments.split_first() else {
        print!("{HELP}");
        return Outcome::Good;
    };
    if rest.iter().take_while(|word| *word != "--").any(|word| word == "--help" || word == "-h") {
        print!("{HELP}");
        return Outcome::Good;
    }
    let workspace = match Workspace::find() {
        Ok(workspace) => workspace,
        Err(why) => return Outcome::Unable(why),
    };
    match command.as_str() {
        "test" => test::run(&workspace, rest),
        "tidy" => tidy::run(&workspace, rest),
        "mutate" => mutate::run(&workspace, rest),
        "policies" => policies::run(&workspace, rest),
        "help" | "--help" | "-h" => {
            print!("{HELP}");
            Outcome::Good
        }
        other => Outcome::Unable(format!(
            "no command `{other}`; there are test, tidy, mutate, policies (cargo xtask --help)"
        )),
    }
}
