//! Which policy a command means, and with which settings: a file, a name or a digest.

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use clap::Args;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answers::{Policies, Policy, short};
use crate::cli::api::{Answer, Api};
use crate::cli::remote::asker;

const LIST: &str = "api/v1/policies";
/// As short as the beginning of a digest may be.
const DIGITS: usize = 6;
/// In bytes; what Rust makes is far smaller, what has a Python or JavaScript in it far larger.
const LARGE: usize = 2 << 20;

#[derive(Debug, Args)]
pub(super) struct Which {
    /// A component's file, which is uploaded first, the name of a policy that is there, or the beginning of its digest.
    #[arg(value_name = "FILE.wasm|NAME|DIGEST")]
    what: String,
    #[command(flatten)]
    target: Target,
}

/// For whom, and with which settings.
#[derive(Debug, Args)]
pub(super) struct Target {
    /// quota, routing or scaling, where policies of two kinds have the same name.
    #[arg(long)]
    kind: Option<String>,
    /// Only for this service; without it for every service that has no policy of its own.
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    #[command(flatten)]
    settings: GivenSettings,
}

#[derive(Debug, Args)]
pub(super) struct GivenSettings {
    /// A TOML file with the policy's settings. What is not given has its default, whatever was in force before.
    #[arg(long, value_name = "FILE.toml")]
    settings: Option<PathBuf>,
    /// One setting, in the place of the file's; repeated.
    #[arg(long, value_name = "NAME=VALUE")]
    set: Vec<String>,
}

impl Which {
    /// What is asked of the server.
    pub(super) async fn request(&self, api: &Api) -> anyhow::Result<Value> {
        self.target.request(api, &self.what).await
    }
}

impl Target {
    pub(super) async fn request(&self, api: &Api, what: &str) -> anyhow::Result<Value> {
        let settings = self.settings.read()?;
        let policy = find(api, what, self.kind.as_deref()).await?;
        let Self { service, .. } = self;
        let by = asker();
        Ok(json!({"kind": policy.kind, "digest": policy.digest, "service": service, "settings": settings, "by": by}))
    }
}

impl GivenSettings {
    pub(super) fn read(&self) -> anyhow::Result<Map<String, Value>> {
        let mut settings = match &self.settings {
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
                table(&text).with_context(|| format!("{} is no TOML file of settings", path.display()))?
            }
            None => Map::new(),
        };
        for given in &self.set {
            let (name, value) = given.split_once('=').with_context(|| format!("`{given}` has no equals sign"))?;
            put(&mut settings, name.trim(), value.trim());
        }
        Ok(settings)
    }
}

fn table(text: &str) -> anyhow::Result<Map<String, Value>> {
    Ok(serde_json::from_value(serde_json::to_value(text.parse::<toml::Table>()?)?)?)
}

/// A value as in the file, and where it is none there, a text. In the place of the file's, wherever that stands.
fn put(settings: &mut Map<String, Value>, name: &str, value: &str) {
    let read = table(&format!("value = {value}")).ok().and_then(|mut table| table.remove("value"));
    if let Some((first, rest)) = name.split_once('.')
        && let Some(Value::Object(inner)) = settings.get_mut(first)
    {
        return put(inner, rest, value);
    }
    settings.insert(name.to_owned(), read.unwrap_or_else(|| value.into()));
}

/// All policies of the server with their JSON, and the generation in force.
pub(super) async fn list(api: &Api) -> anyhow::Result<(u64, Vec<Answer<Policy>>)> {
    let Policies { generation, policies } = api.ask::<Policies>(api.request(Method::GET, LIST)).await?.value;
    let typed = |json: Value| Ok(Answer { value: Policy::deserialize(&json)?, json });
    Ok((generation, policies.into_iter().map(typed).collect::<anyhow::Result<_>>()?))
}

/// A component's file. Of one that takes long to compile this is said, so that nobody thinks that nothing happens.
pub(super) fn component(path: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
    if bytes.len() > LARGE {
        eprintln!("compiling {} MB, a language with the policy: that takes some seconds, once", bytes.len() >> 20);
    }
    Ok(bytes)
}

/// Hands in a component's file.
pub(super) async fn upload(api: &Api, path: &Path) -> anyhow::Result<Answer<Policy>> {
    let bytes = component(path)?;
    let request = api.request(Method::POST, LIST).header(CONTENT_TYPE, "application/wasm").body(bytes);
    api.ask(request).await.with_context(|| format!("{} was not taken", path.display()))
}

/// The policy that is meant; a file is handed in.
pub(super) async fn find(api: &Api, what: &str, kind: Option<&str>) -> anyhow::Result<Policy> {
    let path = Path::new(what);
    if path.extension().is_some_and(|extension| extension == "wasm") || path.is_file() {
        return Ok(upload(api, path).await?.value);
    }
    Ok(find_here(api, what, kind).await?.value)
}

/// As [`find`], of those that are there.
pub(super) async fn find_here(api: &Api, what: &str, kind: Option<&str>) -> anyhow::Result<Answer<Policy>> {
    let (_, policies) = list(api).await?;
    let of_kind = |policy: &Answer<Policy>| kind.is_none_or(|kind| policy.value.kind == kind);
    chosen(policies.into_iter().filter(of_kind).collect(), what)
}

/// By the name the one that was handed in goes before the shipped one; of two that were, people have to say which.
fn chosen(policies: Vec<Answer<Policy>>, what: &str) -> anyhow::Result<Answer<Policy>> {
    let named = policies.iter().any(|policy| policy.value.name == what);
    let meant = |Answer { value: policy, .. }: &Answer<Policy>| {
        if named { policy.name == what } else { what.len() >= DIGITS && policy.digest.starts_with(what) }
    };
    let mut meant: Vec<Answer<Policy>> = policies.into_iter().filter(meant).collect();
    if meant.iter().any(|policy| !policy.value.shipped) {
        meant.retain(|policy| !policy.value.shipped);
    }
    match meant.len() {
        0 => bail!("there is no policy `{what}`, and no file of that name; `policy list` lists those that are there"),
        1 => Ok(meant.remove(0)),
        _ => {
            let words = |policy: &Policy| format!("{} {} {}", policy.kind, policy.name, short(&policy.digest));
            let all = meant.iter().map(|policy| words(&policy.value));
            bail!("`{what}` may be {}; give a digest, or --kind", all.collect::<Vec<_>>().join(" or "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(name: &str, digest: &str, shipped: bool) -> Answer<Policy> {
        let value = Policy {
            kind: "quota".to_owned(),
            name: name.to_owned(),
            version: None,
            summary: None,
            digest: digest.to_owned(),
            shipped,
            state: "available".to_owned(),
            services: Vec::new(),
            settings: None,
            setting_docs: Vec::new(),
            faults: 0,
            last_fault: None,
            broken: None,
        };
        Answer { json: Value::Null, value }
    }

    #[test]
    fn a_name_means_what_was_handed_in_and_two_of_it_have_to_be_told_apart() {
        let all = || vec![policy("a", "aaaaaa1", true), policy("a", "bbbbbb1", false), policy("b", "bbbbbb2", false)];
        assert_eq!(chosen(all(), "a").unwrap().value.digest, "bbbbbb1");
        assert_eq!(chosen(all(), "aaaaaa").unwrap().value.digest, "aaaaaa1");
        assert!(chosen(all(), "bbbbbb").unwrap_err().to_string().contains("b bbbbbb2"));
        assert!(chosen(all(), "aa").is_err());
    }

    #[test]
    fn a_single_setting_takes_the_place_of_the_files() {
        let mut settings = table("half_life_hours = 2\n[weights]\n7 = 2.5").unwrap();
        put(&mut settings, "weights.7", "3");
        put(&mut settings, "half_life_hours", "0.5");
        put(&mut settings, "mode", "plain text");
        let expected = json!({"half_life_hours": 0.5, "weights": {"7": 3}, "mode": "plain text"});
        assert_eq!(Value::Object(settings), expected);
    }
}
