//! Mistakes in settings, and where a value came from.

use std::fmt;
use std::path::PathBuf;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    Default,
    File(PathBuf),
    /// The variable's name.
    Environment(String),
    /// With its dashes.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Environment(variable) => write!(f, "environment {variable}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that has to be put right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// The setting, in the words of the place it was set in: `--slots`, `MAX_AGE`, `[server] listen`.
    pub name: String,
    /// As it was written, where something was.
    pub value: Option<String>,
    pub origin: Origin,
    /// What is wrong with it.
    pub what: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)?;
        if let Some(value) = &self.value {
            write!(f, " = {}", one_line(value))?;
        }
        match &self.origin {
            Origin::Default => {}
            Origin::File(path) => write!(f, " (file {})", path.display())?,
            Origin::Environment(_) => f.write_str(" (environment)")?,
            Origin::Flag(_) => f.write_str(" (flag)")?,
        }
        write!(f, ": {}\n      {}", self.what, self.remedy)
    }
}

/// On a terminal a value must not move the cursor.
fn one_line(value: &str) -> String {
    value.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// All mistakes that were found; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistakes(pub Vec<Mistake>);

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("1 mistake in the settings:")?,
            n => write!(f, "{n} mistakes in the settings:")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// The remedy for a name that nobody knows: the nearest known one where one is near, else all of them.
pub(super) fn did_you_mean<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let nearest = known.iter().map(|name| (edits(unknown, name), *name)).min();
    match nearest {
        Some((distance, name)) if distance <= 1 + unknown.len() / 5 => format!("did you mean {name}?"),
        _ => format!("remove it; known are {}", known.join(", ")),
    }
}

/// The number of characters to insert, remove or replace between two words (Levenshtein).
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}
