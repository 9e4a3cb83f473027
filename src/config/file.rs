//! The configuration file: TOML with the tables `[server]`, `[client]` and `[service.NAME]`.

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
        let services = self.root.get("service").and_then(Value::as_table).into_iter().flatten();
        services.filter_map(|(name, value)| Some((name.as_str(), value.as_table()?)))
    }

    /// The `[pool.NAME]` tables with their names, which nobody has checked.
    pub(super) fn pools(&self) -> impl Iterator<Item = (&str, &Table)> {
        let pools = self.root.get("pool").and_then(Value::as_table).into_iter().flatten();
        pools.filter_map(|(name, value)| Some((name.as_str(), value.as_table()?)))
    }

    /// `[provider.NAME]`.
    pub(super) fn provider(&self, name: &str) -> Option<&Table> {
        self.root.get("provider")?.get(name)?.as_table()
    }

    fn report_unknown(&self, mistakes: &mut Vec<Mistake>) {
        for (name, value) in &self.root {
            match name.as_str() {
                "server" => self.check_table("[server]", value, &key_names(keys::SERVER), mistakes),
                "client" => self.check_table("[client]", value, &key_names(keys::CLIENT), mistakes),
                "service" => self.check_services(value, mistakes),
                "pool" => self.check_names("pool", value, None, mistakes),
                "provider" => self.check_names("provider", value, Some(&["ec2"]), mistakes),
                _ => {
                    let remedy = did_you_mean(name, ["server", "client", "service", "pool", "provider"]);
                    mistakes.push(self.mistake(name.clone(), "nothing of this name is known", remedy));
                }
            }
        }
    }

    fn check_services(&self, value: &Value, mistakes: &mut Vec<Mistake>) {
        let Some(services) = value.as_table() else {
            mistakes.push(self.mistake("service".into(), "it is no table", "write [service.NAME] above its keys"));
            return;
        };
        for (name, value) in services {
            self.check_table(&format!("[service.{name}]"), value, &keys::service::IN_FILE, mistakes);
        }
    }

    /// Tables below one name; what is in them is checked by whoever takes it.
    fn check_names(&self, name: &str, value: &Value, known: Option<&[&str]>, mistakes: &mut Vec<Mistake>) {
        let Some(tables) = value.as_table() else {
            let remedy = format!("write [{name}.NAME] above its keys");
            mistakes.push(self.mistake(name.to_owned(), "it is no table", remedy));
            return;
        };
        for (one, value) in tables {
            let title = format!("[{name}.{one}]");
            if !value.is_table() {
                let remedy = format!("write {title} above its keys");
                mistakes.push(self.mistake(title, "it is no table", remedy));
            } else if let Some(known) = known.filter(|known| !known.contains(&one.as_str())) {
                let remedy = did_you_mean(one, known.iter().copied());
                mistakes.push(self.mistake(title, "nothing of this name is known", remedy));
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
