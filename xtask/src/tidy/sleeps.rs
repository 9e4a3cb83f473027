//! Tests wait for events, not for time.

use super::{Finding, Source};

/// `wait_for` lives here; between two looks it has to sleep.
const HOME: &str = "tests/it/harness/";

pub fn in_tests(source: &Source, findings: &mut Vec<Finding>) {
    if source.path.starts_with(HOME) {
        return;
    }
    for (line, _) in source.test_lines().filter(|(_, text)| calls_sleep(text)) {
        let remedy = "wait for what must happen (wait_for in tests/it/harness, a channel, a Notify)".to_owned();
        findings.push(Finding { path: source.path.clone(), line, rule: "sleep", remedy });
    }
}

/// `sleep(`, but not `tests_do_not_sleep(`.
fn calls_sleep(line: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices("sleep(").any(|(at, _)| !line[..at].ends_with(is_part))
}
