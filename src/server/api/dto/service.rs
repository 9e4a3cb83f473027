//! Services in JSON.

use std::collections::BTreeMap;

use domain::ServiceName;
use poem_openapi::Object;
use poem_openapi::types::Any;
use serde_json::Value as Json;

use crate::config::settings::{Parameter, ParameterKind, ParameterName, Presence, ServiceSettings};
use crate::protocol::{Parameters, Value};

/// The configured services.
#[derive(Debug, Object)]
#[oai(rename = "Services")]
pub struct ServicesDto {
    pub services: Vec<ServiceDto>,
}

/// A service.
#[derive(Debug, Object)]
#[oai(rename = "Service")]
pub struct ServiceDto {
    pub name: String,
    /// Jobs of one user that run at once, at most.
    pub runs_per_user: u32,
    /// Jobs that run at once, at most.
    pub max_runs: u32,
    /// Seconds that run.sh may run, if there is a limit.
    #[oai(skip_serializing_if_is_none)]
    pub walltime: Option<u32>,
    /// The script that its jobs run; missing where each job brings its own run.sh.
    #[oai(skip_serializing_if_is_none)]
    pub script: Option<ScriptDto>,
}

/// A script of the operator's.
#[derive(Debug, Object)]
#[oai(rename = "Script")]
pub struct ScriptDto {
    /// SHA-256 of its text.
    pub digest: String,
    /// What it is given, in the order of their names; each is a form field `param.NAME` of an upload.
    pub parameters: Vec<ParameterDto>,
}

/// A declared parameter.
#[derive(Debug, Object)]
#[oai(rename = "Parameter")]
pub struct ParameterDto {
    pub name: String,
    /// `integer`, `number`, `text`, `choice`, `boolean` or `file`: the name of one of the job's files.
    #[oai(rename = "type")]
    pub kind: String,
    /// Whether an upload without it is refused.
    pub required: bool,
    /// What is filled in where an upload does not give it.
    #[oai(skip_serializing_if_is_none)]
    pub default: Option<Any<Json>>,
    /// The least integer or number.
    #[oai(skip_serializing_if_is_none)]
    pub min: Option<f64>,
    /// The greatest integer or number.
    #[oai(skip_serializing_if_is_none)]
    pub max: Option<f64>,
    /// All values of a choice.
    #[oai(skip_serializing_if_is_none)]
    pub choices: Option<Vec<String>>,
    /// A regular expression that a text is as a whole.
    #[oai(skip_serializing_if_is_none)]
    pub pattern: Option<String>,
    /// Of a text, in bytes of UTF-8.
    #[oai(skip_serializing_if_is_none)]
    pub max_length: Option<u64>,
    /// For people.
    #[oai(skip_serializing_if_is_none)]
    pub description: Option<String>,
}

impl ServiceDto {
    pub fn new(name: &ServiceName, service: &ServiceSettings) -> Self {
        let script = service.script.as_ref().map(|script| ScriptDto {
            digest: script.digest.clone(),
            parameters: script.parameters.iter().map(|(name, parameter)| ParameterDto::new(name, parameter)).collect(),
        });
        Self {
            name: name.to_string(),
            runs_per_user: service.limits.runs_per_user,
            max_runs: service.limits.max_runs,
            walltime: service.walltime.map(domain::Walltime::seconds),
            script,
        }
    }
}

impl ParameterDto {
    fn new(name: &ParameterName, parameter: &Parameter) -> Self {
        let Parameter { kind, presence, description } = parameter;
        let default = match presence {
            Presence::Default(value) => Some(Any(json(value))),
            Presence::Required | Presence::Optional => None,
        };
        let mut dto = Self {
            name: name.to_string(),
            kind: kind.word().to_owned(),
            required: *presence == Presence::Required,
            default,
            min: None,
            max: None,
            choices: None,
            pattern: None,
            max_length: None,
            description: (!description.is_empty()).then(|| description.clone()),
        };
        match kind {
            #[expect(
                clippy::cast_precision_loss,
                reason = "integers are bounded by what a double keeps to the last digit"
            )]
            ParameterKind::Integer { min, max } => (dto.min, dto.max) = (Some(*min as f64), Some(*max as f64)),
            ParameterKind::Number { min, max } => (dto.min, dto.max) = (*min, *max),
            ParameterKind::Text { max_length, pattern } => {
                dto.max_length = Some(*max_length);
                dto.pattern = pattern.as_ref().map(|pattern| pattern.text.clone());
            }
            ParameterKind::Choice(choices) => dto.choices = Some(choices.clone()),
            ParameterKind::Boolean | ParameterKind::File => {}
        }
        dto
    }
}

/// A value in JSON.
pub fn json(value: &Value) -> Json {
    match value {
        Value::Boolean(value) => Json::from(*value),
        Value::Integer(value) => Json::from(*value),
        Value::Number(value) => Json::from(*value),
        Value::Text(value) => Json::from(value.as_str()),
    }
}

/// Values by their names, in JSON.
pub fn values(parameters: &Parameters) -> BTreeMap<String, Any<Json>> {
    parameters.0.iter().map(|(name, value)| (name.clone(), Any(json(value)))).collect()
}
