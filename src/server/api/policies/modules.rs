//! Components with what they decide, and how they fare there.

use std::sync::Arc;

use domain::policy::{Digest, PolicyKind};
use store::policies::PoliciesInForce;
use time::OffsetDateTime;

use super::super::dto::{FaultDto, PolicyDto, SettingDto, settings};
use crate::server::operations::policy::{Known, Seat};
use crate::server::parts::Parts;

/// What stands for every service without a policy of its own.
const EVERY: &str = "*";

/// Everything that is here or was chosen.
pub async fn modules(parts: &Parts) -> Vec<PolicyDto> {
    let registry = &parts.policies;
    let (in_force, rows) = (registry.in_force(), parts.store.policies());
    let shadow = registry.shadow.account().map(|(seat, ..)| seat.chosen.digest);
    let mut known = registry.library.list().await;
    for seat in in_force.seats() {
        // Its file is gone, and it is still chosen: visibly broken.
        if known.iter().all(|known| known.digest != seat.chosen.digest) {
            let why = seat.policy.as_ref().err().cloned().unwrap_or_default();
            let Seat { scope, chosen, .. } = &**seat;
            known.push(Known { kind: scope.kind, digest: chosen.digest, shipped: false, description: Err(why) });
        }
    }
    let module = |known: Known| {
        let seats: Vec<&Arc<Seat>> = in_force.seats().filter(|seat| seat.chosen.digest == known.digest).collect();
        describe(&known, &seats, &rows, shadow)
    };
    known.into_iter().map(module).collect()
}

/// One of them.
pub async fn module(parts: &Parts, digest: Digest) -> Option<PolicyDto> {
    let digest = digest.to_string();
    modules(parts).await.into_iter().find(|module| module.digest == digest)
}

fn describe(known: &Known, seats: &[&Arc<Seat>], rows: &PoliciesInForce, shadow: Option<Digest>) -> PolicyDto {
    let state = state(known, seats, shadow);
    let working = seats.iter().find_map(|seat| seat.policy.as_ref().ok()).map(|policy| policy.description());
    let description = working.or(known.description.as_ref().ok());
    let kind: PolicyKind = seats.first().map_or(known.kind, |seat| seat.kind());
    let chosen_as = seats.first().map(|seat| seat.chosen.name.to_string());
    let name = description.map(|description| description.name.to_string()).or(chosen_as);
    let why = seats.iter().find_map(|seat| seat.policy.as_ref().err()).or(known.description.as_ref().err());
    let scoped = |seat: &&Arc<Seat>| seat.scope.service.as_ref().map_or(EVERY.to_owned(), ToString::to_string);
    PolicyDto {
        kind: kind.to_string(),
        name: name.unwrap_or_else(|| known.digest.short()),
        version: description.map(|description| description.version.clone()),
        summary: description.map(|description| description.summary.clone()),
        digest: known.digest.to_string(),
        shipped: known.shipped,
        active: seats.iter().any(|seat| seat.to_ask().is_some()),
        state: state.to_owned(),
        services: seats.iter().map(scoped).collect(),
        settings: seats.first().map(|seat| settings(&seat.chosen.settings)),
        setting_docs: description.map(|it| it.settings.iter().map(SettingDto::new).collect()).unwrap_or_default(),
        faults: seats.iter().map(|seat| seat.state().faults).sum(),
        last_fault: seats.iter().find_map(|seat| last_fault(seat, rows)),
        broken: why.filter(|_| state == "broken").cloned(),
    }
}

/// The worst that is true.
fn state(known: &Known, seats: &[&Arc<Seat>], shadow: Option<Digest>) -> &'static str {
    if seats.iter().any(|seat| seat.policy.is_err()) || (seats.is_empty() && known.description.is_err()) {
        return "broken";
    }
    if seats.iter().any(|seat| seat.state().pinned.is_some()) {
        return "pinned";
    }
    match (seats.is_empty(), shadow == Some(known.digest)) {
        (false, _) => "active",
        (true, true) => "shadow",
        (true, false) => "available",
    }
}

/// What is known since the start, else what the pin says.
fn last_fault(seat: &Seat, rows: &PoliciesInForce) -> Option<FaultDto> {
    if let Some(fault) = seat.state().last_fault {
        return Some(FaultDto { code: Some(fault.code.to_owned()), text: fault.text, at: fault.at.into() });
    }
    let pin = rows.pins().get(&seat.scope).filter(|pin| pin.digest == seat.chosen.digest)?;
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(pin.since.0) * 1_000_000);
    Some(FaultDto { code: None, text: pin.fault.clone(), at: at.unwrap_or(OffsetDateTime::UNIX_EPOCH) })
}
