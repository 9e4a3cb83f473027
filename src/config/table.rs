//! A table of the file whose keys are taken one by one: `[pool.NAME]`, `[provider.ec2]`, and tables within.

use std::ops::RangeInclusive;

use toml::Value;

use super::keys::Kind;
use super::mistakes::{Mistake, Origin, did_you_mean};
use super::parse;
use super::resolve::{Given, Resolver};

pub(super) struct Table<'a> {
    /// As people write it, and mistakes name it: `[pool.burst]`.
    pub title: String,
    /// As the report names it: `pool.burst`.
    pub name: String,
    pub keys: &'a toml::Table,
}

impl<'a> Table<'a> {
    /// What stands under a key, as text; a value of another kind is noted as a mistake.
    pub(super) fn given(&self, resolver: &mut Resolver<'_>, key: &str, kind: Kind) -> Option<Given> {
        resolver.file_text(format!("{} {key}", self.title), self.keys.get(key)?, kind)
    }

    /// The value, or `None` where there is none and after a mistake.
    pub(super) fn take<T>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let given = self.given(resolver, key, kind)?;
        let value = resolver.parse(&given, parse)?;
        self.in_force(resolver, key, given.text, given.origin);
        Some(value)
    }

    /// A text that is not empty.
    pub(super) fn text(&self, resolver: &mut Resolver<'_>, key: &str) -> Option<String> {
        self.take(resolver, key, Kind::Text, |text| match text.trim() {
            "" => Err("give a text, or leave it out".into()),
            text => Ok(text.to_owned()),
        })
    }

    /// A whole number, which the report has also where it is the default.
    pub(super) fn number(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        range: RangeInclusive<u64>,
        default: u64,
    ) -> u64 {
        if !self.keys.contains_key(key) {
            self.in_force(resolver, key, default.to_string(), Origin::Default);
        }
        self.take(resolver, key, Kind::Number, parse::whole(range)).unwrap_or(default)
    }

    /// A list of texts, each checked by `parse`; `None` where there is none. An empty one is a mistake.
    pub(super) fn list<T>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        example: &str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<Vec<T>> {
        let listed = self.keys.get(key)?;
        let texts = listed.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(texts) = texts.filter(|texts| !texts.is_empty()) else {
            let given = self.whole(resolver, key, listed);
            resolver.wrong(&given, "a list of texts is needed, with one at least", format!("write {key} = {example}"));
            return None;
        };
        self.in_force(resolver, key, texts.join(", "), Origin::File(resolver.file.path.clone()));
        let values = texts.into_iter().filter_map(|text| {
            let given = Given { text: text.to_owned(), ..self.whole(resolver, key, listed) };
            resolver.parse(&given, &parse)
        });
        Some(values.collect())
    }

    /// Tables within, in their order. What is no list of tables is a mistake.
    pub(super) fn tables(&self, resolver: &mut Resolver<'_>, key: &str, example: &str) -> Option<Vec<&'a toml::Table>> {
        let listed = self.keys.get(key)?;
        let tables = listed.as_array().and_then(|list| list.iter().map(Value::as_table).collect::<Option<Vec<_>>>());
        if tables.is_none() {
            let given = self.whole(resolver, key, listed);
            resolver.wrong(&given, "a list of tables is needed", format!("write {key} = {example}"));
        }
        tables
    }

    /// Notes keys that mean nothing.
    pub(super) fn report_unknown(&self, resolver: &mut Resolver<'_>, known: &[&str]) {
        for key in self.keys.keys().filter(|key| !known.contains(&key.as_str())) {
            self.mistake(resolver, key, "no setting has this name", did_you_mean(key, known.iter().copied()));
        }
    }

    /// Notes what is wrong about a key by its being there, or not.
    pub(super) fn mistake(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        what: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        resolver.mistake(Mistake {
            name: format!("{} {key}", self.title),
            value: None,
            origin: Origin::File(resolver.file.path.clone()),
            what: what.into(),
            remedy: remedy.into(),
        });
    }

    /// Notes for the report what a key is.
    pub(super) fn in_force(&self, resolver: &mut Resolver<'_>, key: &str, value: String, origin: Origin) {
        resolver.report.add(format!("{}.{key}", self.name), value, origin);
    }

    fn whole(&self, resolver: &Resolver<'_>, key: &str, value: &Value) -> Given {
        Given {
            name: format!("{} {key}", self.title),
            text: value.to_string(),
            origin: Origin::File(resolver.file.path.clone()),
        }
    }
}
