//! A Rust file as the rules see it: code without texts and comments, comments without code, and which lines are tests.

/// One file. All three views have the same lines, so that a place in one is a place in all.
pub struct Source {
    /// Relative to the root, with `/`.
    pub path: String,
    /// Code; comments and the contents of strings and characters are blank.
    pub code: Vec<String>,
    /// Comments; all else is blank.
    pub comments: Vec<String>,
    /// Whether the line belongs to a test: in a test file, or in an item under `#[cfg(test)]`.
    pub test: Vec<bool>,
}

impl Source {
    pub fn new(path: &str, text: &str) -> Self {
        let (code, comments) = split(text);
        let code: Vec<String> = code.lines().map(str::to_owned).collect();
        let comments = comments.lines().map(str::to_owned).collect();
        let test = if is_test_file(path) { vec![true; code.len()] } else { test_lines(&code) };
        Self { path: path.to_owned(), code, comments, test }
    }

    /// Lines of code with their number from 1, tests left out.
    pub fn product_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .iter()
            .zip(&self.test)
            .enumerate()
            .filter(|(_, (_, test))| !**test)
            .map(|(i, (l, _))| (i + 1, l.as_str()))
    }

    /// Lines of tests with their number from 1.
    pub fn test_lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.code
            .iter()
            .zip(&self.test)
            .enumerate()
            .filter(|(_, (_, test))| **test)
            .map(|(i, (l, _))| (i + 1, l.as_str()))
    }

    /// Where the modules lie that are declared as `#[cfg(test)] mod name;`: paths without `.rs`.
    pub fn test_modules(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let dir = ["/mod", "/lib", "/main"].iter().find_map(|root| stem.strip_suffix(root)).unwrap_or(stem);
        let declared = self.test_lines().filter_map(|(_, line)| line.split("mod ").nth(1)?.trim().strip_suffix(';'));
        declared.map(|name| format!("{dir}/{name}")).collect()
    }

    /// Whether this is the file of a module that lies at `module`, or below it.
    pub fn is_in(&self, module: &str) -> bool {
        self.path.strip_prefix(module).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
    }

    /// The path of the module: `src/server/api/jobs.rs` is `["server", "api", "jobs"]`.
    /// Nothing for a file that is not below a `src` of the main package.
    pub fn module(&self) -> Option<Vec<&str>> {
        let inner = self.path.strip_prefix("src/")?.strip_suffix(".rs")?;
        let mut module: Vec<&str> = inner.split('/').collect();
        if module.last() == Some(&"mod") || inner == "lib" || inner == "main" {
            module.pop();
        }
        Some(module)
    }
}

fn is_test_file(path: &str) -> bool {
    let name = path.rsplit('/').next().unwrap_or(path);
    path.starts_with("tests/")
        || path.starts_with("fuzz/")
        || path.contains("/tests/")
        || name == "tests.rs"
        || name.ends_with("_tests.rs")
}

/// Marks the item after each `#[cfg(test)]`, from the attribute to its closing brace or semicolon.
fn test_lines(code: &[String]) -> Vec<bool> {
    let mut test = vec![false; code.len()];
    for (start, line) in code.iter().enumerate() {
        if let Some(column) = line.find("#[cfg(test)]") {
            let end = item_end(code, start, column + "#[cfg(test)]".len());
            test[start..=end].fill(true);
        }
    }
    test
}

/// The line (from 0) on which an item ends that begins at `column` (in bytes) of line `start`: that of the brace which
/// closes its first one, or of a semicolon before any brace.
pub fn item_end(code: &[String], start: usize, column: usize) -> usize {
    let mut depth = 0_usize;
    let mut nested = 0_usize;
    for (number, line) in code.iter().enumerate().skip(start) {
        let line = if number == start { &line[column..] } else { line.as_str() };
        for c in line.chars() {
            match c {
                '(' | '[' => nested += 1,
                ')' | ']' => nested = nested.saturating_sub(1),
                '{' => depth += 1,
                '}' if depth <= 1 => return number,
                '}' => depth -= 1,
                ';' if depth == 0 && nested == 0 => return number,
                _ => {}
            }
        }
    }
    code.len().saturating_sub(1)
}

#[derive(Clone, Copy)]
enum Kind {
    Code,
    Text,
    Comment,
}

/// The code and the comments of a text, each with all lines.
fn split(text: &str) -> (String, String) {
    let (mut code, mut comments) = (String::with_capacity(text.len()), String::with_capacity(text.len()));
    let mut rest = text;
    let mut before = ' ';
    while !rest.is_empty() {
        let (kind, length) = token(rest, before);
        let (now, later) = rest.split_at(length);
        for c in now.chars() {
            let blank = if c == '\n' { '\n' } else { ' ' };
            code.push(if matches!(kind, Kind::Code) { c } else { blank });
            comments.push(if matches!(kind, Kind::Comment) { c } else { blank });
        }
        before = now.chars().next_back().unwrap_or(' ');
        rest = later;
    }
    (code, comments)
}

/// What `rest` begins with, and its length in bytes: at least one character.
fn token(rest: &str, before: char) -> (Kind, usize) {
    if rest.starts_with("//") {
        return (Kind::Comment, rest.find('\n').unwrap_or(rest.len()));
    }
    if rest.starts_with("/*") {
        return (Kind::Comment, block_comment(rest));
    }
    if rest.starts_with('"') {
        return (Kind::Text, quoted(rest));
    }
    if !(before.is_alphanumeric() || before == '_')
        && let Some(length) = raw_string(rest)
    {
        return (Kind::Text, length);
    }
    if let Some(length) = character(rest) {
        return (Kind::Text, length);
    }
    (Kind::Code, rest.chars().next().map_or(1, char::len_utf8))
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        if here.starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if here.starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    rest.len()
}

fn quoted(rest: &str) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    rest.len()
}

/// `r"…"`, `r#"…"#`, `br#"…"#`; not the raw identifier `r#type`.
fn raw_string(rest: &str) -> Option<usize> {
    let start = rest.strip_prefix('b').unwrap_or(rest).strip_prefix('r')?;
    let hashes = start.len() - start.trim_start_matches('#').len();
    let inner = start[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let opening = rest.len() - inner.len();
    Some(inner.find(&end).map_or(rest.len(), |at| opening + at + end.len()))
}

/// `'x'` and `'\n'`; not a lifetime.
fn character(rest: &str) -> Option<usize> {
    let inner = rest.strip_prefix('\'')?;
    if let Some(escape) = inner.strip_prefix('\\') {
        // The escaped character itself may be a quote.
        let skip = escape.chars().next()?.len_utf8();
        return escape[skip..].find('\'').map(|at| 2 + skip + at + 1);
    }
    let c = inner.chars().next()?;
    inner[c.len_utf8()..].starts_with('\'').then_some(c.len_utf8() + 2)
}
