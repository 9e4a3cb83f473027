//! One value per setting out of the layers, with its origin, and every mistake on the way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::Value;

use super::environment::Environment;
use super::file::File;
use super::keys::{self, Key, Kind, Mode};
use super::mistakes::{Mistake, Mistakes, Origin, did_you_mean};
use super::report::Report;
use super::{InForce, parse};
use crate::telemetry::{LogFormat, LogSettings};

/// The report's word where no layer gives a value.
pub(super) const NOT_SET: &str = "not set";

/// What was given on the command line: texts by the name of their setting.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    config: Option<String>,
    values: BTreeMap<&'static str, String>,
}

impl Flags {
    /// None yet but the path given with `--config`.
    #[must_use]
    pub fn new(config: Option<String>) -> Self {
        Self { config, values: BTreeMap::new() }
    }

    /// Sets one; of a switch the text is `true`, labels are joined by commas.
    pub fn set(&mut self, key: &Key, text: String) {
        self.values.insert(key.name, text);
    }
}

/// A text that some layer gave for a setting.
#[derive(Debug, Clone)]
pub(super) struct Given {
    /// The setting in the words of its layer.
    pub name: String,
    pub text: String,
    pub origin: Origin,
}

/// Takes settings out of the layers one by one. A mistake is noted and the default goes on, so that one pass finds all.
pub(super) struct Resolver<'a> {
    mode: &'static Mode,
    flags: Flags,
    pub environment: &'a Environment,
    pub file: File,
    pub report: Report,
    mistakes: Vec<Mistake>,
}

impl<'a> Resolver<'a> {
    pub(super) fn new(mode: &'static Mode, flags: Flags, environment: &'a Environment) -> Self {
        let mut mistakes = Vec::new();
        let file = open_file(&flags, environment, &mut mistakes);
        report_unknown_variables(environment, &mut mistakes);
        Self { mode, flags, environment, file, report: Report::default(), mistakes }
    }

    /// The settings, or all that was wrong with them.
    pub(super) fn finish<S>(mut self, settings: S) -> Result<InForce<S>, Mistakes> {
        let log = LogSettings {
            filter: self.take("log", parse::log_filter).unwrap_or_default(),
            format: self.take("log_format", parse::log_format).unwrap_or(LogFormat::Human),
        };
        if !self.mistakes.is_empty() {
            return Err(Mistakes(self.mistakes));
        }
        self.report.sort(self.mode);
        Ok(InForce { settings, log, report: self.report })
    }

    /// The value of the highest layer that gives one, checked by `parse`. `None` where no layer gives one, where the
    /// text is empty, and after a mistake.
    pub(super) fn take<T>(&mut self, name: &str, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        self.take_or(name, parse, "")
    }

    /// Like [`Self::take`], with a default that was computed. It is written as the other layers write it.
    pub(super) fn take_or<T>(
        &mut self,
        name: &str,
        parse: impl Fn(&str) -> Result<T, String>,
        computed: &str,
    ) -> Option<T> {
        let Some(given) = self.given(name).or_else(|| default(name, computed)) else {
            self.in_force(name, NOT_SET.into(), Origin::Default);
            return None;
        };
        let value = self.parse(&given, parse)?;
        self.in_force(name, given.text, given.origin);
        Some(value)
    }

    /// Like [`Self::take_or`], for a path. It becomes absolute, so that it means the same wherever this process or its
    /// children go.
    pub(super) fn take_path(&mut self, name: &str, computed: &str) -> PathBuf {
        let given = self.given(name).or_else(|| default(name, computed));
        let Some(given) = given else { return PathBuf::new() };
        let Some(path) = self.parse(&given, parse::path) else { return PathBuf::new() };
        self.in_force(name, path.display().to_string(), given.origin);
        path
    }

    /// Notes for the report what a setting of this mode is.
    pub(super) fn in_force(&mut self, name: &str, value: String, origin: Origin) {
        self.report.add(format!("{}.{name}", self.mode.table), value, origin);
    }

    /// The text of the highest layer that gives one. A value of the wrong kind in the file is noted as a mistake, so
    /// each setting is asked for once.
    pub(super) fn given(&mut self, name: &str) -> Option<Given> {
        let key = self.mode.keys.iter().find(|key| key.name == name)?;
        let given = self.flag(key).or_else(|| self.variable(key)).or_else(|| self.in_file(key));
        given.filter(|given| !given.text.is_empty()).or_else(|| default(name, key.default))
    }

    /// The value, or `None` with the mistake noted.
    pub(super) fn parse<T>(&mut self, given: &Given, parse: impl Fn(&str) -> Result<T, String>) -> Option<T> {
        match parse(&given.text) {
            Ok(value) => Some(value),
            Err(remedy) => {
                self.wrong(given, "this cannot be used", remedy);
                None
            }
        }
    }

    /// Notes a mistake in what was given.
    pub(super) fn wrong(&mut self, given: &Given, what: impl Into<String>, remedy: impl Into<String>) {
        self.mistakes.push(Mistake {
            name: given.name.clone(),
            value: Some(given.text.clone()),
            origin: given.origin.clone(),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Notes any other mistake.
    pub(super) fn mistake(&mut self, mistake: Mistake) {
        self.mistakes.push(mistake);
    }

    /// A value of the file as text, or `None` with the mistake noted where it is of another kind.
    pub(super) fn file_text(&mut self, name: String, value: &Value, kind: Kind) -> Option<Given> {
        let origin = Origin::File(self.file.path.clone());
        match text_of(value, kind) {
            Ok(text) => Some(Given { name, text, origin }),
            Err(remedy) => {
                let given = Given { name, text: value.to_string(), origin };
                self.wrong(&given, "a value of another kind is needed", remedy);
                None
            }
        }
    }

    fn flag(&self, key: &Key) -> Option<Given> {
        let text = self.flags.values.get(key.name)?.clone();
        let name = format!("--{}", key.flag);
        Some(Given { origin: Origin::Flag(name.clone()), name, text })
    }

    fn variable(&self, key: &Key) -> Option<Given> {
        key.variables.iter().find_map(|name| self.variable_named(name))
    }

    pub(super) fn variable_named(&self, name: &str) -> Option<Given> {
        let text = self.environment.get(name)?;
        Some(Given { name: name.to_owned(), text, origin: Origin::Environment(name.to_owned()) })
    }

    fn in_file(&mut self, key: &Key) -> Option<Given> {
        let value = self.file.value(self.mode.table, key.name)?.clone();
        self.file_text(format!("[{}] {}", self.mode.table, key.name), &value, key.kind)
    }
}

fn default(name: &str, text: &str) -> Option<Given> {
    let given = Given { name: name.to_owned(), text: text.to_owned(), origin: Origin::Default };
    (!text.is_empty()).then_some(given)
}

fn open_file(flags: &Flags, environment: &Environment, mistakes: &mut Vec<Mistake>) -> File {
    let by_flag = flags.config.clone().map(|path| (path, Origin::Flag(format!("--{}", keys::CONFIG_FLAG))));
    let by_variable = || {
        let path = environment.get(keys::CONFIG_VARIABLE)?;
        Some((path, Origin::Environment(keys::CONFIG_VARIABLE.to_owned())))
    };
    match by_flag.or_else(by_variable) {
        Some((path, origin)) => File::read(Path::new(&path), &origin, mistakes),
        None => File::default(),
    }
}

fn report_unknown_variables(environment: &Environment, mistakes: &mut Vec<Mistake>) {
    let unknown = environment.names().filter(|name| name.starts_with("ORCHESTRATOR_"));
    for name in unknown.filter(|name| !keys::variables().any(|known| known == *name)) {
        mistakes.push(Mistake {
            name: name.to_owned(),
            value: None,
            origin: Origin::Environment(name.to_owned()),
            what: "no setting has this name".into(),
            remedy: did_you_mean(name, keys::variables()),
        });
    }
}

/// A value of the file as it would be written in the environment; the error says what to write instead.
fn text_of(value: &Value, kind: Kind) -> Result<String, String> {
    match (kind, value) {
        (Kind::Text, Value::String(text)) => Ok(text.clone()),
        (Kind::Number, Value::Integer(number)) => Ok(number.to_string()),
        (Kind::Decimal, Value::Integer(number)) => Ok(number.to_string()),
        (Kind::Decimal, Value::Float(number)) => Ok(number.to_string()),
        (Kind::Switch, Value::Boolean(switch)) => Ok(switch.to_string()),
        (Kind::Labels, Value::Table(table)) => label_text(table),
        (Kind::Text, _) => Err("write a text in quotes".into()),
        (Kind::Number, _) => Err("write a whole number without quotes".into()),
        (Kind::Decimal, _) => Err("write a number without quotes".into()),
        (Kind::Switch, _) => Err("write true or false without quotes".into()),
        (Kind::Labels, _) => Err("write a table, such as { key = \"value\" }".into()),
    }
}

fn label_text(table: &toml::Table) -> Result<String, String> {
    let mut pairs = Vec::new();
    for (key, value) in table {
        let value = match value {
            Value::String(text) => text.clone(),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => number.to_string(),
            Value::Boolean(switch) => switch.to_string(),
            _ => return Err(format!("give {key} a text, a number, true or false")),
        };
        if value.contains(',') || key.contains([',', '=']) {
            return Err(format!("take the comma or the equals sign out of {key}"));
        }
        pairs.push(format!("{key}={value}"));
    }
    Ok(pairs.join(","))
}
