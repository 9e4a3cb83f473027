//! How long things are.

use super::source::item_end;
use super::{Finding, Source};

const FILE_LINES: usize = 400;
const FUNCTION_LINES: usize = 60;
/// A test module longer than this gets a file of its own.
const INLINE_TEST_LINES: usize = 150;

pub fn files(source: &Source, findings: &mut Vec<Finding>) {
    let product = source.product_lines().count();
    let tests = source.test.len() - product;
    let mut push = |line, remedy| findings.push(Finding { path: source.path.clone(), line, rule: "size", remedy });
    if product > FILE_LINES {
        push(1, format!("{product} lines without tests, at most {FILE_LINES}: make two rooms of it"));
    }
    if product > 0 && tests > INLINE_TEST_LINES {
        let first = source.test_lines().next().map_or(1, |(line, _)| line);
        push(first, format!("{tests} lines of tests, at most {INLINE_TEST_LINES} here: give them a file of their own"));
    }
}

pub fn functions(source: &Source, findings: &mut Vec<Finding>) {
    for (line, text) in source.product_lines() {
        let Some((column, name)) = function(text) else { continue };
        let length = item_end(&source.code, line - 1, column) + 2 - line;
        if length > FUNCTION_LINES {
            let remedy = format!("{name} has {length} lines, at most {FUNCTION_LINES}: take a step out of it");
            findings.push(Finding { path: source.path.clone(), line, rule: "size", remedy });
        }
    }
}

/// Where in the line a function is declared, and its name.
fn function(line: &str) -> Option<(usize, &str)> {
    let at = line.find("fn ")?;
    let is_word_end = line[..at].chars().next_back().is_none_or(|c| c == ' ');
    let name = line[at + 3..].split(['(', '<']).next()?;
    let is_name = !name.is_empty() && name.chars().all(|c| c.is_alphanumeric() || c == '_');
    (is_word_end && is_name).then_some((at, name))
}
