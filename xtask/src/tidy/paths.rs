//! Finds paths in code: `a::b::c`, also inside a `use` with braces.

/// A path that the code names, on a line (from 1).
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub line: usize,
    pub segments: Vec<String>,
}

/// All paths whose first segment satisfies `root`. `use a::{b, c::d}` names `a::b` and `a::c::d`.
/// The bare word counts too after `use`, since that makes it a name.
pub fn named(lines: &[(usize, &str)], root: impl Fn(&str) -> bool) -> Vec<Named> {
    let tokens = tokens(lines);
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let before = at.checked_sub(1).map(|i| tokens[i].text);
        // `x::root` is somebody else's, `x.root` a field.
        let begins = !matches!(before, Some("." | "::")) || is_absolute(&tokens, at);
        let goes_on = tokens.get(at + 1).is_some_and(|next| next.text == "::");
        if root(token.text) && begins && (goes_on || before == Some("use")) {
            tree(&tokens, at, &mut Vec::new(), &mut found);
        }
    }
    found
}

/// `::root`, with nothing before the colons that they could belong to.
fn is_absolute(tokens: &[Token<'_>], at: usize) -> bool {
    let colons = at.checked_sub(1).is_some_and(|i| tokens[i].text == "::");
    let owner = at.checked_sub(2).map(|i| tokens[i].text);
    colons && !owner.is_some_and(|text| is_word(text) && text != "use" || text == ">")
}

/// Follows a path from the segment at `at`; returns where it ends.
fn tree(tokens: &[Token<'_>], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<Named>) -> usize {
    let depth = prefix.len();
    let line = tokens[at].line;
    loop {
        match tokens.get(at).map(|token| token.text) {
            Some("{") => {
                let end = branches(tokens, at, prefix, found);
                prefix.truncate(depth);
                return end;
            }
            Some(text) if is_word(text) => prefix.push(text.to_owned()),
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_none_or(|token| token.text != "::") {
            break;
        }
        at += 1;
    }
    found.push(Named { line, segments: prefix.clone() });
    prefix.truncate(depth);
    at
}

/// Follows each path between the braces that open at `at`.
fn branches(tokens: &[Token<'_>], mut at: usize, prefix: &mut Vec<String>, found: &mut Vec<Named>) -> usize {
    at += 1;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "}" => return at + 1,
            text if is_word(text) && text != "as" => at = tree(tokens, at, prefix, found).max(at + 1),
            _ => at += 1,
        }
    }
    at
}

struct Token<'a> {
    line: usize,
    text: &'a str,
}

fn is_word(text: &str) -> bool {
    text.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Words, `::`, and single other characters.
fn tokens<'a>(lines: &[(usize, &'a str)]) -> Vec<Token<'a>> {
    let mut tokens = Vec::new();
    for (line, text) in lines {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                ':' if rest.starts_with("::") => 2,
                c if c.is_alphanumeric() || c == '_' => {
                    rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
                }
                c => c.len_utf8(),
            };
            tokens.push(Token { line: *line, text: &rest[..length] });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}
