//! A script of the operator's, what it is given, and which values are taken for it. Pure.
//!
//! A value is checked by the same function wherever it is written: as a default in the file, or in an upload.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;

use regex::Regex;

use super::mistakes::did_you_mean;
use crate::protocol::{Parameters, Value};

/// Begins the name of the form part that carries a value.
pub const PART_PREFIX: &str = "param.";
/// Of one text, in bytes. With its name it has to fit into one variable, of which Linux takes 128 KiB.
pub const MOST_TEXT: u64 = 100_000;
/// Of all values of a job together, in bytes: a quarter of what Linux gives arguments and variables, by default.
pub const MOST_BYTES: usize = 500_000;
/// Parameters of a service.
pub const MOST_PARAMETERS: usize = 100;
/// Of a whole number, either way: what every reader of JSON keeps to the last digit (2^53 - 1).
pub const MOST_INTEGER: i64 = 9_007_199_254_740_991;

/// What a service runs in place of a script that its users send.
#[derive(Debug, Clone)]
pub struct OwnScript {
    pub path: PathBuf,
    /// As it was at the start: a job runs the text that it was accepted with.
    pub text: Arc<[u8]>,
    /// SHA-256 of the text.
    pub digest: String,
    pub parameters: BTreeMap<ParameterName, Parameter>,
}

/// `[a-z][a-z0-9_]{0,63}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ParameterName(String);

/// What is declared of one parameter.
#[derive(Debug, Clone)]
pub struct Parameter {
    pub kind: ParameterKind,
    pub presence: Presence,
    /// For people; may be empty.
    pub description: String,
}

/// What becomes of a parameter that an upload does not give.
#[derive(Debug, Clone, PartialEq)]
pub enum Presence {
    /// The upload is refused.
    Required,
    /// The script does not get it.
    Optional,
    Default(Value),
}

#[derive(Debug, Clone)]
pub enum ParameterKind {
    Integer {
        min: i64,
        max: i64,
    },
    Number {
        min: Option<f64>,
        max: Option<f64>,
    },
    /// At most `max_length` bytes of UTF-8.
    Text {
        max_length: u64,
        pattern: Option<Pattern>,
    },
    Choice(Vec<String>),
    Boolean,
    /// The name of one of the job's files.
    File,
}

/// A regular expression for a whole text.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As it was written.
    pub text: String,
    whole: Regex,
}

/// Why a value is not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wrong {
    pub why: String,
    pub remedy: String,
}

/// Something in an upload that does not fit its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// The part's name.
    pub field: String,
    pub value: String,
    pub wrong: Wrong,
}

impl ParameterName {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ParameterName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::borrow::Borrow<str> for ParameterName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl FromStr for ParameterName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let rest = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let good = text.len() <= 64 && text.starts_with(|first: char| first.is_ascii_lowercase());
        if good && text.bytes().all(rest) {
            return Ok(Self(text.to_owned()));
        }
        Err("a parameter's name has 1 to 64 of the characters a-z, 0-9 and '_', and begins with a letter")
    }
}

impl Pattern {
    /// # Errors
    /// Why it is no regular expression.
    pub fn new(text: &str) -> Result<Self, String> {
        let whole = Regex::new(&format!(r"\A(?:{text})\z")).map_err(|error| error.to_string())?;
        Ok(Self { text: text.to_owned(), whole })
    }
}

impl Wrong {
    pub fn new(why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { why: why.into(), remedy: remedy.into() }
    }
}

impl Misfit {
    /// All values together are more than a script can be given.
    #[must_use]
    pub fn too_much() -> Self {
        let why = format!("all of them together have more than {MOST_BYTES} bytes, or are more than {MOST_PARAMETERS}");
        Self { field: PART_PREFIX.to_owned(), value: String::new(), wrong: Wrong::new(why, "send long text as a file") }
    }
}

impl OwnScript {
    /// The values for the script: those that an upload gives, by the names of their parameters, and defaults.
    ///
    /// # Errors
    /// All that is wrong with them.
    pub fn values(
        &self,
        given: &BTreeMap<String, String>,
        is_file: impl Fn(&str) -> bool,
    ) -> Result<Parameters, Vec<Misfit>> {
        let mut misfits: Vec<Misfit> = self.unknown(given).collect();
        let mut values = BTreeMap::new();
        for (name, parameter) in &self.parameters {
            let text = given.get(name.as_str());
            match parameter.value(text.map(String::as_str), &is_file) {
                Ok(Some(value)) => {
                    values.insert(name.to_string(), value);
                }
                Ok(None) => {}
                Err(wrong) => {
                    let value = text.cloned().unwrap_or_default();
                    misfits.push(Misfit { field: format!("{PART_PREFIX}{name}"), value, wrong });
                }
            }
        }
        let bytes: usize = values.values().map(|value| value.to_string().len()).sum();
        if bytes > MOST_BYTES {
            misfits.push(Misfit::too_much());
        }
        if misfits.is_empty() { Ok(Parameters(values)) } else { Err(misfits) }
    }

    fn unknown<'a>(&'a self, given: &'a BTreeMap<String, String>) -> impl Iterator<Item = Misfit> + 'a {
        let unknown = given.iter().filter(|(name, _)| !self.parameters.contains_key(name.as_str()));
        unknown.map(|(name, value)| {
            let remedy = match self.parameters.len() {
                0 => "leave it out: the service takes files only".to_owned(),
                _ => did_you_mean(name, self.parameters.keys().map(ParameterName::as_str)),
            };
            let wrong = Wrong::new("the service has no such parameter", remedy);
            Misfit { field: format!("{PART_PREFIX}{name}"), value: value.clone(), wrong }
        })
    }
}

impl Parameter {
    /// `None`: the script does not get it.
    fn value(&self, text: Option<&str>, is_file: impl Fn(&str) -> bool) -> Result<Option<Value>, Wrong> {
        let value = match (text, &self.presence) {
            (Some(text), _) => self.kind.parse(text)?,
            (None, Presence::Default(value)) => value.clone(),
            (None, Presence::Optional) => return Ok(None),
            (None, Presence::Required) => return Err(Wrong::new("it is missing", self.kind.remedy())),
        };
        match (&self.kind, &value) {
            (ParameterKind::File, Value::Text(name)) if !is_file(name) => {
                let remedy = "upload the file under this name, or give the name of one that you upload";
                Err(Wrong::new(format!("there is no file {name:?} in the upload"), remedy))
            }
            _ => Ok(Some(value)),
        }
    }
}

impl ParameterKind {
    /// The word for it in the configuration.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Self::Integer { .. } => "integer",
            Self::Number { .. } => "number",
            Self::Text { .. } => "text",
            Self::Choice(_) => "choice",
            Self::Boolean => "boolean",
            Self::File => "file",
        }
    }

    /// What a right value looks like.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            Self::Integer { min, max } => format!("give a whole number from {min} to {max}"),
            Self::Number { min: None, max: None } => "give a number, such as 0.5".to_owned(),
            Self::Number { min: Some(min), max: None } => format!("give a number from {min} on"),
            Self::Number { min: None, max: Some(max) } => format!("give a number up to {max}"),
            Self::Number { min: Some(min), max: Some(max) } => format!("give a number from {min} to {max}"),
            Self::Text { max_length, pattern: None } => format!("give a text of at most {max_length} bytes"),
            Self::Text { max_length, pattern: Some(pattern) } => {
                format!("give a text of at most {max_length} bytes that is as a whole {}", pattern.text)
            }
            Self::Choice(choices) => format!("give one of: {}", choices.join(", ")),
            Self::Boolean => "give true or false".to_owned(),
            Self::File => "give the name of one of the files that you upload".to_owned(),
        }
    }

    /// The value that a text is.
    ///
    /// # Errors
    /// It is none of this kind, or out of its bounds.
    pub fn parse(&self, text: &str) -> Result<Value, Wrong> {
        let wrong = |why: &str| Err(Wrong::new(why, self.remedy()));
        if text.contains('\0') {
            return wrong("it has a NUL character, which no program can be given");
        }
        match self {
            Self::Integer { min, max } => match text.trim().parse::<i64>() {
                Ok(value) if (*min..=*max).contains(&value) => Ok(Value::Integer(value)),
                Ok(_) => wrong("it is out of range"),
                Err(_) => wrong("it is no whole number"),
            },
            Self::Number { min, max } => match text.trim().parse::<f64>() {
                Ok(value) if !value.is_finite() => wrong("it is no finite number"),
                Ok(value) if min.is_some_and(|min| value < min) || max.is_some_and(|max| value > max) => {
                    wrong("it is out of range")
                }
                Ok(value) => Ok(Value::Number(value)),
                Err(_) => wrong("it is no number"),
            },
            Self::Text { max_length, .. } if text.len() as u64 > *max_length => {
                wrong(&format!("it has {} bytes", text.len()))
            }
            Self::Text { pattern: Some(pattern), .. } if !pattern.whole.is_match(text) => {
                wrong("it does not have the form that is asked for")
            }
            Self::Choice(choices) if !choices.iter().any(|choice| choice == text) => {
                Err(Wrong::new("it is none of the choices", did_you_mean_one(text, choices)))
            }
            Self::Boolean => match text {
                "true" => Ok(Value::Boolean(true)),
                "false" => Ok(Value::Boolean(false)),
                _ => wrong("it is neither true nor false"),
            },
            Self::Text { .. } | Self::Choice(_) | Self::File => Ok(Value::Text(text.to_owned())),
        }
    }
}

fn did_you_mean_one(text: &str, choices: &[String]) -> String {
    let remedy = did_you_mean(text, choices.iter().map(String::as_str));
    if remedy.starts_with("did you mean") { remedy } else { format!("give one of: {}", choices.join(", ")) }
}

/// For the report: `integer, 1 to 10, default 3`.
impl fmt::Display for Parameter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.word())?;
        match &self.kind {
            ParameterKind::Integer { min, max } => write!(f, ", {min} to {max}")?,
            ParameterKind::Number { min, max } => {
                min.iter().try_for_each(|min| write!(f, ", from {min}"))?;
                max.iter().try_for_each(|max| write!(f, ", up to {max}"))?;
            }
            ParameterKind::Text { max_length, pattern } => {
                write!(f, ", at most {max_length} bytes")?;
                pattern.iter().try_for_each(|pattern| write!(f, ", as {}", pattern.text))?;
            }
            ParameterKind::Choice(choices) => write!(f, " of {}", choices.join(", "))?,
            ParameterKind::Boolean | ParameterKind::File => {}
        }
        match &self.presence {
            Presence::Required => f.write_str(", required"),
            Presence::Optional => Ok(()),
            Presence::Default(value) => write!(f, ", default {value}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameter(kind: ParameterKind, presence: Presence) -> Parameter {
        Parameter { kind, presence, description: String::new() }
    }

    fn script(parameters: impl IntoIterator<Item = (&'static str, Parameter)>) -> OwnScript {
        let parameters = parameters.into_iter().map(|(name, parameter)| (name.parse().unwrap(), parameter)).collect();
        OwnScript { path: PathBuf::new(), text: Arc::from(*b"true"), digest: String::new(), parameters }
    }

    type Cases<'a> = &'a [(&'a str, Option<Value>)];

    #[test]
    fn each_kind_takes_what_is_in_its_bounds_and_nothing_else() {
        let text = |pattern: Option<&str>| {
            let pattern = pattern.map(|pattern| Pattern::new(pattern).unwrap());
            ParameterKind::Text { max_length: 4, pattern }
        };
        let integer = ParameterKind::Integer { min: -2, max: 10 };
        let number = ParameterKind::Number { min: Some(0.0), max: Some(1.0) };
        let any = ParameterKind::Number { min: None, max: None };
        let choice = ParameterKind::Choice(vec!["fast".to_owned(), "slow".to_owned()]);
        let table: [(&ParameterKind, Cases<'_>); 8] = [
            (
                &integer,
                &[
                    ("-2", Some(Value::Integer(-2))),
                    (" 10 ", Some(Value::Integer(10))),
                    ("-3", None),
                    ("11", None),
                    ("1.0", None),
                    ("", None),
                    ("99999999999999999999", None),
                ],
            ),
            (
                &number,
                &[
                    ("0", Some(Value::Number(0.0))),
                    ("1e0", Some(Value::Number(1.0))),
                    ("1.0000001", None),
                    ("-0.1", None),
                    ("half", None),
                ],
            ),
            (&any, &[("-1e300", Some(Value::Number(-1e300))), ("inf", None), ("NaN", None), ("1e999", None)]),
            (
                &text(None),
                &[
                    ("", Some(Value::Text(String::new()))),
                    ("ää", Some(Value::Text("ää".to_owned()))),
                    ("ääa", None),
                    ("a\0b", None),
                ],
            ),
            (
                &text(Some("[a-z]+|x1")),
                &[
                    ("abc", Some(Value::Text("abc".to_owned()))),
                    ("x1", Some(Value::Text("x1".to_owned()))),
                    ("x1y", None),
                    ("abc\n", None),
                    ("", None),
                ],
            ),
            (&choice, &[("slow", Some(Value::Text("slow".to_owned()))), ("Slow", None), ("", None)]),
            (
                &ParameterKind::Boolean,
                &[("true", Some(Value::Boolean(true))), ("false", Some(Value::Boolean(false))), ("1", None)],
            ),
            (&ParameterKind::File, &[("a b.pdb", Some(Value::Text("a b.pdb".to_owned())))]),
        ];
        for (kind, cases) in table {
            for (given, expected) in cases {
                assert_eq!(kind.parse(given).ok(), *expected, "{} {given:?}", kind.word());
            }
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once_and_what_was_left_out_is_filled_in() {
        let count = ParameterKind::Integer { min: 1, max: 3 };
        let script = script([
            ("count", parameter(count, Presence::Default(Value::Integer(2)))),
            ("model", parameter(ParameterKind::Choice(vec!["small".to_owned()]), Presence::Required)),
            ("note", parameter(ParameterKind::Boolean, Presence::Optional)),
            ("structure", parameter(ParameterKind::File, Presence::Required)),
        ]);
        let given = |pairs: &[(&str, &str)]| -> BTreeMap<String, String> {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
        };
        let wrong = given(&[("cuont", "1"), ("model", "smal"), ("note", "on"), ("structure", "none.pdb")]);
        let misfits = script.values(&wrong, |_| false).unwrap_err();
        let told: Vec<_> = misfits.iter().map(|misfit| (misfit.field.as_str(), misfit.wrong.remedy.as_str())).collect();
        assert_eq!(
            told,
            [
                ("param.cuont", "did you mean count?"),
                ("param.model", "did you mean small?"),
                ("param.note", "give true or false"),
                ("param.structure", "upload the file under this name, or give the name of one that you upload"),
            ]
        );
        let missing = script.values(&given(&[]), |_| true).unwrap_err();
        assert_eq!(missing.len(), 2, "{missing:?}");
        let right = given(&[("model", "small"), ("structure", "a.pdb")]);
        let values = script.values(&right, |name| name == "a.pdb").unwrap();
        let text = |text: &str| Value::Text(text.to_owned());
        let expected = [("count", Value::Integer(2)), ("model", text("small")), ("structure", text("a.pdb"))];
        assert_eq!(values, Parameters(expected.map(|(name, value)| (name.to_owned(), value)).into()));
    }

    #[test]
    fn names_of_parameters_become_variables_without_a_doubt() {
        for good in ["a", "max_iterations", "x9_", &"a".repeat(64)] {
            assert_eq!(good.parse::<ParameterName>().as_ref().map(ParameterName::as_str), Ok(good));
        }
        for bad in ["", "A", "9x", "_x", "a-b", "a b", "ä", &"a".repeat(65)] {
            assert!(bad.parse::<ParameterName>().is_err(), "{bad}");
        }
    }
}
