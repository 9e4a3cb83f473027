//! What was left behind.

use super::{Finding, Source};

const IN_COMMENTS: &[&str] = &["TODO", "FIXME", "XXX"];
const IN_CODE: &[&str] = &["todo!", "unimplemented!", "dbg!"];

pub fn leftover(source: &Source, findings: &mut Vec<Finding>) {
    find(source, &source.comments, IN_COMMENTS, "make it an issue", findings);
    find(source, &source.code, IN_CODE, "finish it or take it out", findings);
}

fn find(source: &Source, lines: &[String], marks: &[&str], remedy: &str, findings: &mut Vec<Finding>) {
    for (number, line) in lines.iter().enumerate() {
        for mark in marks.iter().filter(|mark| has_word(line, mark)) {
            let remedy = format!("{mark}: {remedy}");
            findings.push(Finding { path: source.path.clone(), line: number + 1, rule: "leftover", remedy });
        }
    }
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let begins = !line[..at].ends_with(is_part);
        let ends = word.ends_with('!') || !line[at + word.len()..].starts_with(is_part);
        begins && ends
    })
}
