//! What only pools on EC2 have, and the account they are launched in.

use domain::pool::{Place, PoolSettings};
use provider_ec2::{LaunchTemplate, TemplateName};
use toml::Value;

use crate::config::keys::Kind;
use crate::config::keys::ec2::{EC2, ENDPOINT, REGION};
use crate::config::keys::pool::template::{ID, IN_FILE, NAME, VERSION};
use crate::config::keys::pool::{IMAGE, KEY_NAME, LIFECYCLE, PROFILE, SECURITY_GROUPS, SUBNETS, TEMPLATE, ZONES};
use crate::config::parse;
use crate::config::pool_settings::{ANYWHERE, Ec2Account, Ec2Pool};
use crate::config::resolve::Resolver;
use crate::config::table::Table;

/// The beginnings of AWS's ids, by which a name in their place is noticed.
const IMAGE_ID: &str = "ami-";
const GROUP_ID: &str = "sg-";
const TEMPLATE_ID: &str = "lt-";
const SUBNET_ID: &str = "subnet-";

/// `[provider.ec2]`, if it is there.
pub(super) fn account(resolver: &mut Resolver<'_>) -> Option<Ec2Account> {
    let keys = resolver.file.provider(EC2)?.clone();
    let table = Table { title: format!("[provider.{EC2}]"), name: format!("provider.{EC2}"), keys: &keys };
    if !keys.contains_key(REGION) {
        table.mistake(
            resolver,
            REGION,
            "nobody says where to launch",
            "write region = \"eu-west-1\", or whichever it is",
        );
    }
    let region = table.text(resolver, REGION);
    let endpoint = table.take(resolver, ENDPOINT, Kind::Text, parse::endpoint);
    // After a mistake, of which the resolver knows, it is of no use.
    Some(Ec2Account { region: region.unwrap_or_default(), endpoint })
}

/// What of a launch the operator chose; where and how it is sold goes into the settings.
pub(super) fn pool(resolver: &mut Resolver<'_>, table: &Table<'_>, settings: &mut PoolSettings) -> Ec2Pool {
    settings.places = chosen_places(resolver, table);
    let lifecycle = table.take(resolver, LIFECYCLE, Kind::Text, parse::lifecycle);
    settings.lifecycle = lifecycle.unwrap_or(settings.lifecycle);
    let [image, template] = [IMAGE, TEMPLATE].map(|key| table.keys.contains_key(key));
    if !image && !template {
        let remedy = "write image = \"ami-…\" with the id of an image of the region, or a launch_template";
        table.mistake(resolver, IMAGE, "nobody says what its instances boot", remedy);
    }
    let groups = table.list(resolver, SECURITY_GROUPS, "[\"sg-0123456789abcdef0\"]", id(GROUP_ID));
    Ec2Pool {
        image: table.take(resolver, IMAGE, Kind::Text, id(IMAGE_ID)),
        security_groups: groups.unwrap_or_default(),
        key_name: table.text(resolver, KEY_NAME),
        profile: table.text(resolver, PROFILE),
        template: launch_template(resolver, table),
    }
}

/// Where AWS, or nobody, chooses.
pub(super) fn anywhere() -> Option<Place> {
    ANYWHERE.parse().ok()
}

fn chosen_places(resolver: &mut Resolver<'_>, table: &Table<'_>) -> Vec<Place> {
    let zone = |text: &str| match text {
        _ if text.starts_with(SUBNET_ID) => Err(format!("write it in {SUBNETS}")),
        ANYWHERE => Err("leave zones out, and AWS chooses".into()),
        _ => place(text),
    };
    let zones = table.list(resolver, ZONES, "[\"eu-west-1a\", \"eu-west-1b\"]", zone);
    let subnet = |text: &str| id(SUBNET_ID)(text).and_then(|text| place(&text));
    let subnets = table.list(resolver, SUBNETS, "[\"subnet-0123456789abcdef0\"]", subnet);
    if zones.is_some() && subnets.is_some() {
        let remedy = format!("remove {ZONES}: each subnet is in a zone");
        table.mistake(resolver, ZONES, format!("{SUBNETS} say already where to launch"), remedy);
    }
    subnets.or(zones).unwrap_or_else(|| anywhere().into_iter().collect())
}

fn place(text: &str) -> Result<Place, String> {
    text.parse().map_err(|error: domain::pool::ids::PoolIdError| error.to_string())
}

fn id(prefix: &'static str) -> impl Fn(&str) -> Result<String, String> {
    move |text| {
        let rest = text.strip_prefix(prefix);
        let is_id = rest.is_some_and(|rest| !rest.is_empty() && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        if is_id { Ok(text.to_owned()) } else { Err(format!("give an id such as {prefix}0123456789abcdef0")) }
    }
}

fn launch_template(resolver: &mut Resolver<'_>, pool: &Table<'_>) -> Option<LaunchTemplate> {
    let value = pool.keys.get(TEMPLATE)?;
    let remedy = "write launch_template = { id = \"lt-0123456789abcdef0\" }, or { name = \"NAME\" }";
    let Some(keys) = value.as_table() else {
        pool.mistake(resolver, TEMPLATE, "a table is needed", remedy);
        return None;
    };
    let table = Table { title: format!("{} {TEMPLATE}", pool.title), name: format!("{}.{TEMPLATE}", pool.name), keys };
    table.report_unknown(resolver, &IN_FILE);
    let named = table.take(resolver, ID, Kind::Text, id(TEMPLATE_ID)).map(TemplateName::Id);
    let name = table.text(resolver, NAME).map(TemplateName::Name);
    if keys.contains_key(ID) == keys.contains_key(NAME) {
        pool.mistake(resolver, TEMPLATE, "it is named by its id or by its name", remedy);
    }
    let kind = if keys.get(VERSION).is_some_and(Value::is_integer) { Kind::Number } else { Kind::Text };
    let version = table.take(resolver, VERSION, kind, |text| match text {
        "$Latest" | "$Default" => Ok(text.to_owned()),
        _ if text.parse::<u32>().is_ok_and(|number| number > 0) => Ok(text.to_owned()),
        _ => Err("give a number from 1, \"$Latest\" or \"$Default\"".into()),
    });
    Some(LaunchTemplate { name: named.or(name)?, version })
}
