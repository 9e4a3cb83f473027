//! What is in force and where it came from, for `config`.

use std::fmt;

use serde_json::json;

use super::keys::Mode;
use super::mistakes::Origin;

/// Every setting with its value and origin, in the order of the tables. Holds no secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report(pub Vec<Line>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// `server.listen`, `service.example.runs_per_user`.
    pub name: String,
    pub value: String,
    pub origin: Origin,
}

impl Report {
    pub(super) fn add(&mut self, name: String, value: String, origin: Origin) {
        self.0.push(Line { name, value, origin });
    }

    /// In the order of the mode's own settings; services follow.
    pub(super) fn sort(&mut self, mode: &Mode) {
        let place = |line: &Line| {
            let name = line.name.strip_prefix(mode.table).and_then(|rest| rest.strip_prefix('.'));
            mode.keys.iter().position(|key| Some(key.name) == name).unwrap_or(mode.keys.len())
        };
        self.0.sort_by_key(place);
    }

    /// An array of objects with `name`, `value` and `origin`.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let line = |line: &Line| json!({ "name": line.name, "value": line.value, "origin": line.origin.to_string() });
        self.0.iter().map(line).collect()
    }
}

/// As a table of three columns.
impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = |of: fn(&Line) -> &str| self.0.iter().map(|line| of(line).chars().count()).max().unwrap_or(0);
        let (names, values) = (width(|line| &line.name), width(|line| &line.value));
        for line in &self.0 {
            writeln!(f, "{:names$}  {:values$}  {}", line.name, line.value, line.origin)?;
        }
        Ok(())
    }
}
