//! What domain may depend on, read from its Cargo.toml.

use std::path::Path;

use super::Finding;

const MANIFEST: &str = "crates/domain/Cargo.toml";
const ALLOWED: &[&str] = &["serde", "thiserror"];

pub fn of_domain(root: &Path, findings: &mut Vec<Finding>) -> Result<(), String> {
    let path = root.join(MANIFEST);
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{MANIFEST}: {error}"))?;
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            inside = line == "[dependencies]";
            continue;
        }
        let name = line.split(['.', '=', ' ']).next().unwrap_or_default();
        if inside && !name.is_empty() && !name.starts_with('#') && !ALLOWED.contains(&name) {
            let remedy = format!("domain depends on {} only, not on {name}", ALLOWED.join(" and "));
            findings.push(Finding { path: MANIFEST.to_owned(), line: number + 1, rule: "floors", remedy });
        }
    }
    Ok(())
}
