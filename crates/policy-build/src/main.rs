//! What `cargo xtask policies` runs: makes the shipped components again, or says whether they are what they should be.

mod shipped;

use std::path::Path;
use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match words[..] {
        [root, target] => shipped::write(Path::new(root), Path::new(target)),
        [root, target, "--check"] => shipped::check(Path::new(root), Path::new(target)),
        _ => Err("usage: policy-build ROOT TARGET [--check]".into()),
    };
    match done {
        Ok(shipped::Outcome::Good) => ExitCode::SUCCESS,
        Ok(shipped::Outcome::Differs) => ExitCode::from(1),
        Err(error) => {
            eprintln!("policy-build: {error}");
            ExitCode::from(2)
        }
    }
}
