//! A policy's settings: names and plain values, as a TOML file or JSON gives them.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    /// `true` or `false`.
    Flag(bool),
    /// A whole number.
    Whole(i64),
    /// A number.
    Number(f64),
    /// A text.
    Text(String),
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

/// All that an operator set, in the order of the names. A table's entries have its name and a dot before theirs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Settings(pub BTreeMap<String, Value>);

/// A setting that a policy cannot take.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// No setting of this policy has that name.
    #[error("`{name}` is no setting of this policy; it takes {known}")]
    Unknown {
        /// As given.
        name: String,
        /// Those that there are, for people.
        known: String,
    },
    /// The value cannot be.
    #[error("`{name}` is {value}, and has to be {expected}")]
    Value {
        /// Which setting.
        name: String,
        /// As given.
        value: Value,
        /// What would do.
        expected: String,
    },
}

impl Settings {
    /// A number within `range`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn number(&self, name: &str, default: f64, range: RangeInclusive<f64>) -> Result<f64, SettingError> {
        let number = match self.0.get(name) {
            None => return Ok(default),
            Some(Value::Number(number)) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "a range in use ends long before 2^53")]
            Some(Value::Whole(number)) => Some(*number as f64),
            Some(Value::Flag(_) | Value::Text(_)) => None,
        };
        let (least, most) = (range.start(), range.end());
        let valid = number.filter(|number| range.contains(number));
        valid.ok_or_else(|| self.refused(name, format!("a number from {least} to {most}")))
    }

    /// A whole number within `range`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn whole(&self, name: &str, default: u32, range: RangeInclusive<u32>) -> Result<u32, SettingError> {
        let number = match self.0.get(name) {
            None => return Ok(default),
            Some(Value::Whole(number)) => u32::try_from(*number).ok(),
            Some(_) => None,
        };
        let (least, most) = (range.start(), range.end());
        let valid = number.filter(|number| range.contains(number));
        valid.ok_or_else(|| self.refused(name, format!("a whole number from {least} to {most}")))
    }

    /// `true` or `false`, or `default` where it is not set.
    ///
    /// # Errors
    /// It is set to something else.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, SettingError> {
        match self.0.get(name) {
            None => Ok(default),
            Some(Value::Flag(flag)) => Ok(*flag),
            Some(_) => Err(self.refused(name, "true or false".to_owned())),
        }
    }

    /// Refuses whatever is named neither in `known` nor, up to a star at its end, like one of them.
    ///
    /// # Errors
    /// There is such a setting.
    pub fn only(&self, known: &[&str]) -> Result<(), SettingError> {
        let is_known = |name: &str| {
            known.iter().any(|known| match known.strip_suffix('*') {
                Some(start) => name.len() > start.len() && name.starts_with(start),
                None => name == *known,
            })
        };
        match self.0.keys().find(|name| !is_known(name)) {
            None => Ok(()),
            Some(name) => {
                let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
                Err(SettingError::Unknown { name: name.clone(), known })
            }
        }
    }

    fn refused(&self, name: &str, expected: String) -> SettingError {
        let value = self.0.get(name).cloned().unwrap_or(Value::Flag(false));
        SettingError::Value { name: name.to_owned(), value, expected }
    }
}
