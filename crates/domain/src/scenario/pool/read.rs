//! Single statements about pools. An error is a sentence; who calls adds the line.

use std::collections::BTreeSet;
use std::time::Duration;

use super::super::read::{Fields, parsed};
use super::{Given, GivenPool, NOW};
use crate::pool::instance::{Call, DrainReason, EndReason, Refusal, RefusalKind};
use crate::pool::memory::Wanted;
use crate::pool::{
    Instance, InstanceId, InstanceState, InstanceView, Launch, Learnt, Lifecycle, Moment, Money, Offer, PoolSettings,
    Price, ProviderId, TypeName, TypeSettings,
};
use crate::schedule::snapshot::{ClientView, Shape};
use crate::{ClientName, ClientRecord, ClientState, Labels, Requires, Slots};

pub(super) fn pool(name: &str, mut fields: Fields<'_>) -> Result<GivenPool, String> {
    let services = list(&fields.take("services", String::new())?, "service")?;
    let places = list::<_, Vec<_>>(&fields.take("places", "a".to_owned())?, "place")?;
    let mut settings = PoolSettings::new(parsed(name, "pool name")?, services, Vec::new(), places);
    settings.max = fields.take("max", settings.max)?;
    settings.lifecycle = lifecycle(&fields.take("lifecycle", "on-demand".to_owned())?)?;
    for (key, time) in [
        ("cooldown_up", &mut settings.cooldown_up),
        ("cooldown_down", &mut settings.cooldown_down),
        ("idle", &mut settings.idle),
        ("minimum_life", &mut settings.minimum_life),
        ("boot_timeout", &mut settings.boot_timeout),
    ] {
        *time = fields.duration(key)?.unwrap_or(*time);
    }
    settings.max_cost_per_hour = fields.optional("max_cost_per_hour")?.map(money).transpose()?;
    settings.max_cost_per_month = fields.optional("max_cost_per_month")?.map(money).transpose()?;
    let learnt = Learnt {
        last_launch: fields.duration("since_launch")?.map(before),
        last_drain: fields.duration("since_drain")?.map(before),
        ..Learnt::default()
    };
    let spent = money(fields.take("spent", 0.0)?)?;
    let started = fields.duration("started")?.map(before).unwrap_or_default();
    fields.end().map(|()| GivenPool { settings, learnt, instances: Vec::new(), spent, started })
}

pub(super) fn of_type(name: &str, mut fields: Fields<'_>) -> Result<TypeSettings, String> {
    let price = price(fields.take("price", 0.1)?)?;
    let spot_price = fields.optional("spot_price")?.map(self::price).transpose()?.unwrap_or(price);
    let declared = offer(&mut fields)?;
    fields.end()?;
    Ok(TypeSettings { name: parsed(name, "type")?, declared, price, spot_price })
}

/// What a client of the type last said of itself.
pub(super) fn reported(pool: &mut GivenPool, name: &str, mut fields: Fields<'_>) -> Result<(), String> {
    let launch = launch(pool, name, &mut fields)?;
    let offer = offer(&mut fields)?;
    pool.learnt.memory.came_up(&launch, &offer);
    fields.end()
}

/// A launch that the provider refused.
pub(super) fn refused(pool: &mut GivenPool, name: &str, mut fields: Fields<'_>) -> Result<(), String> {
    let kind = match fields.take("kind", "no-capacity".to_owned())?.as_str() {
        "no-capacity" => RefusalKind::NoCapacity,
        "throttled" => RefusalKind::Throttled,
        "limit" => RefusalKind::Limit,
        "denied" => RefusalKind::Denied,
        "other" => RefusalKind::Other,
        other => return Err(format!("`{other}` is no kind of refusal")),
    };
    let launch = launch(pool, name, &mut fields)?;
    let at = before(fields.duration("ago")?.unwrap_or_default());
    let refusal = Refusal { kind, code: fields.take("code", "Refused".to_owned())? };
    pool.learnt.memory.refused(&launch, &refusal, &pool.settings, at);
    pool.learnt.breaker.refused(InstanceId(0), kind, at);
    fields.end()
}

/// Instances of the type came up for something and did not take it.
pub(super) fn in_vain(pool: &mut GivenPool, name: &str, mut fields: Fields<'_>) -> Result<(), String> {
    let launch = launch(pool, name, &mut fields)?;
    for _ in 0..fields.take("times", 2)? {
        pool.learnt.memory.left_behind(&launch, &launch.shapes);
    }
    fields.end()
}

pub(super) fn paused(pool: &mut GivenPool, cause: &str, mut fields: Fields<'_>) -> Result<(), String> {
    let at = before(fields.duration("ago")?.unwrap_or_default());
    let breaker = &mut pool.learnt.breaker;
    match cause {
        "operator" => breaker.stop(at),
        "denied" => breaker.refused(InstanceId(0), RefusalKind::Denied, at),
        "failed-boots" => (0..3).for_each(|id| breaker.boot_failed(InstanceId(id), at)),
        "refusals" => (0..10).for_each(|id| breaker.refused(InstanceId(id), RefusalKind::Other, at)),
        other => return Err(format!("`{other}` is no cause of a pause")),
    }
    fields.end()
}

pub(super) fn instance(pool: &mut GivenPool, id: &str, mut fields: Fields<'_>) -> Result<Given, String> {
    let name: TypeName = fields.optional("type")?.ok_or("an instance needs a type")?;
    let launch = launch(pool, name.as_str(), &mut fields)?;
    let age = fields.duration("age")?.unwrap_or_default();
    let since = before(fields.duration("for")?.unwrap_or(age));
    let client: ClientName = parsed(&format!("instance-{id}"), "client name")?;
    let word = fields.take("state", "ready".to_owned())?;
    let state = state(&word, id, since, &client, &mut fields)?;
    let mut instance =
        Instance::requested(InstanceId(parsed(id, "instance")?), pool.settings.name.clone(), launch, before(age));
    instance.protected = fields.take("protected", false)?;
    let passed_over = fields.duration("passed_over")?.map(|ago| (instance.id, before(ago)));
    pool.learnt.passed_over.extend(passed_over);
    let declared = pool.settings.of_type(&name).map(|of_type| of_type.declared.clone()).unwrap_or_default();
    let used = fields.take("used", 0)?;
    let running = fields.take("running", used)?;
    let is_heard = fields.take("heard", true)?;
    let record = ClientRecord {
        name: client,
        services: pool.settings.services.clone(),
        slots: fields.take("slots", declared.slots)?,
        labels: fields.take("labels", declared.labels)?,
        state: match word.as_str() {
            "draining" => ClientState::Draining,
            _ if is_heard => ClientState::Ready,
            _ => ClientState::Joining,
        },
    };
    let has_client = state.client().is_some();
    let client = has_client.then_some(ClientView { record, used, running, recent_failures: 0 });
    let worked_until = fields.duration("idle")?.map(before);
    instance.state = state;
    fields.end().map(|()| (InstanceView { instance, running, worked_until }, client))
}

fn state(
    word: &str,
    id: &str,
    since: Moment,
    client: &ClientName,
    fields: &mut Fields<'_>,
) -> Result<InstanceState, String> {
    let provider: ProviderId = parsed(&format!("i-{id}"), "provider's id")?;
    Ok(match word {
        "requested" => InstanceState::Requested { call: Call::Open { repeated: false } },
        "booting" => InstanceState::Booting { provider, since },
        "ready" => InstanceState::Ready { provider, client: client.clone(), since },
        "draining" => {
            let why = match fields.take("why", "not-needed".to_owned())?.as_str() {
                "not-needed" => DrainReason::NotNeeded,
                "not-used" => DrainReason::NotUsed,
                "removed" => DrainReason::Removed,
                "operator" => DrainReason::Operator,
                "spot-notice" => DrainReason::SpotNotice,
                other => return Err(format!("`{other}` is no reason to drain")),
            };
            let deadline = fields.duration("deadline_passed")?.map(before);
            let client = Some(client.clone());
            InstanceState::Draining { provider, client, since, up_since: since, why, deadline }
        }
        "terminating" => InstanceState::Terminating { provider, since, why: EndReason::BootTimeout },
        other => return Err(format!("`{other}` is no state of an instance")),
    })
}

/// A try of a type above, with what it was launched for: `service=`, `asks_slots=`, `asks=`.
fn launch(pool: &GivenPool, of_type: &str, fields: &mut Fields<'_>) -> Result<Launch, String> {
    let of_type: TypeName = parsed(of_type, "type")?;
    let known = pool.settings.of_type(&of_type).ok_or_else(|| format!("`{of_type}` is no type above"))?;
    let place = fields.optional("place")?.or_else(|| pool.settings.places.first().cloned()).ok_or("no place")?;
    let lifecycle = match fields.optional::<String>("lifecycle")? {
        None => pool.settings.lifecycle,
        Some(word) => lifecycle(&word)?,
    };
    let shapes: BTreeSet<Wanted> = wanted(fields)?.into_iter().collect();
    let price = known.price(lifecycle);
    Ok(Launch { of_type, place, lifecycle, price, shapes })
}

fn wanted(fields: &mut Fields<'_>) -> Result<Option<Wanted>, String> {
    let slots = Slots::try_from(fields.take("asks_slots", 1_u32)?).map_err(|error| error.to_string())?;
    let shape = Shape { slots, requires: fields.take("asks", Requires::default())? };
    Ok(fields.optional("service")?.map(|service| (service, shape)))
}

fn offer(fields: &mut Fields<'_>) -> Result<Offer, String> {
    Ok(Offer { slots: fields.take("slots", 1)?, labels: fields.take("labels", Labels::default())? })
}

fn lifecycle(word: &str) -> Result<Lifecycle, String> {
    match word {
        "spot" => Ok(Lifecycle::Spot),
        "on-demand" => Ok(Lifecycle::OnDemand),
        other => Err(format!("`{other}` is no lifecycle")),
    }
}

fn before(ago: Duration) -> Moment {
    Moment(NOW.0.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)))
}

fn money(units: f64) -> Result<Money, String> {
    Money::try_from(units).map_err(|error| error.to_string())
}

fn price(units: f64) -> Result<Price, String> {
    Price::try_from(units).map_err(|error| error.to_string())
}

fn list<T: std::str::FromStr, L: FromIterator<T>>(text: &str, what: &str) -> Result<L, String> {
    text.split(',').map(|name| parsed(name, what)).collect()
}
