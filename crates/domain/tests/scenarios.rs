//! Runs every tests/scenarios/*.txt: see the README there. `UPDATE_SCENARIOS=1` writes what is decided into the files.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod scenario;

use std::path::{Path, PathBuf};

use domain::policy::NativeError;
use domain::scenario::{MARK, PoolScenario, ScalingScenario, Scenario, print, print_scaling, shipped, shipped_scaling};
use domain::schedule::decide;

#[test]
fn every_scenario_is_decided_as_its_file_says() {
    let files = [files(""), files("test_policies")].concat();
    assert!(files.len() >= 12, "scenarios are missing: {files:?}");
    all_as_expected(&files, |text| {
        let scenario = Scenario::parse(text).map_err(|error| error.to_string())?;
        let policies = scenario::policies(&scenario).map_err(|error: NativeError| error.to_string())?;
        Ok((print(&decide(&scenario.snapshot, policies.as_ref(), scenario.settings)), scenario.expected))
    });
}

#[test]
fn every_pool_is_scaled_as_its_file_says() {
    let files = files("scaling");
    assert!(files.len() >= 12, "scenarios are missing: {files:?}");
    all_as_expected(&files, |text| {
        let scenario = ScalingScenario::parse(text).map_err(|error| error.to_string())?;
        let policy = scenario.native().map_err(|error| error.to_string())?;
        Ok((print_scaling(&scenario.input, &policy.scale(&scenario.input)), scenario.expected))
    });
}

#[test]
fn every_plan_for_pools_is_as_its_file_says() {
    let files = files("pool");
    assert!(files.len() >= 30, "scenarios are missing: {files:?}");
    all_as_expected(&files, |text| {
        let scenario = PoolScenario::parse(text).map_err(|error| error.to_string())?;
        let decided = scenario.decide().map_err(|error| error.to_string())?;
        Ok((decided, scenario.expected))
    });
}

#[test]
fn the_program_carries_every_scenario_of_shipped_policies() {
    for (folder, shipped) in [("", shipped()), ("scaling", shipped_scaling())] {
        let files = files(folder);
        let there: Vec<_> = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
        let carried: Vec<&str> = shipped.iter().map(|(name, _)| *name).collect();
        assert_eq!(carried, there, "src/scenario/shipped.rs names each file");
    }
    for (name, text) in shipped() {
        let scenario = Scenario::parse(text).unwrap();
        scenario.natives().unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

#[test]
fn a_mistake_is_told_with_its_line() {
    for (text, told) in [
        ("\nclient a b=1 # no services\n", "line 2: `` is no service"),
        ("jobs 1", "line 1: jobs need a service above"),
        ("service a active=x", "line 1: `x` is no active"),
        ("service a active=1 active=2", "line 1: `active` is given twice"),
        ("service a aktive=1", "line 1: `aktive` is not known here"),
        ("reserve_after 5m", "line 1: `5m` is no duration such as 600s"),
        ("place 1 on a", "line 1: `place` is not one of policy, reserve_after, client, service, user, jobs"),
        ("policy round-robin\npolicy round-robin", "line 2: `round-robin` is the second policy of its kind"),
    ] {
        assert_eq!(Scenario::parse(text).unwrap_err().to_string(), told);
    }
}

/// The scenarios of a folder, in the order of their names.
fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios").join(folder);
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    files.sort();
    files
}

/// `decided` gives what is decided about a text, and what the text says.
fn all_as_expected(files: &[PathBuf], decided: impl Fn(&str) -> Result<(String, String), String>) {
    let check = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap();
        let (decided, expected) = decided(&text).map_err(|error| format!("{}: {error}", path.display()))?;
        accept(path, &text, &expected, &decided)
    };
    let failures: Vec<String> = files.iter().filter_map(|path| check(path).err()).collect();
    assert!(failures.is_empty(), "\n{}\nUPDATE_SCENARIOS=1 accepts what is decided now", failures.join("\n"));
}

fn accept(path: &Path, text: &str, expected: &str, decided: &str) -> Result<(), String> {
    if decided == expected {
        return Ok(());
    }
    if std::env::var_os("UPDATE_SCENARIOS").is_some() {
        let given = text.split_once(MARK).map_or(text, |(given, _)| given).trim_end();
        std::fs::write(path, format!("{given}\n\n{MARK}{decided}")).unwrap();
        return Ok(());
    }
    Err(format!("{} (- expected, + decided)\n{}", path.display(), diff(expected, decided)))
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
