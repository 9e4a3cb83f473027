//! `cargo xtask mutate`: bugs that the tests must catch.
//!
//! A mutant is a patch in tests/mutants with three lines above the diff:
//! ```text
//! breaks: what goes wrong for whom
//! package: the package whose tests are run
//! test: a nextest filter that names the tests which must turn red
//! ```
//! It is applied to the last commit in a work tree of its own. First the tests are shown to be green without it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use crate::Outcome;
use crate::step::{cargo, good};
use crate::test::surround;
use crate::workspace::Workspace;

/// What nextest's exit codes mean (nextest-metadata, NextestExitCode).
const NO_TESTS_RUN: i32 = 4;
const TESTS_FAILED: i32 = 100;

struct Mutant {
    name: String,
    patch: PathBuf,
    breaks: String,
    package: String,
    test: String,
}

/// What became of the named tests.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Red, as it must be.
    Caught,
    /// Green, though the bug is in.
    Missed,
    /// It proves nothing; this is why.
    Useless(&'static str),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caught => f.write_str("caught"),
            Self::Missed => f.write_str("MISSED"),
            Self::Useless(why) => write!(f, "ERROR: {why}"),
        }
    }
}

pub fn run(workspace: &Workspace, names: &[String]) -> Outcome {
    let mutants = match load(&workspace.root.join("tests/mutants"), names) {
        Ok(mutants) => mutants,
        Err(why) => return Outcome::Unable(why),
    };
    let tree = match Tree::make(workspace) {
        Ok(tree) => tree,
        Err(why) => return Outcome::Unable(why),
    };
    // All of these before the first bug, since putting one in and out again makes the next run build.
    println!("==> without any mutant");
    let green: Vec<bool> = mutants.iter().map(|mutant| tree.test(mutant) == Some(0)).collect();
    let mut rows = Vec::new();
    for (mutant, green) in mutants.iter().zip(green) {
        println!("==> {}: {}", mutant.name, mutant.breaks);
        let begun = Instant::now();
        let verdict = if green { tree.judge(mutant) } else { Verdict::Useless("its tests are not green without it") };
        rows.push((mutant, verdict, begun.elapsed()));
    }
    println!();
    for (mutant, verdict, took) in &rows {
        println!("{:40} {:6.1} s  {verdict}  ({})", mutant.name, took.as_secs_f64(), mutant.breaks);
    }
    if rows.iter().all(|(_, verdict, _)| *verdict == Verdict::Caught) { Outcome::Good } else { Outcome::Found }
}

/// The mutants of a folder by name; all of them if none is named.
fn load(dir: &Path, names: &[String]) -> Result<Vec<Mutant>, String> {
    let entries = std::fs::read_dir(dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    let mut patches: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    patches.retain(|path| path.extension().is_some_and(|extension| extension == "patch"));
    patches.sort();
    let mutants = patches.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if let Some(unknown) = names.iter().find(|name| !mutants.iter().any(|mutant| mutant.name == **name)) {
        return Err(format!("no mutant `{unknown}` in {}", dir.display()));
    }
    let chosen: Vec<_> = mutants.into_iter().filter(|m| names.is_empty() || names.contains(&m.name)).collect();
    if chosen.is_empty() { Err(format!("no mutants in {}", dir.display())) } else { Ok(chosen) }
}

fn parse(patch: PathBuf) -> Result<Mutant, String> {
    let text = std::fs::read_to_string(&patch).map_err(|error| format!("{}: {error}", patch.display()))?;
    let field = |name: &str| {
        let mut head = text.lines().take_while(|line| !line.starts_with("--- ") && !line.starts_with("diff "));
        let value = head.find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        value.map(|value| value.trim().to_owned()).ok_or(format!("{}: no line `{name}: …`", patch.display()))
    };
    Ok(Mutant {
        name: patch.file_stem().unwrap_or_default().to_string_lossy().into_owned(),
        breaks: field("breaks")?,
        package: field("package")?,
        test: field("test")?,
        patch,
    })
}

/// A work tree at the last commit, with a target folder that all mutants share: each is an incremental build.
struct Tree<'a> {
    workspace: &'a Workspace,
    dir: PathBuf,
    target: PathBuf,
}

impl<'a> Tree<'a> {
    fn make(workspace: &'a Workspace) -> Result<Self, String> {
        let dir = workspace.target.join("mutants/tree");
        let tree = Self { workspace, target: workspace.target.join("mutants/target"), dir };
        tree.remove();
        // Forgets a tree whose folder somebody deleted.
        let pruned = good(Command::new("git").arg("-C").arg(&workspace.root).args(["worktree", "prune"]));
        let mut add = Command::new("git");
        add.arg("-C").arg(&workspace.root).args(["worktree", "add", "--quiet", "--force", "--detach"]);
        if pruned && good(add.arg(&tree.dir).arg("HEAD")) {
            Ok(tree)
        } else {
            Err("git worktree add failed".to_owned())
        }
    }

    fn judge(&self, mutant: &Mutant) -> Verdict {
        if !good(self.git().arg("apply").arg(&mutant.patch)) {
            return Verdict::Useless("the patch no longer applies");
        }
        let code = self.test(mutant);
        if !good(self.git().args(["checkout", "--quiet", "--force", "."])) || !good(self.git().args(["clean", "-fdq"]))
        {
            return Verdict::Useless("the tree could not be set back");
        }
        verdict(code)
    }

    fn git(&self) -> Command {
        let mut git = Command::new("git");
        git.arg("-C").arg(&self.dir);
        git
    }

    fn test(&self, mutant: &Mutant) -> Option<i32> {
        let mut nextest = cargo(self.workspace);
        nextest.current_dir(&self.dir).env("CARGO_TARGET_DIR", &self.target);
        nextest.args(["nextest", "run", "--cargo-quiet", "--no-tests", "fail", "--status-level", "none"]);
        // Red is what is wanted: how it looks is of interest only to who runs that test alone.
        nextest.args(["--failure-output", "never", "--final-status-level", "none"]);
        surround(&mut nextest, self.workspace);
        nextest.args(["--package", &mutant.package, "--filterset", &mutant.test]);
        nextest.status().ok()?.code()
    }

    fn remove(&self) {
        if self.dir.exists() {
            let mut remove = Command::new("git");
            remove.arg("-C").arg(&self.workspace.root).args(["worktree", "remove", "--force"]).arg(&self.dir);
            good(&mut remove);
        }
    }
}

impl Drop for Tree<'_> {
    fn drop(&mut self) {
        self.remove();
    }
}

fn verdict(nextest: Option<i32>) -> Verdict {
    match nextest {
        Some(TESTS_FAILED) => Verdict::Caught,
        Some(0) => Verdict::Missed,
        Some(NO_TESTS_RUN) => Verdict::Useless("its filter names no test"),
        _ => Verdict::Useless("it does not build"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_red_test_catches_a_mutant() {
        assert_eq!(verdict(Some(100)), Verdict::Caught);
        assert_eq!(verdict(Some(0)), Verdict::Missed);
        for other in [Some(4), Some(101), None] {
            assert!(matches!(verdict(other), Verdict::Useless(_)), "{other:?}");
        }
    }

    #[test]
    fn a_patch_without_its_head_is_refused_with_the_missing_line() {
        let dir = tempfile::tempdir().unwrap();
        let patch = dir.path().join("quota.patch");
        std::fs::write(&patch, "breaks: the quota\npackage: domain\n--- a/x\ntest: not here\n").unwrap();
        let error = parse(patch.clone()).err().unwrap();
        assert!(error.contains("`test: …`"), "{error}");
        std::fs::write(&patch, "breaks: the quota\npackage: domain\ntest: all()\n\n--- a/x\n").unwrap();
        assert_eq!(parse(patch).unwrap().name, "quota");
        assert!(load(dir.path(), &["other".to_owned()]).is_err());
    }
}
