//! The document's calls of single services: one for each that has a script of the operator's, with the fields that it
//! takes, so that a generated client has a typed call for it.
//!
//! All of them are the call `/api/v1/services/{service}/jobs`, so nothing but the document knows them. They are not made
//! by one schema with alternatives because generators make nothing usable of that in a form.

use domain::ServiceName;
use serde_json::{Map, Value, json};

use super::dto;
use crate::config::settings::{OwnScript, PART_PREFIX, Parameter, ParameterKind, Presence};
use crate::server::services::Services;

/// The call that takes jobs of any service.
const CALL: &str = "/api/v1/services/{service}/jobs";
const FORM: &str = "ServiceUploadForm";

/// The document with the calls of these services; as it was where none has a script of the operator's.
pub fn with_services(document: String, services: &Services) -> String {
    let own: Vec<_> = services.all().filter_map(|(name, service)| Some((name, service.script.as_ref()?))).collect();
    if own.is_empty() {
        return document;
    }
    let Ok(mut told) = serde_json::from_str::<Value>(&document) else { return document };
    for (name, script) in own {
        let call = call(&told["paths"][CALL], name);
        let form = form(&told["components"]["schemas"][FORM], script);
        told["paths"][CALL.replace("{service}", name.as_str())] = call;
        told["components"]["schemas"][form_name(name)] = form;
    }
    told.to_string()
}

/// Names of services differ by more than `-` and `_` only if somebody wants trouble; the document needs a word.
fn word(service: &ServiceName) -> String {
    service.as_str().replace('-', "_")
}

fn form_name(service: &ServiceName) -> String {
    format!("UploadForm_{}", word(service))
}

fn call(any: &Value, service: &ServiceName) -> Value {
    let mut call = any.clone();
    let post = &mut call["post"];
    post["operationId"] = json!(format!("submit_{}", word(service)));
    post["summary"] = json!(format!("Hands in a job of the service {service}."));
    post["description"] = json!("Its script is the operator's: what it takes are these fields, and files.");
    if let Some(parameters) = post["parameters"].as_array_mut() {
        parameters.retain(|parameter| parameter["name"] != "service");
    }
    let reference = format!("#/components/schemas/{}", form_name(service));
    post["requestBody"]["content"]["multipart/form-data"]["schema"] = json!({ "$ref": reference });
    call
}

fn form(any: &Value, script: &OwnScript) -> Value {
    let mut form = any.clone();
    form["properties"]["file"]["description"] = json!("The job's inputs, the part repeated for each.");
    let mut required = vec![json!("user_id")];
    if script.parameters.values().any(needs_file) {
        required.push(json!("file"));
    }
    for (name, parameter) in &script.parameters {
        let field = format!("{PART_PREFIX}{name}");
        if parameter.presence == Presence::Required {
            required.push(json!(field));
        }
        form["properties"][field] = schema(parameter);
    }
    form["required"] = required.into();
    form
}

fn needs_file(parameter: &Parameter) -> bool {
    matches!(parameter.kind, ParameterKind::File) && parameter.presence != Presence::Optional
}

fn schema(parameter: &Parameter) -> Value {
    let mut schema = Map::new();
    let mut say = |key: &str, value: Value| {
        schema.insert(key.to_owned(), value);
    };
    let mut description = parameter.description.clone();
    match &parameter.kind {
        ParameterKind::Integer { min, max } => {
            say("type", json!("integer"));
            say("format", json!("int64"));
            say("minimum", json!(min));
            say("maximum", json!(max));
        }
        ParameterKind::Number { min, max } => {
            say("type", json!("number"));
            say("format", json!("double"));
            if let Some(min) = min {
                say("minimum", json!(min));
            }
            if let Some(max) = max {
                say("maximum", json!(max));
            }
        }
        ParameterKind::Text { max_length, pattern } => {
            say("type", json!("string"));
            // In characters there, in bytes here: what is refused there is refused here.
            say("maxLength", json!(max_length));
            if let Some(pattern) = pattern {
                say("pattern", json!(format!("^(?:{})$", pattern.text)));
            }
        }
        ParameterKind::Choice(choices) => {
            say("type", json!("string"));
            say("enum", json!(choices));
        }
        ParameterKind::Boolean => say("type", json!("boolean")),
        ParameterKind::File => {
            say("type", json!("string"));
            let more = "The name of one of the files in this upload.";
            let separator = if description.is_empty() { "" } else { " " };
            description.push_str(separator);
            description.push_str(more);
        }
    }
    if let Presence::Default(value) = &parameter.presence {
        say("default", dto::json(value));
    }
    if !description.is_empty() {
        say("description", json!(description));
    }
    Value::Object(schema)
}
