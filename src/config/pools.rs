//! Pools: `[pool.NAME]` and `[provider.ec2]` of the file, and where their instances join.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use domain::pool::{Lifecycle, Money, Offer, Place, PoolName, PoolSettings, Price, TypeSettings};
use domain::{Labels, ServiceName, Slots};
use provider_ec2::{Architecture, LaunchTemplate, TemplateName};
use reqwest::Url;

use super::keys::Kind;
use super::keys::pool::{self as keys, of_type, template};
use super::mistakes::did_you_mean;
use super::parse::{self, MAX_SECONDS};
use super::pool_settings::{Ec2Account, Ec2Pool, Join, Pool, PoolProvider, Scaling};
use super::resolve::{Given, Resolver};
use super::section::Section;

/// Instances of one pool; beyond that somebody mistyped.
const MOST_INSTANCES: u64 = 10_000;
/// Of `setup` and `ready_command`, in bytes: AWS takes 16,384 with the rest of the script (see `provider_ec2`).
const LONGEST_SCRIPTS: usize = 12_000;
/// The one place where the provider chooses itself.
const ANYWHERE: &str = "any";
const EXAMPLE_TYPE: &str = "{ type = \"c7i.large\", price_per_hour = 0.09 }";

/// All of it.
pub(super) fn take(resolver: &mut Resolver<'_>, services: &BTreeSet<&ServiceName>) -> Scaling {
    let client_binaries = client_binaries(resolver);
    let ec2 = ec2(resolver);
    let tables: Vec<_> = resolver.file.pools().map(|(name, table)| (name.to_owned(), table.clone())).collect();
    let mut pools = Vec::new();
    for (text, table) in &tables {
        let section = Section::new(format!("[pool.{text}]"), format!("pool.{text}"), table);
        let given =
            Given { name: format!("[pool.{text}]"), text: text.clone(), origin: section.given(resolver, "").origin };
        let name: Option<PoolName> = resolver.parse(&given, |text| {
            text.parse().map_err(|error: domain::pool::ids::PoolIdError| format!("rename it: {error}"))
        });
        pools.extend(name.and_then(|name| pool(resolver, &section, name, services)));
    }
    let public_url = resolver.take("public_url", public_url);
    let machines = pools.iter().find(|pool| matches!(pool.provider, PoolProvider::Ec2(_)));
    if let Some(pool) = machines {
        need(resolver, &pool.settings.name, public_url.is_none(), ec2.is_none());
    }
    let join = join(resolver, public_url);
    Scaling { join: (!tables.is_empty()).then_some(join), pools, ec2, client_binaries }
}

/// What a pool of machines cannot be without.
fn need(resolver: &mut Resolver<'_>, pool: &PoolName, without_url: bool, without_account: bool) {
    let name = format!("[pool.{pool}] {}", keys::PROVIDER);
    let given = |resolver: &Resolver<'_>| Given {
        name: name.clone(),
        text: "ec2".to_owned(),
        origin: super::Origin::File(resolver.file.path.clone()),
    };
    if without_url {
        let given = given(resolver);
        resolver.wrong(
            &given,
            "machines could not reach this server",
            "give [server] public_url, the https address of this machine in their network, such as https://10.0.0.2:5001",
        );
    }
    if without_account {
        let given = given(resolver);
        resolver.wrong(&given, "no region is known", "write [provider.ec2] with region = \"eu-west-1\" or another");
    }
}

fn pool(
    resolver: &mut Resolver<'_>,
    section: &Section<'_>,
    name: PoolName,
    known: &BTreeSet<&ServiceName>,
) -> Option<Pool> {
    section.know(resolver, &keys::IN_FILE);
    let services = services(resolver, section, known);
    let provider: Option<bool> = match section.has(keys::PROVIDER) {
        true => section.take(resolver, keys::PROVIDER, Kind::Text, |text| match text {
            "ec2" => Ok(true),
            "process" => Ok(false),
            _ => Err("give ec2 or process".to_owned()),
        }),
        false => {
            section.missing(resolver, keys::PROVIDER, "give provider = \"ec2\" or \"process\"");
            None
        }
    };
    let slots = section.take_or(resolver, keys::SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()), 1);
    // Not above Slots::MAX, which is a u32.
    let slots = slots as u32;
    let is_ec2 = provider?;
    let types = if is_ec2 { types(resolver, section, slots) } else { vec![process_type(slots)?] };
    let (places, provider) = if is_ec2 {
        (places(resolver, section), PoolProvider::Ec2(ec2_pool(resolver, section)))
    } else {
        for key in keys::OF_EC2.into_iter().filter(|key| section.has(key)) {
            let given = section.given(resolver, key);
            resolver.wrong(&given, "a pool of processes has no use for it", "take it out, or give provider = \"ec2\"");
        }
        (vec![anywhere()?], PoolProvider::Process)
    };
    let mut settings = PoolSettings::new(name, services, types, places);
    bounds(resolver, section, &mut settings);
    if is_ec2 {
        settings.lifecycle = section.take_or(resolver, keys::LIFECYCLE, Kind::Text, lifecycle, settings.lifecycle);
    }
    let (setup, ready_command) = (section.text(resolver, keys::SETUP), section.text(resolver, keys::READY));
    let length = [&setup, &ready_command].into_iter().flatten().map(String::len).sum::<usize>();
    if length > LONGEST_SCRIPTS {
        let given = Given { text: format!("{length} bytes"), ..section.given(resolver, keys::SETUP) };
        resolver.wrong(
            &given,
            format!("setup and ready_command have more than {LONGEST_SCRIPTS} bytes together"),
            "let setup fetch what it needs, or put it into the image",
        );
    }
    Some(Pool { settings, provider, setup, ready_command })
}

fn services(
    resolver: &mut Resolver<'_>,
    section: &Section<'_>,
    known: &BTreeSet<&ServiceName>,
) -> BTreeSet<ServiceName> {
    if !section.has(keys::SERVICES) {
        section.missing(
            resolver,
            keys::SERVICES,
            "give the services that its instances run, as services = [\"example\"]",
        );
    }
    let services = section.list(resolver, keys::SERVICES, "\"example\"", |text| {
        let name = text.parse::<ServiceName>().ok().filter(|name| known.contains(name));
        name.ok_or_else(|| {
            format!("no service has this name; {}", did_you_mean(text, known.iter().map(|name| name.as_str())))
        })
    });
    services.into_iter().collect()
}

fn bounds(resolver: &mut Resolver<'_>, section: &Section<'_>, settings: &mut PoolSettings) {
    let max = section.take_or(resolver, keys::MAX, Kind::Number, parse::whole(0..=MOST_INSTANCES), settings.max.into());
    // Not above MOST_INSTANCES.
    settings.max = max as u32;
    let times: [(&str, &mut Duration); 6] = [
        (keys::IDLE, &mut settings.idle),
        (keys::COOLDOWN_UP, &mut settings.cooldown_up),
        (keys::COOLDOWN_DOWN, &mut settings.cooldown_down),
        (keys::MINIMUM_LIFE, &mut settings.minimum_life),
        (keys::BOOT_TIMEOUT, &mut settings.boot_timeout),
        (keys::NO_CAPACITY, &mut settings.no_capacity_for),
    ];
    for (key, time) in times {
        let least = u64::from(key == keys::BOOT_TIMEOUT);
        let seconds = parse::whole(least..=MAX_SECONDS);
        *time = Duration::from_secs(section.take_or(resolver, key, Kind::Number, seconds, time.as_secs()));
    }
    settings.max_cost_per_hour = section.take(resolver, keys::COST_PER_HOUR, Kind::Decimal, money);
    settings.max_cost_per_month = section.take(resolver, keys::COST_PER_MONTH, Kind::Decimal, money);
}

fn types(resolver: &mut Resolver<'_>, section: &Section<'_>, slots: u32) -> Vec<TypeSettings> {
    if !section.has(keys::TYPES) {
        section.missing(resolver, keys::TYPES, format!("write {} = [{EXAMPLE_TYPE}]", keys::TYPES));
    }
    let mut types: Vec<TypeSettings> = Vec::new();
    for table in section.tables(resolver, keys::TYPES, EXAMPLE_TYPE) {
        let Some(one) = instance_type(resolver, &table, slots) else { continue };
        if types.iter().any(|known| known.name == one.name) {
            let given = table.given(resolver, of_type::TYPE);
            resolver.wrong(&given, "the type is given twice", "take one of them out");
            continue;
        }
        types.push(one);
    }
    types
}

fn instance_type(resolver: &mut Resolver<'_>, table: &Section<'_>, slots: u32) -> Option<TypeSettings> {
    table.know(resolver, &of_type::ALL);
    for key in [of_type::TYPE, of_type::PRICE].into_iter().filter(|key| !table.has(key)) {
        table.missing(resolver, key, format!("write it as {EXAMPLE_TYPE}"));
    }
    let name = table.take(resolver, of_type::TYPE, Kind::Text, |text| {
        text.parse().map_err(|error: domain::pool::ids::PoolIdError| error.to_string())
    });
    let price: Option<Price> = table.take(resolver, of_type::PRICE, Kind::Decimal, price);
    let spot_price = table.take(resolver, of_type::SPOT_PRICE, Kind::Decimal, self::price);
    let own = table.take(resolver, of_type::SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()));
    let labels: Option<Labels> = table.take(resolver, of_type::LABELS, Kind::Labels, parse::labels);
    // Not above Slots::MAX, which is a u32.
    let declared = Offer { slots: own.map_or(slots, |own| own as u32), labels: labels.unwrap_or_default() };
    let price = price?;
    Some(TypeSettings { name: name?, declared, price, spot_price: spot_price.unwrap_or(price) })
}

/// What costs nothing and is always to be had.
fn process_type(slots: u32) -> Option<TypeSettings> {
    let (name, free) = ("process".parse().ok()?, Price::try_from(0.0).ok()?);
    let declared = Offer { slots, labels: Labels::default() };
    Some(TypeSettings { name, declared, price: free, spot_price: free })
}

fn anywhere() -> Option<Place> {
    ANYWHERE.parse().ok()
}

fn places(resolver: &mut Resolver<'_>, section: &Section<'_>) -> Vec<Place> {
    if section.has(keys::ZONES) && section.has(keys::SUBNETS) {
        let given = section.given(resolver, keys::ZONES);
        resolver.wrong(&given, "a subnet has its zone already", "give zones or subnets, not both");
    }
    let place = |text: &str| text.parse::<Place>().map_err(|error| error.to_string());
    let mut places = section.list(resolver, keys::ZONES, "\"eu-west-1a\"", place);
    places.extend(section.list(resolver, keys::SUBNETS, "\"subnet-0123456789abcdef0\"", |text| {
        if !text.starts_with("subnet-") {
            return Err("give ids, such as subnet-0123456789abcdef0".to_owned());
        }
        place(text)
    }));
    if !section.has(keys::ZONES) && !section.has(keys::SUBNETS) {
        places.extend(anywhere());
    }
    places
}

fn ec2_pool(resolver: &mut Resolver<'_>, section: &Section<'_>) -> Ec2Pool {
    let text = |text: &str| Ok::<_, String>(text.to_owned());
    let template = section.table(resolver, keys::TEMPLATE, "{ name = \"burst\" }");
    let template = template.and_then(|table| launch_template(resolver, &table));
    let pool = Ec2Pool {
        image: section.text(resolver, keys::IMAGE),
        security_groups: section.list(resolver, keys::SECURITY_GROUPS, "\"sg-0123456789abcdef0\"", text),
        key_name: section.text(resolver, keys::KEY_NAME),
        profile: section.text(resolver, keys::PROFILE),
        template,
    };
    if pool.image.is_none() && pool.template.is_none() {
        section.missing(
            resolver,
            keys::IMAGE,
            "give an AMI, as image = \"ami-0123456789abcdef0\", or a launch_template",
        );
    }
    pool
}

fn launch_template(resolver: &mut Resolver<'_>, table: &Section<'_>) -> Option<LaunchTemplate> {
    table.know(resolver, &template::ALL);
    let (id, name) = (table.text(resolver, template::ID), table.text(resolver, template::NAME));
    let version = table.text(resolver, template::VERSION);
    let name = match (id, name) {
        (Some(id), None) => TemplateName::Id(id),
        (None, Some(name)) => TemplateName::Name(name),
        (None, None) => {
            table.missing(resolver, template::NAME, "give its name or its id");
            return None;
        }
        (Some(_), Some(_)) => {
            let given = table.given(resolver, template::NAME);
            resolver.wrong(&given, "it is named twice", "give its name or its id, not both");
            return None;
        }
    };
    Some(LaunchTemplate { name, version })
}

fn ec2(resolver: &mut Resolver<'_>) -> Option<Ec2Account> {
    let table = resolver.file.provider("ec2")?.clone();
    let section = Section::new("[provider.ec2]".to_owned(), "provider.ec2".to_owned(), &table);
    section.know(resolver, &keys::ec2::ALL);
    if !section.has(keys::ec2::REGION) {
        section.missing(resolver, keys::ec2::REGION, "give one, such as region = \"eu-west-1\"");
    }
    let endpoint = section.take(resolver, keys::ec2::ENDPOINT, Kind::Text, |text| {
        Url::parse(text)
            .map(|_| text.to_owned())
            .map_err(|_| "give an address such as http://127.0.0.1:5555".to_owned())
    });
    Some(Ec2Account { region: section.text(resolver, keys::ec2::REGION)?, endpoint })
}

fn join(resolver: &mut Resolver<'_>, public_url: Option<Url>) -> Join {
    let computed = public_url.as_ref().map_or_else(|| Join::default().listen, listen_for);
    let listen = resolver.take_or("join_listen", parse::address, &computed.to_string()).unwrap_or(computed);
    let public_url = public_url.map(|url| url.as_str().trim_end_matches('/').to_owned());
    Join { listen, public_url }
}

/// On the port that instances are told; everywhere, unless they are told this machine's own address for itself.
fn listen_for(url: &Url) -> SocketAddr {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let is_loopback = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    let address = if is_loopback { Ipv4Addr::LOCALHOST } else { Ipv4Addr::UNSPECIFIED };
    SocketAddr::from((address, url.port_or_known_default().unwrap_or_default()))
}

fn public_url(text: &str) -> Result<Url, String> {
    let wrong =
        || "give the https address of this machine as instances reach it, such as https://10.0.0.2:5001".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
    if url.scheme() == "https" && url.has_host() && is_plain { Ok(url) } else { Err(wrong()) }
}

fn client_binaries(resolver: &mut Resolver<'_>) -> BTreeMap<Architecture, PathBuf> {
    let binaries = resolver.take("client_binary", |text| {
        text.split(',')
            .map(|pair| {
                let (name, path) = pair.split_once('=').ok_or("give architecture and path, as aarch64=/opt/program")?;
                let architecture = match name.trim() {
                    "x86_64" => Architecture::X86_64,
                    "aarch64" => Architecture::Aarch64,
                    _ => return Err("give x86_64 or aarch64 as the architecture".to_owned()),
                };
                let path = parse::path(path.trim())?;
                check_program(&path, &architecture)?;
                Ok((architecture, path))
            })
            .collect()
    });
    binaries.unwrap_or_default()
}

/// A program of Linux says in bytes 18 and 19 what it is for (ELF-64 object file format, `e_machine`: 62 is x86-64, 183 is
/// AArch64).
fn check_program(path: &std::path::Path, architecture: &Architecture) -> Result<(), String> {
    let mut head = [0; 20];
    let read = std::fs::File::open(path).and_then(|mut file| std::io::Read::read_exact(&mut file, &mut head));
    read.map_err(|error| format!("give a program that is there; {}: {error}", path.display()))?;
    let machine = u16::from_le_bytes([head[18], head[19]]);
    let is_for = match (&head[..4], machine) {
        (b"\x7fELF", 62) => Some(Architecture::X86_64),
        (b"\x7fELF", 183) => Some(Architecture::Aarch64),
        _ => None,
    };
    match is_for {
        Some(is_for) if is_for == *architecture => Ok(()),
        Some(is_for) => Err(format!("give a program for {architecture}; {} is for {is_for}", path.display())),
        None => Err(format!("give a program of Linux; {} is none for x86_64 or aarch64", path.display())),
    }
}

fn lifecycle(text: &str) -> Result<Lifecycle, String> {
    match text {
        "spot" => Ok(Lifecycle::Spot),
        "on-demand" => Ok(Lifecycle::OnDemand),
        _ => Err("give spot or on-demand".to_owned()),
    }
}

fn price(text: &str) -> Result<Price, String> {
    let number: f64 = text.parse().map_err(|_| "give a number, such as 0.09".to_owned())?;
    Price::try_from(number).map_err(|error| error.to_string())
}

fn money(text: &str) -> Result<Money, String> {
    let number: f64 = text.parse().map_err(|_| "give a number, such as 5.0".to_owned())?;
    Money::try_from(number).map_err(|error| error.to_string())
}
