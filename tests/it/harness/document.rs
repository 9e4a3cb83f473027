//! Holds every answer against the OpenAPI document: status, content type, headers and the shape of the JSON.
//!
//! Reads docs/openapi.json, of which `openapi.rs` shows that it is what the server tells. Addresses that are not in it
//! (the document itself, its pages, unknown ones) are let through.

use std::path::PathBuf;
use std::sync::OnceLock;

use reqwest::{Method, Url};
use serde_json::Value;

use super::http::Answer;

pub fn path() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/openapi.json")
}

/// Panics where the answer is not one that the document tells of.
pub fn hold(method: &Method, url: &Url, answer: &Answer) {
    let Some(operation) = operation(method, url.path()) else { return };
    let call = format!("{method} {}", url.path());
    let told = &operation["responses"][answer.status.as_str()];
    assert!(
        told.is_object(),
        "{call} answered {}, which docs/openapi.json does not tell of: {answer:?}",
        answer.status
    );
    for (name, header) in told["headers"].as_object().into_iter().flatten() {
        let needed = header["required"] == true && method != Method::HEAD;
        assert!(!needed || answer.headers.contains_key(name), "{call} answered without {name}: {:?}", answer.headers);
    }
    if answer.body.is_empty() {
        return;
    }
    let kind = answer.header("content-type").split(';').next().unwrap_or_default();
    let content = &told["content"];
    let media = content.as_object().and_then(|content| content.iter().find(|(name, _)| name.starts_with(kind)));
    let (_, media) =
        media.unwrap_or_else(|| panic!("{call} answered {} as {kind:?}, told is {content}", answer.status));
    if kind.ends_with("json") {
        hold_shape(&call, &media["schema"], &answer.json());
    }
}

/// The operation that takes this address; one without parameters goes first.
fn operation(method: &Method, path: &str) -> Option<&'static Value> {
    let paths = document()["paths"].as_object()?;
    let item =
        paths.get(path).or_else(|| paths.iter().find(|(template, _)| fits(template, path)).map(|(_, item)| item))?;
    item.get(method.as_str().to_lowercase())
}

fn fits(template: &str, path: &str) -> bool {
    let (told, asked) = (template.split('/'), path.split('/'));
    told.clone().count() == asked.clone().count()
        && told.zip(asked).all(|(told, asked)| told == asked || told.starts_with('{'))
}

/// Whether an object has all fields that its schema requires, and none that it does not name.
fn hold_shape(call: &str, schema: &Value, value: &Value) {
    let schema = match schema["$ref"].as_str() {
        Some(reference) => &document()["components"]["schemas"][reference.trim_start_matches("#/components/schemas/")],
        None => schema,
    };
    if let Some(items) = value.as_array() {
        return items.iter().for_each(|item| hold_shape(call, &schema["items"], item));
    }
    let (Some(object), Some(properties)) = (value.as_object(), schema["properties"].as_object()) else { return };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        assert!(object.contains_key(name), "{call} answered without {name:?}: {value}");
    }
    for (name, value) in object {
        let told = properties
            .get(name)
            .unwrap_or_else(|| panic!("{call} answered {name:?}, which is not told of: {object:?}"));
        hold_shape(call, told, value);
    }
}

/// Null where there is none yet: then `openapi.rs` fails, and can write it.
fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| {
        let text = std::fs::read_to_string(path()).unwrap_or_else(|_| "null".to_owned());
        serde_json::from_str(&text).expect("docs/openapi.json is JSON")
    })
}
