//! Names that say nothing.

use super::{Finding, Source};

const BANNED: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "types"];

/// Files, folders and modules with a banned name.
pub fn banned(source: &Source, findings: &mut Vec<Finding>) {
    let mut push = |line, name: &str| {
        let remedy = format!("`{name}` says nothing: name it after what it is");
        findings.push(Finding { path: source.path.clone(), line, rule: "name", remedy });
    };
    let stem = source.path.trim_end_matches(".rs");
    for name in stem.split('/').filter(|name| BANNED.contains(name)) {
        push(1, name);
    }
    for (number, line) in source.code.iter().enumerate() {
        // A module in a file of its own is found by its file.
        let Some(name) = line.split("mod ").nth(1).and_then(|rest| rest.trim().strip_suffix('{')) else { continue };
        if BANNED.contains(&name.trim()) {
            push(number + 1, name.trim());
        }
    }
}
