//! The environment as it was when the process started.

use std::collections::BTreeMap;
use std::ffi::OsString;

/// Variables by name. An empty one counts as not set, as compose files write it.
#[derive(Debug, Clone, Default)]
pub struct Environment(BTreeMap<String, OsString>);

impl Environment {
    /// This process's own. Variables whose names are not UTF-8 cannot be ours and are left out.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// The value, or `None` where the variable is not set or empty. Bytes that are not UTF-8 are replaced by U+FFFD,
    /// which no setting accepts.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.to_string_lossy().into_owned())
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Environment {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self(variables.filter(|(_, value): &(_, OsString)| !value.is_empty()).collect())
    }
}
