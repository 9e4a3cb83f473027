//! The values that an operator's script is given, as they travel and as the script finds them.
//!
//! They are a file of the payload, a flat JSON object, and no part of the submission: one value may be larger than all
//! else that is said of a job. Scripts read the file too, so what is in it never changes its meaning.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The file's name, at the top of the job's directory.
pub const PARAMETERS_FILE: &str = "parameters.json";
/// The variable that has the file's path.
pub const PARAMETERS_VARIABLE: &str = "ORCHESTRATOR_PARAMETERS";
/// Begins the variable of each value; the parameter's name in capitals follows.
const VARIABLE_PREFIX: &str = "PARAM_";

/// One value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Value {
    Boolean(bool),
    Integer(i64),
    /// Finite.
    Number(f64),
    Text(String),
}

/// As its variable has it: a text as it is, anything else as in JSON.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Boolean(value) => write!(f, "{value}"),
            Self::Integer(value) => write!(f, "{value}"),
            Self::Number(value) => match serde_json::Number::from_f64(*value) {
                Some(value) => write!(f, "{value}"),
                None => write!(f, "{value}"),
            },
            Self::Text(value) => f.write_str(value),
        }
    }
}

/// Values by the names of their parameters.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Parameters(pub BTreeMap<String, Value>);

impl Parameters {
    /// The variables that a script finds, by their names.
    pub fn variables(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(key, value)| (format!("{VARIABLE_PREFIX}{}", key.to_uppercase()), value.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As it is in payloads out there, and as scripts read it.
    const KEPT: &str =
        r#"{"count":-3,"cutoff":0.1,"exact":5.0,"far":1e+300,"fast":true,"model":"v2","text":"a\n\"b\""}"#;

    #[test]
    fn parameters_read_the_same_in_every_version() {
        let parameters: Parameters = serde_json::from_str(KEPT).unwrap();
        let expected = [
            ("count", Value::Integer(-3)),
            ("cutoff", Value::Number(0.1)),
            ("exact", Value::Number(5.0)),
            ("far", Value::Number(1e300)),
            ("fast", Value::Boolean(true)),
            ("model", Value::Text("v2".to_owned())),
            ("text", Value::Text("a\n\"b\"".to_owned())),
        ];
        let expected = expected.map(|(key, value)| (key.to_owned(), value));
        assert_eq!(parameters, Parameters(expected.into()));
        assert_eq!(serde_json::to_string(&parameters).unwrap(), KEPT);
    }

    #[test]
    fn variables_have_texts_as_they_are_and_numbers_as_in_the_file() {
        let parameters: Parameters = serde_json::from_str(KEPT).unwrap();
        let variables: Vec<_> = parameters.variables().map(|(name, value)| format!("{name}={value}")).collect();
        let expected = [
            "PARAM_COUNT=-3",
            "PARAM_CUTOFF=0.1",
            "PARAM_EXACT=5.0",
            "PARAM_FAR=1e+300",
            "PARAM_FAST=true",
            "PARAM_MODEL=v2",
            "PARAM_TEXT=a\n\"b\"",
        ];
        assert_eq!(variables, expected);
    }
}
