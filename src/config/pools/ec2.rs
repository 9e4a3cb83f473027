//! What only pools on EC2 have, and the account they are launched in.

use domain::pool::{Place, PoolSettings};
use provider_ec2::{LaunchTemplate, TemplateName};

use super::EC2;
use crate::config::keys::Kind;
use crate::config::keys::pool::{self as keys, template};
use crate::config::parse;
use crate::config::pool_settings::{ANYWHERE, Ec2Account, Ec2Pool};
use crate::config::resolve::Resolver;
use crate::config::section::Section;

/// The beginnings of AWS's ids, by which a name in their place is noticed.
const IMAGE_ID: &str = "ami-";
const GROUP_ID: &str = "sg-";
const TEMPLATE_ID: &str = "lt-";
const SUBNET_ID: &str = "subnet-";

/// `[provider.ec2]`, if it is there.
pub(super) fn account(resolver: &mut Resolver<'_>) -> Option<Ec2Account> {
    let table = resolver.file.provider(EC2)?.clone();
    let section = Section::new(format!("[provider.{EC2}]"), format!("provider.{EC2}"), &table);
    section.know(resolver, &keys::ec2::ALL);
    if !section.has(keys::ec2::REGION) {
        section.missing(resolver, keys::ec2::REGION, "write region = \"eu-west-1\", or whichever it is");
    }
    let region = section.text(resolver, keys::ec2::REGION);
    let endpoint = section.take(resolver, keys::ec2::ENDPOINT, Kind::Text, parse::endpoint);
    // After a mistake, of which the resolver knows, it is of no use.
    Some(Ec2Account { region: region.unwrap_or_default(), endpoint })
}

/// What of a launch the operator chose; where and how it is sold goes into the settings.
pub(super) fn pool(resolver: &mut Resolver<'_>, section: &Section<'_>, settings: &mut PoolSettings) -> Ec2Pool {
    settings.places = places(resolver, section);
    settings.lifecycle = section.take_or(resolver, keys::LIFECYCLE, Kind::Text, parse::lifecycle, settings.lifecycle);
    if !section.has(keys::IMAGE) && !section.has(keys::TEMPLATE) {
        let remedy = "write image = \"ami-0123456789abcdef0\", the id of an image of the region, or a launch_template";
        section.wrong(resolver, keys::IMAGE, "nobody says what its instances boot", remedy);
    }
    let groups = section.list(resolver, keys::SECURITY_GROUPS, "\"sg-0123456789abcdef0\"", id(GROUP_ID));
    let template = section.table(resolver, keys::TEMPLATE, "{ name = \"burst\" }");
    Ec2Pool {
        image: section.take(resolver, keys::IMAGE, Kind::Text, id(IMAGE_ID)),
        security_groups: groups,
        key_name: section.text(resolver, keys::KEY_NAME),
        profile: section.text(resolver, keys::PROFILE),
        template: template.and_then(|table| launch_template(resolver, &table)),
    }
}

/// Where the provider, or nobody, chooses.
pub(super) fn anywhere() -> Option<Place> {
    ANYWHERE.parse().ok()
}

fn places(resolver: &mut Resolver<'_>, section: &Section<'_>) -> Vec<Place> {
    let zone = |text: &str| match text {
        _ if text.starts_with(SUBNET_ID) => Err(format!("write it in {}", keys::SUBNETS)),
        ANYWHERE => Err("leave zones out, and AWS chooses".to_owned()),
        _ => place(text),
    };
    let subnet = |text: &str| id(SUBNET_ID)(text).and_then(|text| place(&text));
    let mut places = section.list(resolver, keys::ZONES, "\"eu-west-1a\"", zone);
    places.extend(section.list(resolver, keys::SUBNETS, "\"subnet-0123456789abcdef0\"", subnet));
    match (section.has(keys::ZONES), section.has(keys::SUBNETS)) {
        (true, true) => {
            section.wrong(resolver, keys::ZONES, "each subnet is in a zone", "give zones or subnets, not both");
        }
        (false, false) => places.extend(anywhere()),
        _ => {}
    }
    places
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

fn launch_template(resolver: &mut Resolver<'_>, table: &Section<'_>) -> Option<LaunchTemplate> {
    table.know(resolver, &template::ALL);
    let by_id = table.take(resolver, template::ID, Kind::Text, id(TEMPLATE_ID)).map(TemplateName::Id);
    let by_name = table.text(resolver, template::NAME).map(TemplateName::Name);
    match (table.has(template::ID), table.has(template::NAME)) {
        (false, false) => table.missing(resolver, template::NAME, "give its name or its id"),
        (true, true) => table.wrong(resolver, template::NAME, "it is named twice", "give its name or its id, not both"),
        _ => {}
    }
    let version = table.take(resolver, template::VERSION, Kind::Text, |text| match text {
        "$Latest" | "$Default" => Ok(text.to_owned()),
        _ if text.parse::<u32>().is_ok_and(|number| number > 0) => Ok(text.to_owned()),
        _ => Err("give a number from 1, $Latest or $Default, in quotes".into()),
    });
    Some(LaunchTemplate { name: by_id.or(by_name)?, version })
}
