//! Scripts of the operator's: `[service.NAME] run` and `[service.NAME.parameters.KEY]`.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use domain::ServiceName;
use toml::{Table, Value};

use super::keys::Kind;
use super::keys::service::{PARAMETERS, RUN};
use super::mistakes::{Origin, did_you_mean};
use super::resolve::{Given, Resolver};
use super::script_settings::{
    MOST_INTEGER, MOST_PARAMETERS, MOST_TEXT, OwnScript, Parameter, ParameterKind, ParameterName, Pattern, Presence,
};
use super::section::Section;
use crate::files::digest;

/// Of a script, in bytes: it is held in memory and goes along with each of its jobs.
const MOST_SCRIPT: u64 = 1024 * 1024;
/// Of a text that says nothing else, in bytes.
const USUAL_TEXT: u64 = 1_000;
/// Of a description, in bytes.
const MOST_DESCRIPTION: usize = 1_000;

const TYPE: &str = "type";
const DEFAULT: &str = "default";
const REQUIRED: &str = "required";
const DESCRIPTION: &str = "description";
const MIN: &str = "min";
const MAX: &str = "max";
const CHOICES: &str = "choices";
const PATTERN: &str = "pattern";
const MAX_LENGTH: &str = "max_length";
const KEYS: [&str; 9] = [TYPE, DEFAULT, REQUIRED, DESCRIPTION, MIN, MAX, CHOICES, PATTERN, MAX_LENGTH];
const TYPES: [&str; 6] = ["integer", "number", "text", "choice", "boolean", "file"];

/// What a service runs, if that is the operator's.
pub(super) fn take(resolver: &mut Resolver<'_>, service: &ServiceName, table: &Table) -> Option<OwnScript> {
    let parameters = parameters(resolver, service, table);
    let Some(run) = table.get(RUN) else {
        if let Some(value) = table.get(PARAMETERS) {
            let given = given(resolver, format!("[service.{service}] {PARAMETERS}"), value);
            let remedy = "add run = \"FILE\", the script that is given them; a script that users send has none";
            resolver.wrong(&given, "there is no script for them", remedy);
        }
        return None;
    };
    let run = resolver.file_text(format!("[service.{service}] {RUN}"), run, Kind::Text)?;
    let path = beside(&resolver.file.path, &run.text);
    match read(&path) {
        Ok(text) => {
            let digest = digest::of_bytes(&text);
            let value = format!("{} (sha256 {digest})", path.display());
            resolver.report.add(format!("service.{service}.{RUN}"), value, run.origin);
            Some(OwnScript { path, text: text.into(), digest, parameters })
        }
        Err(what) => {
            resolver.wrong(
                &run,
                what,
                "give the path of a bash script, absolute or from the configuration file's directory",
            );
            None
        }
    }
}

/// A path as the configuration file means it.
fn beside(file: &Path, text: &str) -> PathBuf {
    let path = file.parent().unwrap_or(Path::new("")).join(text);
    std::path::absolute(&path).unwrap_or(path)
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let unreadable = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(format!("{} is no file", path.display()));
    }
    if metadata.len() > MOST_SCRIPT {
        return Err(format!("{} has more than {MOST_SCRIPT} bytes", path.display()));
    }
    let text = std::fs::read(path).map_err(unreadable)?;
    if text.is_empty() { Err(format!("{} is empty", path.display())) } else { Ok(text) }
}

fn given(resolver: &Resolver<'_>, name: String, value: &Value) -> Given {
    Given { name, text: value.to_string(), origin: Origin::File(resolver.file.path.clone()) }
}

fn parameters(resolver: &mut Resolver<'_>, service: &ServiceName, table: &Table) -> BTreeMap<ParameterName, Parameter> {
    let mut parameters = BTreeMap::new();
    let Some(value) = table.get(PARAMETERS) else { return parameters };
    let Some(declared) = value.as_table().filter(|declared| declared.len() <= MOST_PARAMETERS) else {
        let given = given(resolver, format!("[service.{service}] {PARAMETERS}"), value);
        let remedy =
            format!("declare at most {MOST_PARAMETERS}, each as a table [service.{service}.{PARAMETERS}.NAME]");
        resolver.wrong(&given, "this cannot be used", remedy);
        return parameters;
    };
    for (key, value) in declared {
        let title = format!("[service.{service}.{PARAMETERS}.{key}]");
        let name = Given { name: title.clone(), text: key.clone(), origin: Origin::File(resolver.file.path.clone()) };
        let name =
            resolver.parse(&name, |text| text.parse::<ParameterName>().map_err(|why| format!("rename it: {why}")));
        let Some(table) = value.as_table() else {
            let given = given(resolver, title, value);
            resolver.wrong(&given, "it is no table", "write { type = \"integer\" }, or a table of its own");
            continue;
        };
        let section = Section::new(title, String::new(), table);
        let parameter = Declaration { resolver: &mut *resolver, section }.parameter();
        if let (Some(name), Some(parameter)) = (name, parameter) {
            let origin = Origin::File(resolver.file.path.clone());
            resolver.report.add(format!("service.{service}.{PARAMETERS}.{name}"), parameter.to_string(), origin);
            parameters.insert(name, parameter);
        }
    }
    parameters
}

/// The table of one parameter.
struct Declaration<'a, 'b> {
    resolver: &'a mut Resolver<'b>,
    section: Section<'a>,
}

impl Declaration<'_, '_> {
    /// `None` where nothing can be made of it; then a mistake is noted, as after any other.
    fn parameter(&mut self) -> Option<Parameter> {
        self.section.know(self.resolver, &KEYS);
        let description = self.text(DESCRIPTION).unwrap_or_default();
        if description.len() > MOST_DESCRIPTION {
            self.wrong(DESCRIPTION, "it is too long", format!("write at most {MOST_DESCRIPTION} bytes"));
        }
        let required = self.switch(REQUIRED);
        let kind = self.kind()?;
        let presence = self.presence(&kind, required);
        Some(Parameter { kind, presence, description })
    }

    fn kind(&mut self) -> Option<ParameterKind> {
        if !self.section.has(TYPE) {
            self.section.missing(self.resolver, TYPE, format!("add type = \"…\", one of: {}", TYPES.join(", ")));
        }
        let word = self.text(TYPE)?;
        let (kind, own): (_, &[&str]) = match word.as_str() {
            "integer" => (self.integer(), &[MIN, MAX]),
            "number" => (self.number(), &[MIN, MAX]),
            "text" => (self.text_kind(), &[PATTERN, MAX_LENGTH]),
            "choice" => (self.choice(), &[CHOICES]),
            "boolean" => (Some(ParameterKind::Boolean), &[]),
            "file" => (Some(ParameterKind::File), &[]),
            _ => {
                let remedy = did_you_mean(&word, TYPES);
                self.wrong(TYPE, "there is no such type", remedy);
                return None;
            }
        };
        self.report_foreign(&word, own);
        kind
    }

    /// Bounds of another type would bound nothing.
    fn report_foreign(&mut self, word: &str, own: &[&str]) {
        for key in [MIN, MAX, CHOICES, PATTERN, MAX_LENGTH] {
            if self.section.has(key) && !own.contains(&key) {
                self.wrong(key, &format!("a parameter of type {word} has no {key}"), "remove it, or change the type");
            }
        }
    }

    fn integer(&mut self) -> Option<ParameterKind> {
        let mut bound = |key, default: i64| match self.section.value(key) {
            None => Some(default),
            Some(Value::Integer(bound)) if (-MOST_INTEGER..=MOST_INTEGER).contains(bound) => Some(*bound),
            Some(_) => {
                self.wrong(
                    key,
                    "this cannot be used",
                    format!("give a whole number from -{MOST_INTEGER} to {MOST_INTEGER}"),
                );
                None
            }
        };
        let (min, max) = (bound(MIN, -MOST_INTEGER), bound(MAX, MOST_INTEGER));
        let (min, max) = (min?, max?);
        self.in_order(min <= max)?;
        Some(ParameterKind::Integer { min, max })
    }

    fn number(&mut self) -> Option<ParameterKind> {
        let mut bound = |key| match self.section.value(key) {
            None => Some(None),
            #[expect(clippy::cast_precision_loss, reason = "a bound that is written with 16 digits is one of 15")]
            Some(Value::Integer(bound)) => Some(Some(*bound as f64)),
            Some(Value::Float(bound)) if bound.is_finite() => Some(Some(*bound)),
            Some(_) => {
                self.wrong(key, "this cannot be used", "give a number");
                None
            }
        };
        let (min, max) = (bound(MIN), bound(MAX));
        let (min, max) = (min?, max?);
        self.in_order(min.zip(max).is_none_or(|(min, max)| min <= max))?;
        Some(ParameterKind::Number { min, max })
    }

    fn in_order(&mut self, ordered: bool) -> Option<()> {
        if !ordered {
            self.wrong(MIN, "it is above max", "exchange min and max");
        }
        ordered.then_some(())
    }

    fn text_kind(&mut self) -> Option<ParameterKind> {
        let max_length = match self.section.value(MAX_LENGTH) {
            None => Some(USUAL_TEXT),
            Some(Value::Integer(length)) => {
                u64::try_from(*length).ok().filter(|length| (1..=MOST_TEXT).contains(length))
            }
            Some(_) => None,
        };
        if max_length.is_none() {
            let remedy =
                format!("give a whole number of bytes from 1 to {MOST_TEXT}; longer text is a parameter of type file");
            self.wrong(MAX_LENGTH, "this cannot be used", remedy);
        }
        let pattern = match self.text(PATTERN).map(|text| Pattern::new(&text)) {
            None => None,
            Some(Ok(pattern)) => Some(pattern),
            Some(Err(why)) => {
                self.wrong(PATTERN, &format!("it is no regular expression: {why}"), "put the marked place right");
                return None;
            }
        };
        Some(ParameterKind::Text { max_length: max_length?, pattern })
    }

    fn choice(&mut self) -> Option<ParameterKind> {
        let remedy = "give a list of different texts, such as choices = [\"fast\", \"exact\"]";
        let listed = self.section.value(CHOICES).and_then(Value::as_array);
        let choices: Option<Vec<String>> =
            listed.and_then(|list| list.iter().map(|item| item.as_str().map(str::to_owned)).collect());
        match choices {
            Some(choices) if are_choices(&choices) => Some(ParameterKind::Choice(choices)),
            _ => {
                self.wrong(CHOICES, "there is nothing to choose from", remedy);
                None
            }
        }
    }

    fn presence(&mut self, kind: &ParameterKind, required: Option<bool>) -> Presence {
        let Some(value) = self.section.value(DEFAULT) else {
            return if required == Some(false) { Presence::Optional } else { Presence::Required };
        };
        if required == Some(true) {
            self.wrong(DEFAULT, "what is required has no default", "remove required or default");
        }
        let text = match (kind, value) {
            (ParameterKind::Integer { .. } | ParameterKind::Number { .. }, Value::Integer(number)) => {
                number.to_string()
            }
            (ParameterKind::Number { .. }, Value::Float(number)) => number.to_string(),
            (ParameterKind::Boolean, Value::Boolean(switch)) => switch.to_string(),
            (ParameterKind::Text { .. } | ParameterKind::Choice(_) | ParameterKind::File, Value::String(text)) => {
                text.clone()
            }
            _ => {
                let quotes = match kind {
                    ParameterKind::Text { .. } | ParameterKind::Choice(_) | ParameterKind::File => "in quotes",
                    ParameterKind::Integer { .. } | ParameterKind::Number { .. } | ParameterKind::Boolean => {
                        "without quotes"
                    }
                };
                self.wrong(DEFAULT, "a value of another kind is needed", format!("{}, {quotes}", kind.remedy()));
                return Presence::Required;
            }
        };
        match kind.parse(&text) {
            Ok(value) => Presence::Default(value),
            Err(wrong) => {
                self.wrong(DEFAULT, &wrong.why, wrong.remedy);
                Presence::Required
            }
        }
    }

    fn text(&mut self, key: &str) -> Option<String> {
        self.section.read(self.resolver, key, Kind::Text).map(|given| given.text)
    }

    fn switch(&mut self, key: &str) -> Option<bool> {
        self.section.read(self.resolver, key, Kind::Switch).map(|given| given.text == "true")
    }

    fn wrong(&mut self, key: &str, what: &str, remedy: impl Into<String>) {
        let given = self.section.given(self.resolver, key);
        self.resolver.wrong(&given, what, remedy);
    }
}

fn are_choices(choices: &[String]) -> bool {
    let good = |at: usize, choice: &String| {
        !choice.is_empty()
            && choice.len() as u64 <= MOST_TEXT
            && !choice.contains('\0')
            && !choices[..at].contains(choice)
    };
    !choices.is_empty() && choices.iter().enumerate().all(|(at, choice)| good(at, choice))
}
