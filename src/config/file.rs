//! The configuration file: TOML with the tables `[server]`, `[client]`, `[service.NAME]`, `[pool.NAME]` and
//! `[provider.ec2]`.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::keys::{self, Mode};
use super::mistakes::{Mistake, Origin, did_you_mean};

/// A file whose tables and keys are all known. The values were not looked at.
#[derive(Debug, Clone, Default)]
pub(super) struct File {
    pub path: PathBuf,
    root: Table,
}

impl File {
    /// Reads and parses the file and looks for keys that mean nothing. What can be used is returned in any case.
    pub(super) fn read(path: &Path, origin: &Origin, mistakes: &mut Vec<Mistake>) -> Self {
        let file = |root| Self { path: path.to_owned(), root };
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                mistakes.push(Mistake {
                    name: "the configuration file".into(),
                    value: Some(path.display().to_string()),
                    origin: origin.clone(),
                    what: format!("it cannot be read: {error}"),
                    remedy: "give the path of a readable TOML file, or none".into(),
                });
                return file(Table::new());
            }
        };
        match text.parse::<Table>() {
            Ok(root) => {
                let file = file(root);
                file.report_unknown(mistakes);
                file
            }
            Err(error) => {
                mistakes.push(Mistake {
                    name: "the configuration file".into(),
                    value: None,
                    origin: Origin::File(path.to_owned()),
                    what: format!("it is not valid TOML: {}", error.to_string().trim_end()),
                    remedy: "put the marked place right".into(),
                });
                file(Table::new())
            }
        }
    }

    /// `[table] key`.
    pub(super) fn value(&self, table: &str, key: &str) -> Option<&Value> {
        self.root.get(table)?.get(key)
    }

    /// The `[service.NAME]` tables with their names, which nobody has checked.
    pub(super) fn services(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.named("service")
    }

    /// The `[pool.NAME]` tables with their names, which nobody has checked.
    pub(super) fn pools(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.named("pool")
    }

    /// The `[provider.NAME]` table.
    pub(super) fn provider(&self, name: &str) -> Option<&Table> {
        self.value("provider", name)?.as_table()
    }

    fn named(&self, kind: &str) -> impl Iterator<Item = (&str, &Table)> {
        let tables = self.root.get(kind).and_then(Value::as_table).into_iter().flatten();
        tables.filter_map(|(name, value)| Some((name.as_str(), value.as_table()?)))
    }

    fn report_unknown(&self, mistakes: &mut Vec<Mistake>) {
        for (name, value) in &self.root {
            match name.as_str() {
                "server" => self.check_table("[server]", value, &key_names(keys::SERVER), mistakes),
                "client" => self.check_table("[client]", value, &key_names(keys::CLIENT), mistakes),
                "service" => self.check_named("service", value, &keys::service::IN_FILE, mistakes),
                "pool" => self.check_named("pool", value, &keys::pool::IN_FILE, mistakes),
                "provider" => self.check_providers(value, mistakes),
                _ => {
                    let remedy = did_you_mean(name, ["server", "client", "service", "pool", "provider"]);
                    mistakes.push(self.mistake(name.clone(), "nothing of this name is known", remedy));
                }
            }
        }
    }

    /// Of tables that have their names from the operator.
    fn check_named(&self, kind: &str, value: &Value, known: &[&str], mistakes: &mut Vec<Mistake>) {
        let Some(tables) = value.as_table() else {
            mistakes.push(self.mistake(kind.into(), "it is no table", format!("write [{kind}.NAME] above its keys")));
            return;
        };
        for (name, value) in tables {
            self.check_table(&format!("[{kind}.{name}]"), value, known, mistakes);
        }
    }

    fn check_providers(&self, value: &Value, mistakes: &mut Vec<Mistake>) {
        let title = format!("[provider.{}]", keys::ec2::EC2);
        let Some(providers) = value.as_table() else {
            let remedy = format!("write {title} above its keys");
            mistakes.push(self.mistake("provider".into(), "it is no table", remedy));
            return;
        };
        for (name, value) in providers {
            if name == keys::ec2::EC2 {
                self.check_table(&title, value, &keys::ec2::IN_FILE, mistakes);
            } else {
                let remedy = did_you_mean(name, [keys::ec2::EC2]);
                mistakes.push(self.mistake(
                    format!("[provider.{name}]"),
                    "no provider with settings has this name",
                    remedy,
                ));
            }
        }
    }

    fn check_table(&self, title: &str, value: &Value, known: &[&str], mistakes: &mut Vec<Mistake>) {
        let Some(table) = value.as_table() else {
            mistakes.push(self.mistake(title.into(), "it is no table", format!("write {title} above its keys")));
            return;
        };
        for name in table.keys().filter(|name| !known.contains(&name.as_str())) {
            let remedy = did_you_mean(name, known.iter().copied());
            mistakes.push(self.mistake(format!("{title} {name}"), "no setting has this name", remedy));
        }
    }

    fn mistake(&self, name: String, what: &str, remedy: impl Into<String>) -> Mistake {
        let origin = Origin::File(self.path.clone());
        Mistake { name, value: None, origin, what: what.into(), remedy: remedy.into() }
    }
}

fn key_names(mode: &Mode) -> Vec<&'static str> {
    mode.keys.iter().map(|key| key.name).collect()
}
