//! `cargo xtask tidy`: the rules of the house that a compiler does not know.
//!
//! Owns what is a breach and how to mend it; one module per rule. Every rule is a function from the sources to the
//! findings, over text alone, and each was seen to find something (tests.rs).

mod allows;
mod dependencies;
mod floors;
mod marks;
mod names;
mod paths;
mod promises;
mod sizes;
mod sleeps;
mod source;
#[cfg(test)]
mod tests;
mod unwraps;

use std::fmt;
use std::path::{Path, PathBuf};

use crate::Outcome;
use crate::workspace::Workspace;
use source::Source;

/// A breach of a rule, at a place, with what to do.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Finding {
    path: String,
    /// From 1.
    line: usize,
    rule: &'static str,
    remedy: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}: {}", self.path, self.line, self.rule, self.remedy)
    }
}

type Rule = fn(&Source, &mut Vec<Finding>);

const RULES: &[Rule] = &[
    floors::heavy,
    floors::rooms,
    sizes::files,
    sizes::functions,
    names::banned,
    marks::leftover,
    sleeps::in_tests,
    allows::without_reason,
    unwraps::unproven,
];

pub fn run(workspace: &Workspace, arguments: &[String]) -> Outcome {
    if let Some(unknown) = arguments.first() {
        return Outcome::Unable(format!("tidy takes no arguments, but was given `{unknown}`"));
    }
    let findings = match check(&workspace.root) {
        Ok(findings) => findings,
        Err(why) => return Outcome::Unable(why),
    };
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() { Outcome::Good } else { Outcome::Found }
}

/// All findings below `root`, in order of path and line.
fn check(root: &Path) -> Result<Vec<Finding>, String> {
    let mut sources = Vec::new();
    for path in rust_files(root)? {
        let text = std::fs::read_to_string(root.join(&path)).map_err(|error| format!("{}: {error}", path.display()))?;
        sources.push(Source::new(&path.to_string_lossy(), &text));
    }
    let test_modules: Vec<String> = sources.iter().flat_map(Source::test_modules).collect();
    let mut findings = Vec::new();
    for source in &mut sources {
        if test_modules.iter().any(|module| source.is_in(module)) {
            source.test.fill(true);
        }
        for rule in RULES {
            rule(source, &mut findings);
        }
    }
    dependencies::of_domain(root, &mut findings)?;
    promises::kept(root, &sources, &mut findings)?;
    findings.sort();
    Ok(findings)
}

/// Paths of all Rust files, relative to `root`; not what is built (`target`) or hidden.
fn rust_files(root: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = Vec::new();
    let mut dirs = vec![root.to_path_buf()];
    while let Some(dir) = dirs.pop() {
        let entries = std::fs::read_dir(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
        for entry in entries {
            let path = entry.map_err(|error| format!("{}: {error}", dir.display()))?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            if path.is_dir() && name != "target" && !name.starts_with('.') {
                dirs.push(path);
            } else if name.ends_with(".rs") {
                found.push(path.strip_prefix(root).unwrap_or(&path).to_path_buf());
            }
        }
    }
    Ok(found)
}
