//! The types of instances of a pool, in the operator's order.

use std::collections::BTreeSet;

use domain::pool::{Offer, Price, TypeName, TypeSettings};
use domain::{Labels, Slots};

use super::{Makes, PROCESS};
use crate::config::keys::Kind;
use crate::config::keys::pool::of_type::{IN_FILE, LABELS, PRICE, SLOTS as OWN_SLOTS, SPOT_PRICE, TYPE};
use crate::config::keys::pool::{SLOTS, TYPES};
use crate::config::parse;
use crate::config::resolve::Resolver;
use crate::config::table::Table;

const EXAMPLE: &str = "[{ type = \"c7i.large\", price_per_hour = 0.09 }]";

/// A pool of processes that names none has one, which costs nothing.
pub(super) fn types(
    resolver: &mut Resolver<'_>,
    table: &Table<'_>,
    slots: Option<u32>,
    provider: Option<Makes>,
) -> Vec<TypeSettings> {
    let listed = table.tables(resolver, TYPES, EXAMPLE);
    if listed.is_none() && table.keys.contains_key(TYPES) {
        // A mistake that was noted.
        return Vec::new();
    }
    let listed = listed.unwrap_or_default();
    match provider {
        Some(Makes::Processes) if listed.is_empty() => {
            return process(resolver, table, slots).into_iter().collect();
        }
        Some(Makes::Machines) if listed.is_empty() => {
            table.mistake(
                resolver,
                TYPES,
                "without types nothing can be launched",
                format!("write {TYPES} = {EXAMPLE}"),
            );
        }
        _ => {}
    }
    let mut names = BTreeSet::new();
    let types = listed.into_iter().enumerate().filter_map(|(index, keys)| {
        let of_type = of_type(resolver, table, keys, index, slots)?;
        if !names.insert(of_type.name.clone()) {
            let what = format!("the type {} is there twice", of_type.name);
            table.mistake(resolver, TYPES, what, "keep the one whose place is right");
        }
        Some(of_type)
    });
    types.collect()
}

fn process(resolver: &mut Resolver<'_>, table: &Table<'_>, slots: Option<u32>) -> Option<TypeSettings> {
    if slots.is_none() {
        without_slots(resolver, table, SLOTS);
    }
    let declared = Offer { slots: slots?, labels: Labels::default() };
    let free = Price::default();
    Some(TypeSettings { name: PROCESS.parse().ok()?, declared, price: free, spot_price: free })
}

fn of_type(
    resolver: &mut Resolver<'_>,
    pool: &Table<'_>,
    keys: &toml::Table,
    index: usize,
    slots: Option<u32>,
) -> Option<TypeSettings> {
    let said = keys.get(TYPE).and_then(toml::Value::as_str).map(str::to_owned);
    let said = said.unwrap_or_else(|| format!("number {}", index + 1));
    let table =
        Table { title: format!("{} {TYPES} {said}", pool.title), name: format!("{}.{TYPES}.{said}", pool.name), keys };
    table.report_unknown(resolver, &IN_FILE);
    for (key, example) in [(TYPE, "\"c7i.large\""), (PRICE, "0.09")] {
        if !keys.contains_key(key) {
            table.mistake(resolver, key, "a type has a name and a price", format!("write {key} = {example}"));
        }
    }
    let name: Option<TypeName> = table.take(resolver, TYPE, Kind::Text, |text| {
        text.parse().map_err(|error: domain::pool::ids::PoolIdError| error.to_string())
    });
    let price = table.take(resolver, PRICE, Kind::Decimal, parse::price);
    let spot_price = table.take(resolver, SPOT_PRICE, Kind::Decimal, parse::price);
    let own_slots = table.take(resolver, OWN_SLOTS, Kind::Number, parse::whole(1..=Slots::MAX.into()));
    let labels = table.take(resolver, LABELS, Kind::Pairs, parse::labels).unwrap_or_default();
    if slots.is_none() && !keys.contains_key(OWN_SLOTS) && !pool.keys.contains_key(SLOTS) {
        without_slots(resolver, &table, OWN_SLOTS);
    }
    // Not above Slots::MAX, which is a u32.
    let slots = own_slots.map(|slots| slots as u32).or(slots)?;
    let price = price?;
    Some(TypeSettings {
        name: name?,
        declared: Offer { slots, labels },
        price,
        spot_price: spot_price.unwrap_or(price),
    })
}

fn without_slots(resolver: &mut Resolver<'_>, table: &Table<'_>, key: &str) {
    let remedy = format!("write {SLOTS} = 4 for the pool, or whatever the machine bears");
    table.mistake(resolver, key, "nobody says how many jobs run at once on an instance", remedy);
}
