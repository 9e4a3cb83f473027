//! Every test that docs/reliability.md names is there.

use std::path::Path;

use super::{Finding, Source};

const PROMISES: &str = "docs/reliability.md";
/// A name in it with at least so many words is a test's; settings have fewer.
const WORDS: usize = 5;

pub fn kept(root: &Path, sources: &[Source], findings: &mut Vec<Finding>) -> Result<(), String> {
    let path = root.join(PROMISES);
    if !path.exists() {
        return Ok(());
    }
    let text = std::fs::read_to_string(&path).map_err(|error| format!("{PROMISES}: {error}"))?;
    for (number, line) in text.lines().enumerate() {
        for name in line.split('`').skip(1).step_by(2).filter(|name| is_test(name)) {
            let function = format!("fn {name}(");
            if !sources.iter().any(|source| source.code.iter().any(|line| line.contains(&function))) {
                let remedy = format!("no test is called {name}: a promise needs one");
                findings.push(Finding { path: PROMISES.to_owned(), line: number + 1, rule: "promise", remedy });
            }
        }
    }
    Ok(())
}

fn is_test(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.split('_').count() >= WORDS
}
