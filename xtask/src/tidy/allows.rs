//! A lint is switched off with a reason, and only while it fires.

use super::{Finding, Source};

pub fn without_reason(source: &Source, findings: &mut Vec<Finding>) {
    for (number, line) in source.code.iter().enumerate() {
        if line.contains("#[allow(") || line.contains("#![allow(") {
            let remedy = "write #[expect(lint, reason = \"…\")]".to_owned();
            findings.push(Finding { path: source.path.clone(), line: number + 1, rule: "allow", remedy });
        }
    }
}
