//! Runs every tests/scenarios/*.txt: see the README there. `UPDATE_SCENARIOS=1` writes what is decided into the files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod scenario;

use std::path::Path;

use domain::schedule::decide;

const MARK: &str = "decides\n";

#[test]
fn every_scenario_is_decided_as_its_file_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    assert!(files.len() >= 12, "scenarios are missing: {files:?}");
    let failures: Vec<String> = files.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "\n{}\nUPDATE_SCENARIOS=1 accepts what is decided now", failures.join("\n"));
}

fn check(path: &Path) -> Result<(), String> {
    let text = std::fs::read_to_string(path).unwrap();
    let (given, expected) = text.split_once(MARK).unwrap_or((&text, ""));
    let scenario = scenario::parse(given).map_err(|error| format!("{}: {error}", path.display()))?;
    let decision = decide(&scenario.snapshot, scenario.policies.as_ref(), scenario.settings);
    let decided = scenario::print(&decision);
    if decided == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        std::fs::write(path, format!("{}\n{MARK}{decided}", given.trim_end().to_owned() + "\n")).unwrap();
        return Ok(());
    }
    Err(format!("{} (- expected, + decided)\n{}", path.display(), diff(expected, &decided)))
}

/// Lines of both texts in order; those that only one has are marked.
fn diff(old: &str, new: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.lines().collect(), new.lines().collect());
    let mut common = vec![vec![0; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] =
                if old[i] == new[j] { common[i + 1][j + 1] + 1 } else { common[i + 1][j].max(common[i][j + 1]) };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push(format!("  {}", old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(format!("- {}", old[i]));
            i += 1;
        } else {
            lines.push(format!("+ {}", new[j]));
            j += 1;
        }
    }
    lines.join("\n")
}
