//! Pools: `[pool.NAME]` tables, and what they need beside them.
//!
//! - here is what every pool has,
//! - [`offered`] are its types of instances,
//! - [`ec2`] is what pools on EC2 have, and `[provider.ec2]`.

mod ec2;
mod offered;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::pool::{PoolName, PoolSettings};
use domain::{ServiceName, Slots};

use super::keys::Kind;
use super::keys::pool as keys;
use super::mistakes::{Mistake, Origin, did_you_mean};
use super::parse::{self, MAX_SECONDS};
use super::pool_settings::{Join, Pool, PoolProvider, Scaling};
use super::programs;
use super::resolve::{Given, Resolver};
use super::section::Section;

/// The words for who makes instances.
const EC2: &str = "ec2";
const PROCESS: &str = "process";
/// Instances of one pool; beyond that somebody mistyped.
const MOST_INSTANCES: u64 = 10_000;
/// Of `setup` and `ready_command` together as they stand in the user data of an instance, in bytes. AWS takes 16,384, and
/// the rest of the script needs less than 4,000.
const SCRIPTS_BYTES: usize = 12_000;

/// What a provider makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Makes {
    Processes,
    /// On EC2.
    Machines,
}

/// All pools, the account, and where instances join, which is there if there is a pool.
pub(super) fn take(resolver: &mut Resolver<'_>, services: &BTreeSet<&ServiceName>, join: Join) -> Scaling {
    let client_binaries = programs::take(resolver);
    let tables: Vec<_> = resolver.file.pools().map(|(name, table)| (name.to_owned(), table.clone())).collect();
    let mut pools = Vec::new();
    for (name, table) in &tables {
        let section = Section::new(format!("[pool.{name}]"), format!("pool.{name}"), table);
        pools.extend(pool(resolver, services, &section, name));
    }
    let ec2 = ec2::account(resolver);
    if let Some(pool) = pools.iter().find(|pool| matches!(pool.provider, PoolProvider::Ec2(_))) {
        needs_of_ec2(resolver, &pool.settings.name, ec2.is_some(), &join);
    }
    Scaling { join: (!tables.is_empty()).then_some(join), pools, ec2, client_binaries }
}

/// What has to be said elsewhere for pools on EC2.
fn needs_of_ec2(resolver: &mut Resolver<'_>, pool: &PoolName, has_account: bool, join: &Join) {
    let mut needs = |name: &str, what: String, remedy: &str| {
        let (name, remedy) = (name.to_owned(), remedy.to_owned());
        resolver.mistake(Mistake { name, value: None, origin: Origin::Default, what, remedy });
    };
    if !has_account {
        needs(
            "[provider.ec2] region",
            format!("pool {pool} launches on EC2, and nobody says in which region"),
            "write [provider.ec2] with region = \"eu-west-1\", or whichever it is",
        );
    }
    if join.public_url.is_none() {
        needs(
            "[server] public_url",
            format!("instances of pool {pool} would not know where this server is"),
            "give the address at which they reach it, such as --public-url https://10.0.0.2:5001",
        );
    }
}

fn pool(
    resolver: &mut Resolver<'_>,
    services: &BTreeSet<&ServiceName>,
    section: &Section<'_>,
    name: &str,
) -> Option<Pool> {
    section.know(resolver, &keys::IN_FILE);
    let name = pool_name(resolver, name)?;
    let mut settings = PoolSettings::new(name, served(resolver, section, services), Vec::new(), Vec::new());
    let provider = provider(resolver, section);
    let slots = section.take(resolver, keys::SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()));
    // Not above Slots::MAX, which is a u32.
    let slots = slots.map(|slots| slots as u32);
    bounds(resolver, section, &mut settings);
    let (setup, ready_command) = scripts(resolver, section);
    settings.types = offered::types(resolver, section, slots, provider);
    let provider = match provider? {
        Makes::Machines => PoolProvider::Ec2(ec2::pool(resolver, section, &mut settings)),
        Makes::Processes => {
            settings.places.extend(ec2::anywhere());
            for key in keys::OF_EC2.into_iter().filter(|key| section.has(key)) {
                let remedy = format!("remove it, or write provider = \"{EC2}\"");
                section.wrong(resolver, key, "a process of this machine has no use for it", remedy);
            }
            PoolProvider::Process
        }
    };
    Some(Pool { settings, provider, setup, ready_command })
}

/// After a mistake another, so that the rest is looked at, too.
fn pool_name(resolver: &mut Resolver<'_>, name: &str) -> Option<PoolName> {
    let origin = Origin::File(resolver.file.path.clone());
    let given = Given { name: format!("[pool.{name}]"), text: name.to_owned(), origin };
    let name = resolver.parse(&given, |text| {
        text.parse().map_err(|error: domain::pool::ids::PoolIdError| format!("rename it: {error}"))
    });
    name.or_else(|| "unnamed".parse().ok())
}

/// The services that it is for.
fn served(
    resolver: &mut Resolver<'_>,
    section: &Section<'_>,
    services: &BTreeSet<&ServiceName>,
) -> BTreeSet<ServiceName> {
    if !section.has(keys::SERVICES) {
        let remedy = "write services = [\"example\"]";
        section.wrong(resolver, keys::SERVICES, "a pool without services would never be needed", remedy);
    }
    let known = |text: &str| {
        let name = services.iter().find(|known| known.as_str() == text);
        name.map(|name| (*name).clone()).ok_or_else(|| match services.len() {
            0 => format!("write [service.{text}] for it"),
            _ => did_you_mean(text, services.iter().map(|name| name.as_str())),
        })
    };
    section.list(resolver, keys::SERVICES, "\"example\"", known).into_iter().collect()
}

fn provider(resolver: &mut Resolver<'_>, section: &Section<'_>) -> Option<Makes> {
    if !section.has(keys::PROVIDER) {
        let remedy = format!("write provider = \"{EC2}\", or \"{PROCESS}\" for processes of this machine");
        section.wrong(resolver, keys::PROVIDER, "nobody says who makes its instances", remedy);
    }
    section.take(resolver, keys::PROVIDER, Kind::Text, |text| match text {
        EC2 => Ok(Makes::Machines),
        PROCESS => Ok(Makes::Processes),
        _ => Err(did_you_mean(text, [EC2, PROCESS])),
    })
}

/// The bounds and times, where they are not the default.
fn bounds(resolver: &mut Resolver<'_>, section: &Section<'_>, settings: &mut PoolSettings) {
    let max = parse::whole(0..=MOST_INSTANCES);
    // Not above MOST_INSTANCES.
    settings.max = section.take_or(resolver, keys::MAX, Kind::Number, max, settings.max.into()) as u32;
    let times = [
        (keys::IDLE, &mut settings.idle, 0),
        (keys::COOLDOWN_UP, &mut settings.cooldown_up, 0),
        (keys::COOLDOWN_DOWN, &mut settings.cooldown_down, 0),
        (keys::MINIMUM_LIFE, &mut settings.minimum_life, 0),
        (keys::BOOT_TIMEOUT, &mut settings.boot_timeout, 1),
        (keys::NO_CAPACITY, &mut settings.no_capacity_for, 0),
    ];
    for (key, time, least) in times {
        let seconds = parse::whole(least..=MAX_SECONDS);
        *time = Duration::from_secs(section.take_or(resolver, key, Kind::Number, seconds, time.as_secs()));
    }
    settings.max_cost_per_hour = section.take(resolver, keys::COST_PER_HOUR, Kind::Decimal, parse::money);
    settings.max_cost_per_month = section.take(resolver, keys::COST_PER_MONTH, Kind::Decimal, parse::money);
}

/// `setup` and `ready_command`. The report has their sizes only: a script may hold a secret.
fn scripts(resolver: &mut Resolver<'_>, section: &Section<'_>) -> (Option<String>, Option<String>) {
    let [setup, ready_command] = [keys::SETUP, keys::READY].map(|key| {
        let given = section.read(resolver, key, Kind::Text).filter(|given| !given.text.trim().is_empty())?;
        section.in_force(resolver, key, format!("set ({} bytes)", given.text.len()), given.origin);
        Some(given.text)
    });
    let ready_as_json = ready_command.as_deref().map(|script| serde_json::Value::from(script).to_string());
    let bytes: usize = [&setup, &ready_as_json].into_iter().flatten().map(|script| in_user_data(script)).sum();
    if bytes > SCRIPTS_BYTES {
        let key = if setup.is_some() { keys::SETUP } else { keys::READY };
        let what = format!(
            "{} and {} take {bytes} bytes of what an instance can be given, and there is room for {SCRIPTS_BYTES}",
            keys::SETUP,
            keys::READY
        );
        section.wrong(resolver, key, what, "let setup fetch what it needs, or put it into the image");
    }
    (setup, ready_command)
}

/// The size of a text within quotes of the shell, in bytes.
fn in_user_data(script: &str) -> usize {
    const QUOTE: usize = r"'\''".len();
    script.len() + (QUOTE - 1) * script.matches('\'').count()
}
