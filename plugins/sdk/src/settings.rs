//! The operator's settings, and what a policy says of them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use crate::{Description, Setting, SettingDoc, Value};

/// What the operator set, by name; what is not here has its default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Settings(BTreeMap<String, Value>);

impl Settings {
    /// From names and values: `Settings::of([("bonus", 2.0.into())])`.
    pub fn of<'a>(settings: impl IntoIterator<Item = (&'a str, Value)>) -> Self {
        Self(settings.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    /// The value, where it is set.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.0.get(name)
    }

    /// All that are set, in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// A number within `range`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn number(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64, String> {
        let number = match self.get(name) {
            None => return Ok(default),
            Some(Value::Number(number)) => Some(*number),
            Some(Value::Whole(number)) => Some(*number as f64),
            Some(Value::Flag(_) | Value::Text(_)) => None,
        };
        number
            .filter(|number| range.contains(number))
            .ok_or_else(|| self.refused(name, &format!("a number from {} to {}", range.start(), range.end())))
    }

    /// A whole number within `range`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn whole(&self, name: &str, default: i64, range: RangeInclusive<i64>) -> Result<i64, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Whole(number)) if range.contains(number) => Ok(*number),
            Some(_) => Err(self.refused(name, &format!("a whole number from {} to {}", range.start(), range.end()))),
        }
    }

    /// `true` or `false`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Flag(flag)) => Ok(*flag),
            Some(_) => Err(self.refused(name, "true or false")),
        }
    }

    /// A text, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn text<'a>(&'a self, name: &str, default: &'a str) -> Result<&'a str, String> {
        match self.get(name) {
            None => Ok(default),
            Some(Value::Text(text)) => Ok(text),
            Some(_) => Err(self.refused(name, "a text")),
        }
    }

    /// Refuses what is not named in `known`, where `weights.*` stands for every name that begins so. A typing mistake of
    /// the operator's would otherwise be a setting that does nothing.
    ///
    /// # Errors
    /// There is such a setting.
    pub fn only(&self, known: &[&str]) -> Result<(), String> {
        let is_known = |name: &str| {
            known.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.len() > start.len() && name.starts_with(start),
                None => name == *known,
            })
        };
        let takes = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
        match self.0.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => Err(format!("`{name}` is no setting of this policy; it takes {takes}")),
        }
    }

    fn refused(&self, name: &str, expected: &str) -> String {
        match self.get(name) {
            Some(value) => format!("`{name}` is {value}, and has to be {expected}"),
            None => format!("`{name}` has to be {expected}"),
        }
    }
}

impl From<Vec<Setting>> for Settings {
    fn from(settings: Vec<Setting>) -> Self {
        Self(settings.into_iter().map(|setting| (setting.name, setting.value)).collect())
    }
}

impl Default for Value {
    fn default() -> Self {
        Self::Flag(false)
    }
}

// By hand, because wit-bindgen derives for records and variants alike, and a variant has no `Default` to derive.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Flag(one), Self::Flag(other)) => one == other,
            (Self::Whole(one), Self::Whole(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            _ => false,
        }
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Flag(flag) => flag.fmt(f),
            Self::Whole(number) => number.fmt(f),
            Self::Number(number) => number.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl From<bool> for Value {
    fn from(flag: bool) -> Self {
        Self::Flag(flag)
    }
}

impl From<i64> for Value {
    fn from(number: i64) -> Self {
        Self::Whole(number)
    }
}

impl From<i32> for Value {
    fn from(number: i32) -> Self {
        Self::Whole(number.into())
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl Description {
    /// Of a policy without settings, version 1. `name` has 1 to 64 of a-z, 0-9 and `-`; `summary` is one sentence for
    /// people.
    #[must_use]
    pub fn new(name: &str, summary: &str) -> Self {
        Self {
            name: name.to_owned(),
            version: "1".to_owned(),
            summary: summary.to_owned(),
            settings: Vec::new(),
            usage_half_life: None,
        }
    }

    /// With the author's own version.
    #[must_use]
    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    /// With one more setting: its name, its default, and what it means, with unit and range.
    #[must_use]
    pub fn setting(mut self, name: &str, default: impl Into<Value>, doc: &str) -> Self {
        self.settings.push(SettingDoc { name: name.to_owned(), default: default.into(), doc: doc.to_owned() });
        self
    }

    /// Has the host keep what users used, with this half-life in seconds; see [`crate::quota::User::usage`].
    #[must_use]
    pub fn usage_half_life(mut self, seconds: f64) -> Self {
        self.usage_half_life = Some(seconds);
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_the_operators_or_the_default() {
        let settings = Settings::of([("bonus", 2.into()), ("strict", true.into())]);
        assert_eq!(settings.number("bonus", 1.0, 0.0..=9.0), Ok(2.0));
        assert_eq!(settings.number("other", 1.0, 0.0..=9.0), Ok(1.0));
        assert_eq!(settings.flag("strict", false), Ok(true));
    }

    #[test]
    fn a_wrong_setting_is_refused_with_its_remedy() {
        let settings = Settings::of([("bonus", 20.0.into()), ("weights.7", 1.0.into())]);
        let refused = settings.number("bonus", 1.0, 0.0..=9.0).unwrap_err();
        assert_eq!(refused, "`bonus` is 20, and has to be a number from 0 to 9");
        assert_eq!(settings.only(&["bonus", "weights.*"]), Ok(()));
        let unknown = settings.only(&["weights.*"]).unwrap_err();
        assert_eq!(unknown, "`bonus` is no setting of this policy; it takes weights.*");
    }
}
