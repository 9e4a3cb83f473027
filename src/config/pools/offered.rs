//! The types of instances of a pool, in the operator's order.

use domain::pool::{Offer, Price, TypeName, TypeSettings};
use domain::{Labels, Slots};

use super::{Makes, PROCESS};
use crate::config::keys::Kind;
use crate::config::keys::pool::{SLOTS, TYPES, of_type};
use crate::config::parse;
use crate::config::resolve::Resolver;
use crate::config::section::Section;

const EXAMPLE: &str = "{ type = \"c7i.large\", price_per_hour = 0.09 }";

/// A pool of processes that names none has one, which costs nothing.
pub(super) fn types(
    resolver: &mut Resolver<'_>,
    section: &Section<'_>,
    slots: Option<u32>,
    provider: Option<Makes>,
) -> Vec<TypeSettings> {
    if !section.has(TYPES) {
        match provider {
            Some(Makes::Processes) => return process(resolver, section, slots).into_iter().collect(),
            Some(Makes::Machines) => {
                let remedy = format!("write {TYPES} = [{EXAMPLE}]");
                section.wrong(resolver, TYPES, "without types nothing can be launched", remedy);
            }
            None => {}
        }
    }
    let mut types: Vec<TypeSettings> = Vec::new();
    for table in section.tables(resolver, TYPES, EXAMPLE) {
        let Some(one) = instance_type(resolver, section, &table, slots) else { continue };
        if types.iter().any(|known| known.name == one.name) {
            let given = table.given(resolver, of_type::TYPE);
            resolver.wrong(&given, "the type is there twice", "keep the one whose place is right");
            continue;
        }
        types.push(one);
    }
    types
}

fn process(resolver: &mut Resolver<'_>, section: &Section<'_>, slots: Option<u32>) -> Option<TypeSettings> {
    if !section.has(SLOTS) {
        without_slots(resolver, section);
    }
    let declared = Offer { slots: slots?, labels: Labels::default() };
    let free = Price::default();
    Some(TypeSettings { name: PROCESS.parse().ok()?, declared, price: free, spot_price: free })
}

fn instance_type(
    resolver: &mut Resolver<'_>,
    pool: &Section<'_>,
    table: &Section<'_>,
    slots: Option<u32>,
) -> Option<TypeSettings> {
    table.know(resolver, &of_type::ALL);
    for key in [of_type::TYPE, of_type::PRICE].into_iter().filter(|key| !table.has(key)) {
        table.missing(resolver, key, format!("write it as in {EXAMPLE}"));
    }
    let name: Option<TypeName> = table.take(resolver, of_type::TYPE, Kind::Text, |text| {
        text.parse().map_err(|error: domain::pool::ids::PoolIdError| error.to_string())
    });
    let price = table.take(resolver, of_type::PRICE, Kind::Decimal, parse::price);
    let spot_price = table.take(resolver, of_type::SPOT_PRICE, Kind::Decimal, parse::price);
    let own = table.take(resolver, of_type::SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()));
    let labels = table.take(resolver, of_type::LABELS, Kind::Labels, parse::labels).unwrap_or_default();
    if !table.has(of_type::SLOTS) && !pool.has(SLOTS) {
        without_slots(resolver, table);
    }
    // Not above Slots::MAX, which is a u32.
    let slots = own.map(|own| own as u32).or(slots)?;
    let price = price?;
    let declared = Offer { slots, labels };
    Some(TypeSettings { name: name?, declared, price, spot_price: spot_price.unwrap_or(price) })
}

fn without_slots(resolver: &mut Resolver<'_>, section: &Section<'_>) {
    let remedy = format!("write {SLOTS} = 4 for the pool, or whatever a machine bears");
    section.wrong(resolver, SLOTS, "nobody says how many jobs run at once on an instance", remedy);
}
