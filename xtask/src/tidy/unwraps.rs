//! What may panic says why it cannot.

use super::{Finding, Source};

pub fn unproven(source: &Source, findings: &mut Vec<Finding>) {
    for (line, text) in source.product_lines() {
        if (text.contains(".unwrap()") || text.contains(".expect(")) && !is_proven(source, line - 1) {
            let remedy = "return an error, or say in a comment here or above why it cannot fail".to_owned();
            findings.push(Finding { path: source.path.clone(), line, rule: "unwrap", remedy });
        }
    }
}

/// Whether the line at `at` (from 0) or the one above has a comment, or the statement an `#[expect]` with its reason.
fn is_proven(source: &Source, at: usize) -> bool {
    let commented = |at: usize| source.comments.get(at).is_some_and(|comment| !comment.trim().is_empty());
    let above = at.checked_sub(1);
    commented(at) || above.is_some_and(|above| commented(above) || source.code[above].contains("#[expect("))
}
