//! Rows held against what the provider says is there.
//!
//! - What is tagged with a live row of ours is that row's instance: it is adopted, whatever became of the launch's answer.
//! - What is missing in the list is not gone before it was missing in every list for a while: lists lag, and may be empty
//!   for no reason. Nor is it gone while its client talks.
//! - What is tagged as ours and has no live row is an orphan. It is ended when a second list shows it so, and never while
//!   its client reports work.
//! - What has no tag, or another server's, is a stranger: nothing here names it.
//!
//! The caller lists first and loads the rows then: as a row is committed before its call, no listed instance is without.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::ids::{InstanceId, PoolName, ProviderId, ServerId};
use super::instance::{Call, Event, Instance, InstanceState as State, Unanswered};
use super::moment::Moment;

/// How long an instance of a provider whose lists lag may be missing before it counts as gone.
pub const NOT_FOUND_AFTER: Duration = Duration::from_secs(300);

/// What an instance is tagged with in the call that creates it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Tag {
    /// Whose it is.
    pub server: ServerId,
    /// For which pool.
    pub pool: PoolName,
    /// Of which row.
    pub instance: InstanceId,
}

impl Tag {
    /// What makes the repeat of a launch harmless: the same for the same row, and no other's.
    #[must_use]
    pub fn token(&self) -> String {
        format!("{}-{}", self.server, self.instance)
    }
}

/// An instance in the provider's list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The provider's id.
    pub provider: ProviderId,
    /// None on a stranger's, and on what a person made.
    pub tag: Option<Tag>,
    /// It is ending or has ended.
    pub is_ended: bool,
}

/// All that is compared.
#[derive(Debug, Clone, Copy)]
pub struct Survey<'a> {
    /// This server's id, and those that its database had before it was restored.
    pub ours: &'a BTreeSet<ServerId>,
    /// All live rows of the provider.
    pub rows: &'a [&'a Instance],
    /// Rows whose client was heard of of late.
    pub heard: &'a BTreeSet<InstanceId>,
    /// Instances without a live row whose client reports work.
    pub working: &'a BTreeSet<ProviderId>,
    /// All that the provider has, whoever's it is.
    pub listed: &'a [Listed],
    /// See [`NOT_FOUND_AFTER`].
    pub not_found_after: Duration,
}

/// What earlier lists did not explain. It need not outlive the process: then it only takes longer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sightings {
    /// Since when a row's instance has been missing in every list.
    missing: BTreeMap<InstanceId, Moment>,
    /// What was tagged as ours and had no live row.
    orphans: BTreeSet<ProviderId>,
}

/// What follows from a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reconciled {
    /// What happened to rows, in this order.
    pub events: Vec<(InstanceId, Event)>,
    /// Rows whose launch call is to be made again, with the same token: [`Event::LaunchRepeated`] first.
    pub repeat: Vec<InstanceId>,
    /// Instances to be ended: orphans, and those of which it was asked before.
    pub terminate: Vec<ProviderId>,
    /// For the next list.
    pub sightings: Sightings,
}

/// What a server that starts has to believe of its rows: nothing is known of a call that was under way.
#[must_use]
pub fn restarted(rows: &[&Instance]) -> Vec<(InstanceId, Event)> {
    let open = rows.iter().filter(|row| matches!(row.state, State::Requested { call: Call::Open { .. } }));
    open.map(|row| (row.id, Event::LaunchUnanswered(Unanswered::Lost))).collect()
}

/// Compares. The same input gives the same answer.
#[must_use]
pub fn reconcile(survey: Survey<'_>, before: &Sightings, now: Moment) -> Reconciled {
    let mut found = Reconciled::default();
    let mut explained = BTreeSet::new();
    for row in survey.rows {
        let listed = match row.state.provider() {
            Some(provider) => survey.listed.iter().find(|listed| listed.provider == *provider),
            None => tagged(survey, row.id),
        };
        explained.extend(listed.map(|listed| &listed.provider));
        match listed {
            Some(listed) => seen(&mut found, survey, row, listed),
            None => unseen(&mut found, survey, row, before, now),
        }
    }
    let is_orphan =
        |listed: &&Listed| is_ours(survey, listed) && !listed.is_ended && !explained.contains(&listed.provider);
    for orphan in survey.listed.iter().filter(is_orphan) {
        let provider = &orphan.provider;
        if before.orphans.contains(provider) && !survey.working.contains(provider) {
            found.terminate.push(provider.clone());
        }
        found.sightings.orphans.insert(provider.clone());
    }
    found
}

fn is_ours(survey: Survey<'_>, listed: &Listed) -> bool {
    listed.tag.as_ref().is_some_and(|tag| survey.ours.contains(&tag.server))
}

/// The instance with the row's tag; one that has not ended goes first.
fn tagged(survey: Survey<'_>, row: InstanceId) -> Option<&Listed> {
    let tagged = survey.listed.iter().filter(|listed| is_ours(survey, listed));
    let tagged = tagged.filter(|listed| listed.tag.as_ref().is_some_and(|tag| tag.instance == row));
    tagged.min_by_key(|listed| (listed.is_ended, &listed.provider))
}

fn seen(found: &mut Reconciled, survey: Survey<'_>, row: &Instance, listed: &Listed) {
    if row.state.provider().is_none() {
        found.events.push((row.id, Event::Found(listed.provider.clone())));
    }
    if listed.is_ended {
        found.events.push((row.id, Event::Ended));
    } else if matches!(row.state, State::Terminating { .. }) && is_ours(survey, listed) {
        found.terminate.push(listed.provider.clone());
    }
}

fn unseen(found: &mut Reconciled, survey: Survey<'_>, row: &Instance, before: &Sightings, now: Moment) {
    match row.state {
        State::Requested { call: Call::Open { .. } } | State::Gone { .. } => return,
        State::Requested { call: Call::Broken } => return found.repeat.push(row.id),
        _ if survey.heard.contains(&row.id) => return,
        _ => {}
    }
    let since = before.missing.get(&row.id).copied().unwrap_or(now);
    if now.since(since) >= survey.not_found_after {
        found.events.push((row.id, Event::Missing));
    }
    found.sightings.missing.insert(row.id, since);
}
