//! A table of the file whose keys are known to be its own: takes one value after the other, and notes every mistake.

use toml::{Table, Value};

use super::keys::Kind;
use super::mistakes::{Mistake, Origin, did_you_mean};
use super::resolve::{Given, Resolver};

/// One table.
pub(super) struct Section<'a> {
    /// As people know it: `[pool.burst]`.
    title: String,
    /// Its names in the report begin so: `pool.burst`.
    prefix: String,
    table: &'a Table,
}

impl<'a> Section<'a> {
    pub(super) fn new(title: String, prefix: String, table: &'a Table) -> Self {
        Self { title, prefix, table }
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// What was written, for a mistake that is about more than one value.
    pub(super) fn given(&self, resolver: &Resolver<'_>, key: &str) -> Given {
        let text = self.table.get(key).map_or_else(String::new, |value| match value {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        });
        Given { name: format!("{} {key}", self.title), text, origin: Origin::File(resolver.file.path.clone()) }
    }

    /// Notes that something is not there.
    pub(super) fn missing(&self, resolver: &mut Resolver<'_>, key: &str, remedy: impl Into<String>) {
        self.wrong(resolver, key, "it is missing", remedy);
    }

    /// Notes what is wrong about a key, whatever its value.
    pub(super) fn wrong(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let origin = Origin::File(resolver.file.path.clone());
        let (name, what, remedy) = (format!("{} {key}", self.title), what.into(), remedy.into());
        resolver.mistake(Mistake { name, value: None, origin, what, remedy });
    }

    /// Notes keys that mean nothing.
    pub(super) fn know(&self, resolver: &mut Resolver<'_>, known: &[&str]) {
        for key in self.table.keys().filter(|key| !known.contains(&key.as_str())) {
            self.wrong(resolver, key, "no setting has this name", did_you_mean(key, known.iter().copied()));
        }
    }

    pub(super) fn value(&self, key: &str) -> Option<&'a Value> {
        self.table.get(key)
    }

    /// A value as text, for whoever reports it.
    pub(super) fn read(&self, resolver: &mut Resolver<'_>, key: &str, kind: Kind) -> Option<Given> {
        resolver.file_text(format!("{} {key}", self.title), self.table.get(key)?, kind)
    }

    pub(super) fn take<T>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.read(resolver, key, kind)?;
        let value = resolver.parse(&given, parse)?;
        self.in_force(resolver, key, given.text, given.origin);
        Some(value)
    }

    /// Notes for the report what a key is.
    pub(super) fn in_force(&self, resolver: &mut Resolver<'_>, key: &str, value: String, origin: Origin) {
        resolver.report.add(format!("{}.{key}", self.prefix), value, origin);
    }

    pub(super) fn text(&self, resolver: &mut Resolver<'_>, key: &str) -> Option<String> {
        self.take(resolver, key, Kind::Text, |text| match text.trim() {
            "" => Err("write something, or leave it out".to_owned()),
            text => Ok(text.to_owned()),
        })
    }

    /// As [`Self::take`]; without it the default, which the report tells too.
    pub(super) fn take_or<T: ToString>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
        default: T,
    ) -> T {
        if self.has(key) {
            return self.take(resolver, key, kind, parse).unwrap_or(default);
        }
        self.in_force(resolver, key, default.to_string(), Origin::Default);
        default
    }

    /// A list of texts, each parsed; nothing where it is not there. An empty one is a mistake.
    pub(super) fn list<T>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Vec<T> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let texts = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let given = self.given(resolver, key);
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            resolver.wrong(
                &given,
                "a list of texts is needed, with one at least",
                format!("write {key} = [{example}]"),
            );
            return Vec::new();
        };
        self.in_force(resolver, key, texts.join(", "), given.origin.clone());
        let one = |text: &str| Given { text: text.to_owned(), ..given.clone() };
        texts.into_iter().filter_map(|text| resolver.parse(&one(text), &parse)).collect()
    }

    /// Tables in a list.
    pub(super) fn tables(&self, resolver: &mut Resolver<'_>, key: &str, example: &str) -> Vec<Section<'a>> {
        let Some(value) = self.table.get(key) else { return Vec::new() };
        let tables = value.as_array().and_then(|list| list.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
        let Some(tables) = tables else {
            let given = self.given(resolver, key);
            resolver.wrong(&given, "a list of tables is needed", format!("write {key} = [{example}]"));
            return Vec::new();
        };
        let section = |(index, table): (usize, &'a Table)| {
            Section::new(format!("{} {key}[{index}]", self.title), format!("{}.{key}.{index}", self.prefix), table)
        };
        tables.into_iter().enumerate().map(section).collect()
    }

    /// A table in it.
    pub(super) fn table(&self, resolver: &mut Resolver<'_>, key: &str, example: &str) -> Option<Section<'a>> {
        let value = self.table.get(key)?;
        let Some(table) = value.as_table() else {
            let given = self.given(resolver, key);
            resolver.wrong(&given, "a table is needed", format!("write {key} = {example}"));
            return None;
        };
        Some(Section::new(format!("{} {key}", self.title), format!("{}.{key}", self.prefix), table))
    }
}
