//! Pools: `[pool.NAME]` tables, and what they need beside them.
//!
//! - here is what every pool has,
//! - [`offered`] are its types of instances,
//! - [`ec2`] is what pools on EC2 have, and `[provider.ec2]`.

mod ec2;
mod offered;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use domain::pool::{PoolName, PoolSettings};
use domain::{ServiceName, Slots};

use super::keys::Kind;
use super::keys::ec2::EC2;
use super::keys::pool::{
    BOOT_TIMEOUT, COOLDOWN_DOWN, COOLDOWN_UP, IDLE, MAX, MAX_COST_PER_HOUR, MAX_COST_PER_MONTH, MINIMUM_LIFE,
    NO_CAPACITY, ONLY_EC2, PROVIDER, READY_COMMAND, SERVICES, SETUP, SLOTS,
};
use super::mistakes::{Mistake, Origin, did_you_mean};
use super::parse::{self, MAX_SECONDS};
use super::pool_settings::{Join, Pool, PoolProvider, Scaling};
use super::programs;
use super::resolve::{Given, Resolver};
use super::settings::ServiceSettings;
use super::table::Table;

/// The word for processes of the server's machine.
const PROCESS: &str = "process";
/// Of `setup` and `ready_command` together as they stand in the user data of an instance, in bytes. AWS takes 16,384, and
/// the rest of the script needs less than 4,000.
const SCRIPTS_BYTES: usize = 12_000;

/// All pools, the account, and where instances join, which is there if there is a pool.
pub(super) fn take(
    resolver: &mut Resolver<'_>,
    services: &BTreeMap<ServiceName, ServiceSettings>,
    join: Join,
) -> Scaling {
    let client_binaries = programs::take(resolver);
    let tables: Vec<(String, toml::Table)> =
        resolver.file.pools().map(|(name, keys)| (name.to_owned(), keys.clone())).collect();
    let pools = tables.iter().map(|(name, keys)| {
        let table = Table { title: format!("[pool.{name}]"), name: format!("pool.{name}"), keys };
        pool(resolver, services, &table, name)
    });
    let pools: Vec<Option<Pool>> = pools.collect();
    let pools: Vec<Pool> = pools.into_iter().flatten().collect();
    let ec2 = ec2::account(resolver);
    let on_ec2 = pools.iter().find(|pool| matches!(pool.provider, PoolProvider::Ec2(_)));
    if let Some(pool) = on_ec2 {
        needs_of_ec2(resolver, &pool.settings.name, ec2.is_some(), &join);
    }
    let join = (!pools.is_empty()).then_some(join);
    Scaling { pools, join, ec2, client_binaries }
}

/// What has to be said elsewhere for pools on EC2.
fn needs_of_ec2(resolver: &mut Resolver<'_>, pool: &PoolName, has_account: bool, join: &Join) {
    let mut needs = |name: &str, what: &str, remedy: &str| {
        resolver.mistake(Mistake {
            name: name.to_owned(),
            value: None,
            origin: Origin::Default,
            what: what.to_owned(),
            remedy: remedy.to_owned(),
        });
    };
    if !has_account {
        needs(
            "[provider.ec2] region",
            &format!("pool {pool} launches on EC2, and nobody says in which region"),
            "write [provider.ec2] with region = \"eu-west-1\", or whichever it is",
        );
    }
    if join.public_url.is_none() {
        needs(
            "[server] public_url",
            &format!("instances of pool {pool} would not know where this server is"),
            "give the address at which they reach it, such as --public-url https://10.0.0.2:5001",
        );
    }
}

fn pool(
    resolver: &mut Resolver<'_>,
    services: &BTreeMap<ServiceName, ServiceSettings>,
    table: &Table<'_>,
    text: &str,
) -> Option<Pool> {
    let name = name(resolver, table, text)?;
    let mut settings = PoolSettings::new(name, served(resolver, table, services), Vec::new(), Vec::new());
    let provider = provider(resolver, table);
    let slots = table.take(resolver, SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()));
    // Not above Slots::MAX, which is a u32.
    let slots = slots.map(|slots| slots as u32);
    bounds(resolver, table, &mut settings);
    let (setup, ready_command) = scripts(resolver, table);
    settings.types = offered::types(resolver, table, slots, provider);
    let provider = match provider? {
        Makes::Machines => PoolProvider::Ec2(ec2::pool(resolver, table, &mut settings)),
        Makes::Processes => {
            settings.places.extend(ec2::anywhere());
            refuse_ec2(resolver, table);
            PoolProvider::Process
        }
    };
    Some(Pool { settings, provider, setup, ready_command })
}

/// After a mistake another, so that the rest is looked at, too.
fn name(resolver: &mut Resolver<'_>, table: &Table<'_>, text: &str) -> Option<PoolName> {
    let origin = Origin::File(resolver.file.path.clone());
    let given = Given { name: table.title.clone(), text: text.to_owned(), origin };
    let name = resolver.parse(&given, |text| {
        text.parse().map_err(|error: domain::pool::ids::PoolIdError| format!("rename it: {error}"))
    });
    name.or_else(|| "unnamed".parse().ok())
}

/// The services that it is for.
fn served(
    resolver: &mut Resolver<'_>,
    table: &Table<'_>,
    services: &BTreeMap<ServiceName, ServiceSettings>,
) -> BTreeSet<ServiceName> {
    if !table.keys.contains_key(SERVICES) {
        table.mistake(
            resolver,
            SERVICES,
            "a pool without services would never be needed",
            "write services = [\"example\"]",
        );
    }
    let known = |text: &str| {
        let name = services.keys().find(|known| known.as_str() == text);
        name.cloned().ok_or_else(|| match services.len() {
            0 => format!("write [service.{text}] for it"),
            _ => did_you_mean(text, services.keys().map(ServiceName::as_str)),
        })
    };
    table.list(resolver, SERVICES, "[\"example\"]", known).unwrap_or_default().into_iter().collect()
}

/// What a provider makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    Processes,
    /// On EC2.
    Machines,
}

fn provider(resolver: &mut Resolver<'_>, table: &Table<'_>) -> Option<Makes> {
    if !table.keys.contains_key(PROVIDER) {
        let remedy = format!("write provider = \"{EC2}\", or \"{PROCESS}\" for processes of this machine");
        table.mistake(resolver, PROVIDER, "nobody says who makes its instances", remedy);
    }
    table.take(resolver, PROVIDER, Kind::Text, |text| match text {
        EC2 => Ok(Makes::Machines),
        PROCESS => Ok(Makes::Processes),
        _ => Err(did_you_mean(text, [EC2, PROCESS])),
    })
}

/// What only machines have means nothing for a process.
fn refuse_ec2(resolver: &mut Resolver<'_>, table: &Table<'_>) {
    for key in ONLY_EC2.into_iter().filter(|key| table.keys.contains_key(*key)) {
        let remedy = format!("remove it, or write provider = \"{EC2}\"");
        table.mistake(resolver, key, "a process of this machine has none of this", remedy);
    }
}

/// The bounds and times, where they are not the default.
fn bounds(resolver: &mut Resolver<'_>, table: &Table<'_>, settings: &mut PoolSettings) {
    let max = table.number(resolver, MAX, 0..=u32::MAX.into(), settings.max.into());
    // Not above u32::MAX, as was just checked.
    settings.max = max as u32;
    let times = [
        (IDLE, &mut settings.idle, 0),
        (COOLDOWN_UP, &mut settings.cooldown_up, 0),
        (COOLDOWN_DOWN, &mut settings.cooldown_down, 0),
        (MINIMUM_LIFE, &mut settings.minimum_life, 0),
        (BOOT_TIMEOUT, &mut settings.boot_timeout, 1),
        (NO_CAPACITY, &mut settings.no_capacity_for, 0),
    ];
    for (key, time, least) in times {
        *time = Duration::from_secs(table.number(resolver, key, least..=MAX_SECONDS, time.as_secs()));
    }
    settings.max_cost_per_hour = table.take(resolver, MAX_COST_PER_HOUR, Kind::Decimal, parse::money);
    settings.max_cost_per_month = table.take(resolver, MAX_COST_PER_MONTH, Kind::Decimal, parse::money);
}

/// `setup` and `ready_command`. The report has their sizes only: a script may hold a secret.
fn scripts(resolver: &mut Resolver<'_>, table: &Table<'_>) -> (Option<String>, Option<String>) {
    let [setup, ready_command] = [SETUP, READY_COMMAND].map(|key| {
        let given = table.given(resolver, key, Kind::Text).filter(|given| !given.text.trim().is_empty())?;
        table.in_force(resolver, key, format!("set ({} bytes)", given.text.len()), given.origin);
        Some(given.text)
    });
    let ready_as_json = ready_command.as_deref().map(|script| serde_json::Value::from(script).to_string());
    let bytes: usize = [&setup, &ready_as_json].into_iter().flatten().map(|script| in_user_data(script)).sum();
    if bytes > SCRIPTS_BYTES {
        let remedy = "shorten them, or let setup fetch what it needs";
        let what = format!(
            "with {READY_COMMAND} it takes {bytes} bytes of what an instance can be given, and there is room for \
             {SCRIPTS_BYTES}"
        );
        table.mistake(resolver, if setup.is_some() { SETUP } else { READY_COMMAND }, what, remedy);
    }
    (setup, ready_command)
}

/// The size of a text within quotes of the shell, in bytes.
fn in_user_data(script: &str) -> usize {
    const QUOTE: usize = r"'\''".len();
    script.len() + (QUOTE - 1) * script.matches('\'').count()
}
