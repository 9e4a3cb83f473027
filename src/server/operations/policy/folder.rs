//! The files of a folder of policies, and what they say.

use std::collections::BTreeMap;
use std::path::Path;

use domain::ServiceName;
use domain::policy::{PolicyKind, PolicyName, Settings};
use store::policies::Scope;
use toml::{Table, Value};

use super::import::Mistake;
use super::wanted;

/// Which policies decide.
pub const ACTIVE: &str = "active.toml";

/// The table of services with policies of their own.
const SERVICE: &str = "service";

/// What `active.toml` says.
#[derive(Debug, Default, PartialEq)]
pub struct Active {
    pub chosen: BTreeMap<Scope, PolicyName>,
}

/// Whether a file of that name is part of what the folder asks for; others, as MANIFEST.toml, are not.
#[must_use]
pub fn is_ours(name: &str) -> bool {
    name == ACTIVE || stem(name).is_some()
}

#[must_use]
pub fn is_component(name: &str) -> bool {
    Path::new(name).extension().is_some_and(|extension| extension == "wasm")
}

/// Kind and name of a policy's file.
fn stem(file: &str) -> Option<(PolicyKind, PolicyName)> {
    let stem = file.strip_suffix(".wasm").or_else(|| file.strip_suffix(".toml"))?;
    let (kind, name) = stem.split_once('-')?;
    Some((kind.parse().ok()?, name.parse().ok()?))
}

impl Active {
    pub fn parse(text: &str) -> Result<Self, Mistake> {
        let wrong = |why: String| Mistake::new(ACTIVE, &why);
        let table: Table = text.parse().map_err(|error: toml::de::Error| wrong(one_line(&error)))?;
        let mut active = Self::default();
        for (key, value) in &table {
            match (key.as_str(), value) {
                (SERVICE, Value::Table(services)) => {
                    for (service, choices) in services {
                        let name: ServiceName =
                            service.parse().map_err(|error| wrong(format!("[service.{service}]: {error}")))?;
                        let Value::Table(choices) = choices else {
                            return Err(wrong(format!("service.{service} is no table; write [service.{service}]")));
                        };
                        for (kind, policy) in choices {
                            active.choose(kind, Some(name.clone()), policy).map_err(wrong)?;
                        }
                    }
                }
                (SERVICE, _) => return Err(wrong("service is no table; write [service.NAME]".to_owned())),
                (kind, policy) => active.choose(kind, None, policy).map_err(wrong)?,
            }
        }
        Ok(active)
    }

    fn choose(&mut self, kind: &str, service: Option<ServiceName>, policy: &Value) -> Result<(), String> {
        let kind: PolicyKind = kind.parse().map_err(|error| format!("{error}, and no [service.NAME]"))?;
        let Value::String(name) = policy else { return Err(format!("{kind} is {policy}; write a name in quotes")) };
        let name = name.parse().map_err(|error| format!("{kind} = \"{name}\": {error}"))?;
        self.chosen.insert(Scope { kind, service }, name);
        Ok(())
    }

    /// Whether the component in that file shall decide.
    #[must_use]
    pub fn names(&self, file: &str) -> bool {
        let meant = stem(file);
        self.chosen.iter().any(|(scope, name)| meant.as_ref() == Some(&(scope.kind, name.clone())))
    }
}

/// A policy's settings as its file has them.
///
/// # Errors
/// It is no TOML, or has a value that no setting can have.
pub fn settings(text: &str) -> Result<Settings, String> {
    let table: Table = text.parse().map_err(|error: toml::de::Error| one_line(&error))?;
    let json = serde_json::to_value(table).map_err(|error| error.to_string())?;
    wanted::settings(json.as_object().unwrap_or(&serde_json::Map::new())).map_err(|error| error.to_string())
}

/// What is wrong, without the picture of the line.
fn one_line(error: &toml::de::Error) -> String {
    format!("it is no TOML: {}", error.message())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn active_says_what_decides_for_all_and_for_one_service() {
        let text = "quota = \"round-robin\"\n[service.example]\nquota = \"nights\"\nrouting = \"best-fit\"\n";
        let active = Active::parse(text).unwrap();
        let told: Vec<String> = active.chosen.iter().map(|(scope, name)| format!("{scope}: {name}")).collect();
        assert_eq!(told, ["quota: round-robin", "quota of example: nights", "routing of example: best-fit"]);
        assert!(active.names("quota-nights.wasm") && !active.names("routing-nights.wasm"));
    }

    #[test]
    fn a_slip_in_active_is_told_with_what_is_wrong() {
        for (text, why) in [
            ("quotas = \"x\"", "quotas"),
            ("quota = 1", "name in quotes"),
            ("quota = \"two words\"", "two words"),
            ("service = 1", "[service.NAME]"),
            ("[service.example]\nspeed = \"x\"", "speed"),
            ("quota = ", "no TOML"),
        ] {
            let told = Active::parse(text).unwrap_err().to_string();
            assert!(told.starts_with("active.toml: ") && told.contains(why), "{text}: {told}");
        }
    }

    #[test]
    fn only_policies_and_what_is_active_are_ours() {
        let ours = ["active.toml", "quota-a.wasm", "routing-best-fit.toml"];
        assert!(ours.into_iter().all(is_ours));
        assert!(
            !["MANIFEST.toml", "quota.wasm", "speed-a.wasm", ".quota-a.wasm.part", "README"].into_iter().any(is_ours)
        );
    }
}
