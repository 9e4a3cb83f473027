//! From the words of a request to a component and its settings.

use std::fmt;

use domain::policy::{Digest, PolicyKind, PolicyName, Settings, Value};
use serde_json::{Map, Value as Json};

use super::library::Library;

/// Which component somebody means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Which {
    /// What is called so: of those handed in the one that came last, else what this program brings with it.
    Name(PolicyName),
    Digest(Digest),
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Digest(digest) => digest.fmt(f),
        }
    }
}

/// Nothing here is called so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no {kind} policy {which} here")]
pub struct NoSuchPolicy {
    pub kind: PolicyKind,
    pub which: Which,
}

/// A value that no setting can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the setting `{name}` is neither true or false nor a number nor a text")]
pub struct BadSetting {
    pub name: String,
}

impl Library {
    /// The digest of what is meant. Of one that is given by its digest only its loading shows whether it is here.
    ///
    /// # Errors
    /// Nothing is called so.
    pub async fn find(&self, kind: PolicyKind, which: &Which) -> Result<Digest, NoSuchPolicy> {
        let found = match which {
            Which::Digest(digest) => Some(*digest),
            Which::Name(name) => self.named(kind, name).await,
        };
        found.ok_or_else(|| NoSuchPolicy { kind, which: which.clone() })
    }
}

/// Settings as JSON, or a TOML file read as JSON, gives them: the entries of a table get its name and a dot before theirs.
///
/// # Errors
/// A list, a null, or a number that is none of ours.
pub fn settings(table: &Map<String, Json>) -> Result<Settings, BadSetting> {
    let mut settings = Settings::default();
    add("", table, &mut settings)?;
    Ok(settings)
}

fn add(before: &str, table: &Map<String, Json>, settings: &mut Settings) -> Result<(), BadSetting> {
    for (name, value) in table {
        let name = format!("{before}{name}");
        let value = match value {
            Json::Object(table) => {
                add(&format!("{name}."), table, settings)?;
                continue;
            }
            Json::Bool(flag) => Some(Value::Flag(*flag)),
            Json::String(text) => Some(Value::Text(text.clone())),
            Json::Number(number) => number.as_i64().map(Value::Whole).or_else(|| number.as_f64().map(Value::Number)),
            Json::Null | Json::Array(_) => None,
        };
        settings.0.insert(name.clone(), value.ok_or(BadSetting { name })?);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_names_with_dots_and_whole_numbers_stay_whole() {
        let given = serde_json::json!({"a": 1, "b": 1.0, "weights": {"7": 2.5}, "on": true, "text": "x"});
        let settings = settings(given.as_object().unwrap()).unwrap();
        let told: Vec<String> = settings.0.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
        let expected =
            ["a=Whole(1)", "b=Number(1.0)", "on=Flag(true)", "text=Text(\"x\")", "weights.7=Number(2.5)"];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_list_is_no_setting_and_is_named() {
        let given = serde_json::json!({"weights": {"7": [1]}});
        let refused = super::settings(given.as_object().unwrap()).unwrap_err();
        assert_eq!(refused.name, "weights.7");
    }
}
