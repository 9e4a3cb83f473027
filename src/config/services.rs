//! Services: `[service.NAME]` tables and `SERVICE_<NAME>_` variables, merged by key.

use std::collections::{BTreeMap, BTreeSet};

use domain::{Limits, ServiceName};
use toml::Value;

use super::keys::service::{
    CLIENTS, CPU, DISK, DOWNLOAD_CONTRACT, DOWNLOAD_URL, FILES, IN_ENVIRONMENT, MAX_RUNS, MEMORY, NETWORK,
    ON_CONTACT_LOST, OPEN_FILES, PROCESSES, RUNS_PER_USER, TERMINATE_URL, UNTRUSTED, UPLOAD_URL, WALLTIME,
};
use super::keys::{Kind, pool};
use super::mistakes::{Mistake, Origin, did_you_mean};
use super::parse;
use super::resolve::{Given, Resolver};
use super::scripts;
use super::settings::{DownloadContract, ServiceSettings, StaticClient};
use super::static_clients::Clients;
use crate::protocol::JobLimits;

/// All services of both layers, and the machines behind them.
pub(super) fn take(resolver: &mut Resolver<'_>) -> (BTreeMap<ServiceName, ServiceSettings>, Vec<StaticClient>) {
    let in_file: BTreeMap<String, toml::Table> =
        resolver.file.services().map(|(name, table)| (name.to_owned(), table.clone())).collect();
    let in_environment = variables(resolver);
    let names: BTreeSet<&String> = in_file.keys().chain(in_environment.keys()).collect();
    let in_pools = named_by_pools(resolver);
    let mut clients = Clients::default();
    let mut services = BTreeMap::new();
    for text in names {
        let Some(name) = name(resolver, text, in_file.contains_key(text)) else { continue };
        let given = Service {
            name: &name,
            table: in_file.get(text),
            has_pool: in_pools.contains(text),
            variables: in_environment.get(text).cloned().unwrap_or_default(),
        };
        services.insert(name.clone(), given.settings(resolver));
        given.clients(resolver, &mut clients);
    }
    (services, clients.into_list())
}

/// The services that pools are for, which nobody has checked.
fn named_by_pools(resolver: &Resolver<'_>) -> BTreeSet<String> {
    let lists = resolver.file.pools().filter_map(|(_, table)| table.get(pool::SERVICES)?.as_array());
    lists.flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}

/// By lower-cased service and key. Names may contain underscores, so a variable is told by how it ends.
fn variables(resolver: &mut Resolver<'_>) -> BTreeMap<String, BTreeMap<&'static str, Given>> {
    let mut services: BTreeMap<String, BTreeMap<&'static str, Given>> = BTreeMap::new();
    let names: Vec<String> = resolver.environment.names().map(str::to_owned).collect();
    for variable in names {
        // SERVICE_NAME, SERVICE_TAGS and the like belong to other programs: ours have two parts after the prefix.
        let Some(rest) = variable.strip_prefix("SERVICE_").filter(|rest| rest.contains('_')) else { continue };
        let rest = rest.to_lowercase();
        let parts = IN_ENVIRONMENT.into_iter().find_map(|key| {
            let name = rest.strip_suffix(key)?.strip_suffix('_')?;
            (!name.is_empty()).then(|| (name.to_owned(), key))
        });
        match (parts, resolver.variable_named(&variable)) {
            (Some((name, key)), Some(given)) => {
                services.entry(name).or_default().insert(key, given);
            }
            (None, _) => resolver.mistake(unknown_variable(&variable)),
            (Some(_), None) => {}
        }
    }
    services
}

fn unknown_variable(variable: &str) -> Mistake {
    // The nearest ending is looked for over as many parts as it has itself.
    let parts: Vec<&str> = variable.split('_').collect();
    let known = IN_ENVIRONMENT.map(|key| {
        let kept = parts.len().saturating_sub(key.split('_').count()).max(1);
        format!("{}_{}", parts[..kept].join("_"), key.to_uppercase())
    });
    Mistake {
        name: variable.to_owned(),
        value: None,
        origin: Origin::Environment(variable.to_owned()),
        what: "no setting of a service has this name".into(),
        remedy: did_you_mean(variable, known.iter().map(String::as_str)),
    }
}

fn name(resolver: &mut Resolver<'_>, text: &str, in_file: bool) -> Option<ServiceName> {
    let prefix = format!("SERVICE_{}_", text.to_uppercase());
    let (name, origin) = if in_file {
        (format!("[service.{text}]"), Origin::File(resolver.file.path.clone()))
    } else {
        (prefix.clone(), Origin::Environment(prefix))
    };
    resolver.parse(&Given { name, text: text.to_owned(), origin }, |text| {
        text.parse().map_err(|error: domain::ids::IdError| format!("rename it: {error}"))
    })
}

/// Percent of one processor: 1,024 of them.
const CPU_MAX: u64 = 102_400;

/// What both layers say about one service.
struct Service<'a> {
    name: &'a ServiceName,
    table: Option<&'a toml::Table>,
    /// Whether a pool is for it, so that it needs no clients of its own.
    has_pool: bool,
    variables: BTreeMap<&'static str, Given>,
}

impl Service<'_> {
    fn settings(&self, resolver: &mut Resolver<'_>) -> ServiceSettings {
        let defaults = Limits::default();
        let mut limit = |key, default: u32| {
            let limit = self.take(resolver, key, Kind::Number, parse::whole(0..=u32::MAX.into()));
            let Some(limit) = limit else {
                self.in_force(resolver, key, default.to_string(), Origin::Default);
                return default;
            };
            // Not above u32::MAX, as was just checked.
            limit as u32
        };
        let runs_per_user = limit(RUNS_PER_USER, defaults.runs_per_user);
        let max_runs = limit(MAX_RUNS, defaults.max_runs);
        let download_contract: Option<DownloadContract> =
            self.take(resolver, DOWNLOAD_CONTRACT, Kind::Text, parse::contract);
        let walltime = self.take(resolver, WALLTIME, Kind::Number, parse::walltime);
        let on_contact_lost = self.take(resolver, ON_CONTACT_LOST, Kind::Text, parse::on_contact_lost);
        let on_contact_lost = on_contact_lost.unwrap_or_default();
        let untrusted = self.take(resolver, UNTRUSTED, Kind::Switch, parse::switch).unwrap_or(true);
        let network = self.take(resolver, NETWORK, Kind::Text, parse::network).unwrap_or_default();
        let job_limits = self.job_limits(resolver);
        let limits = Limits { runs_per_user, max_runs };
        let script = self.table.and_then(|table| scripts::take(resolver, self.name, table));
        ServiceSettings { limits, download_contract, walltime, on_contact_lost, untrusted, network, job_limits, script }
    }

    fn job_limits(&self, resolver: &mut Resolver<'_>) -> JobLimits {
        let cpu_percent = self.take(resolver, CPU, Kind::Number, parse::whole(1..=CPU_MAX));
        let mut limit = |key| self.take(resolver, key, Kind::Number, parse::whole(1..=u64::MAX >> 1));
        JobLimits {
            memory_bytes: limit(MEMORY),
            disk_bytes: limit(DISK),
            files: limit(FILES),
            processes: limit(PROCESSES),
            open_files: limit(OPEN_FILES),
            cpu_percent,
        }
    }

    fn take<T>(
        &self,
        resolver: &mut Resolver<'_>,
        key: &str,
        kind: Kind,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> Option<T> {
        let variable = self.variables.get(key).cloned();
        let given = variable.or_else(|| {
            let value = self.table?.get(key)?;
            resolver.file_text(format!("[service.{}] {key}", self.name), value, kind)
        })?;
        let value = resolver.parse(&given, parse)?;
        self.in_force(resolver, key, given.text, given.origin);
        Some(value)
    }

    fn clients(&self, resolver: &mut Resolver<'_>, clients: &mut Clients) {
        let listed = self.table.and_then(|table| table.get(CLIENTS));
        if let Some(listed) = listed {
            self.clients_of_file(resolver, listed, clients);
        }
        let [upload, download, terminate] =
            [UPLOAD_URL, DOWNLOAD_URL, TERMINATE_URL].map(|key| self.variables.get(key));
        match (upload, download) {
            (Some(upload), Some(download)) => {
                self.in_force(resolver, CLIENTS, upload.text.clone(), upload.origin.clone());
                clients.add_calls(resolver, self.name, upload, download, terminate);
            }
            (None, None) if terminate.is_none() && (self.table.is_some() || self.has_pool) => {}
            (None, None) => self.incomplete(resolver, &[UPLOAD_URL, DOWNLOAD_URL]),
            (None, Some(_)) => self.incomplete(resolver, &[UPLOAD_URL]),
            (Some(_), None) => self.incomplete(resolver, &[DOWNLOAD_URL]),
        }
    }

    fn clients_of_file(&self, resolver: &mut Resolver<'_>, listed: &Value, clients: &mut Clients) {
        let given = |text: String, resolver: &Resolver<'_>| Given {
            name: format!("[service.{}] {CLIENTS}", self.name),
            text,
            origin: Origin::File(resolver.file.path.clone()),
        };
        let texts = listed.as_array().and_then(|list| list.iter().map(Value::as_str).collect::<Option<Vec<_>>>());
        let Some(texts) = texts else {
            let given = given(listed.to_string(), resolver);
            resolver.wrong(&given, "a list of texts is needed", "write clients = [\"http://10.0.0.5:9000\"]");
            return;
        };
        let whole = given(texts.join(", "), resolver);
        self.in_force(resolver, CLIENTS, whole.text, whole.origin);
        for text in texts {
            let given = given(text.to_owned(), resolver);
            clients.add_base(resolver, self.name, &given);
        }
    }

    /// Says which variables are missing beside those that are set.
    fn incomplete(&self, resolver: &mut Resolver<'_>, missing: &[&str]) {
        let variable = |key: &&str| format!("SERVICE_{}_{}", self.name.as_str().to_uppercase(), key.to_uppercase());
        let missing = missing.iter().map(variable).collect::<Vec<_>>().join(" and ");
        let Some(set) = self.variables.values().next().cloned() else { return };
        resolver.wrong(
            &set,
            format!("service {} is incomplete without {missing}", self.name),
            format!("set {missing}, or name its clients as [service.{}] clients in the file", self.name),
        );
    }

    fn in_force(&self, resolver: &mut Resolver<'_>, key: &str, value: String, origin: Origin) {
        resolver.report.add(format!("service.{}.{key}", self.name), value, origin);
    }
}
