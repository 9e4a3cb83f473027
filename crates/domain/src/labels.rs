//! Labels of clients and jobs, and the tests a job makes on a client's labels.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// A text that is no label or no label test.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LabelError {
    #[error(
        "`{0}` is no label: `key=value` or `key`, where a key has 1 to 63 of a-z A-Z 0-9 _ . - and a value at most 200 printable characters without comma"
    )]
    /// Not `key=value` with a valid key and value.
    Label(String),
    /// A key that occurs more than once.
    #[error("label `{0}` is given twice")]
    Twice(String),
    /// Not a test that could ever be made.
    #[error("`{0}` is no label test: `key`, `key=value`, or `key` with >=, <=, > or < and a number")]
    Test(String),
}

/// `key=value` pairs in the order of their keys. A key alone has the value `true`.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
pub struct Labels(BTreeMap<String, String>);

impl Labels {
    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// All pairs in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// From single `key=value` texts, as a repeated flag gives them.
    ///
    /// # Errors
    /// A text that is no label, or a key given twice.
    pub fn from_pairs<'a>(pairs: impl IntoIterator<Item = &'a str>) -> Result<Self, LabelError> {
        let mut labels = BTreeMap::new();
        for pair in pairs {
            let (key, value) = pair.split_once('=').unwrap_or((pair, "true"));
            let (key, value) = (key.trim(), value.trim());
            if !valid_key(key) || !valid_value(value) {
                return Err(LabelError::Label(pair.to_owned()));
            }
            if labels.insert(key.to_owned(), value.to_owned()).is_some() {
                return Err(LabelError::Twice(key.to_owned()));
            }
        }
        Ok(Self(labels))
    }
}

/// What arrives over the wire is checked like what a person types.
impl TryFrom<BTreeMap<String, String>> for Labels {
    type Error = LabelError;

    fn try_from(labels: BTreeMap<String, String>) -> Result<Self, LabelError> {
        let invalid =
            labels.iter().find(|(key, value)| !valid_key(key) || !valid_value(value) || value.trim() != *value);
        match invalid {
            Some((key, value)) => Err(LabelError::Label(format!("{key}={value}"))),
            None => Ok(Self(labels)),
        }
    }
}

/// Comma-separated `key=value`; spaces around the commas do not count.
impl FromStr for Labels {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        Self::from_pairs(parts(text))
    }
}

impl fmt::Display for Labels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, self.iter().map(|(key, value)| format!("{key}={value}")))
    }
}

/// Tests on a client's labels, all of which must hold, without repeats and in canonical order:
/// `gpu`, `memory_gb>=16`, `arch=arm64`. Cheap to clone: a decision gives a reason for each shape that waits.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Requires(Arc<[Test]>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Test {
    key: String,
    rule: Rule,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Rule {
    /// The label exists and is not `false`.
    Present,
    Equals(String),
    Compares(Comparison, Number),
}

/// A number, kept as it was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
struct Number {
    text: String,
    /// Of the number that the text gives: read once, and compared and hashed like everything else here.
    bits: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Comparison {
    AtLeast,
    AtMost,
    Above,
    Below,
}

/// Longer operators first: `>=` before `>`.
const COMPARISONS: [(&str, Comparison); 4] =
    [(">=", Comparison::AtLeast), ("<=", Comparison::AtMost), (">", Comparison::Above), ("<", Comparison::Below)];

impl Requires {
    /// Whether a client with `labels` passes every test.
    #[must_use]
    pub fn hold_for(&self, labels: &Labels) -> bool {
        self.0.iter().all(|test| test.holds(labels.get(&test.key)))
    }

    /// Whether some test looks at the label with this key.
    #[must_use]
    pub fn tests(&self, key: &str) -> bool {
        self.0.iter().any(|test| test.key == key)
    }

    /// Whether every client passes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Test {
    fn holds(&self, value: Option<&str>) -> bool {
        let Some(value) = value else { return false };
        match &self.rule {
            Rule::Present => value != "false",
            Rule::Equals(wanted) => value == wanted,
            Rule::Compares(comparison, bound) => {
                value.parse().is_ok_and(|value| comparison.holds(value, f64::from_bits(bound.bits)))
            }
        }
    }
}

impl Comparison {
    fn holds(self, value: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => value >= bound,
            Self::AtMost => value <= bound,
            Self::Above => value > bound,
            Self::Below => value < bound,
        }
    }
}

impl FromStr for Test {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let wrong = || LabelError::Test(text.to_owned());
        let compared = COMPARISONS
            .iter()
            .find_map(|(operator, comparison)| text.split_once(operator).map(|parts| (*comparison, parts)));
        let (key, rule) = if let Some((comparison, (key, bound))) = compared {
            let text = bound.trim().to_owned();
            let bits = text.parse().ok().filter(|number: &f64| number.is_finite()).ok_or_else(wrong)?.to_bits();
            (key, Rule::Compares(comparison, Number { text, bits }))
        } else if let Some((key, value)) = text.split_once('=') {
            (key, Rule::Equals(value.trim().to_owned()))
        } else {
            (text, Rule::Present)
        };
        let key = key.trim();
        if !valid_key(key) || text.len() > 300 || text.chars().any(char::is_control) {
            return Err(wrong());
        }
        Ok(Self { key: key.to_owned(), rule })
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)?;
        match &self.rule {
            Rule::Present => Ok(()),
            Rule::Equals(value) => write!(f, "={value}"),
            Rule::Compares(comparison, bound) => {
                let operator = COMPARISONS.iter().find(|(_, c)| c == comparison).map_or("", |(text, _)| text);
                write!(f, "{operator}{}", bound.text)
            }
        }
    }
}

/// Comma-separated tests; an empty text requires nothing.
impl FromStr for Requires {
    type Err = LabelError;

    fn from_str(text: &str) -> Result<Self, LabelError> {
        let tests = parts(text).map(str::parse).collect::<Result<BTreeSet<Test>, _>>()?;
        Ok(Self(tests.into_iter().collect()))
    }
}

impl TryFrom<String> for Requires {
    type Error = LabelError;

    fn try_from(text: String) -> Result<Self, LabelError> {
        text.parse()
    }
}

impl From<Requires> for String {
    fn from(requires: Requires) -> Self {
        requires.to_string()
    }
}

impl fmt::Display for Requires {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_joined(f, self.0.iter().map(ToString::to_string))
    }
}

fn parts(text: &str) -> impl Iterator<Item = &str> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty())
}

fn valid_key(key: &str) -> bool {
    (1..=63).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
}

fn valid_value(value: &str) -> bool {
    value.len() <= 200 && !value.chars().any(|c| c.is_control() || c == ',')
}

fn write_joined(f: &mut fmt::Formatter<'_>, parts: impl Iterator<Item = String>) -> fmt::Result {
    for (index, part) in parts.enumerate() {
        if index > 0 {
            f.write_str(",")?;
        }
        f.write_str(&part)?;
    }
    Ok(())
}
