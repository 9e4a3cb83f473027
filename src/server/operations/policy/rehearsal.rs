//! Trying a policy without effect: on what waits now, on what was decided lately, and on the scenarios that this program
//! knows.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::policy::PolicyKind;
use domain::scenario::{self, ScalingScenario, Scenario};
use domain::schedule::snapshot::Snapshot;
use domain::schedule::{Decision, ScheduleSettings, decide};
use domain::{ClientName, JobId, UserId};
use policy_host::{Call, Cost};
use store::policies::Scope;

use super::deciding::Deciding;
use super::in_force::InForce;
use super::seat::Seat;

/// What a candidate would do. Nothing has happened.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rehearsal {
    /// Decisions on real queues, this instant's and logged ones.
    pub decisions: u32,
    /// Scenarios in which it was asked something.
    pub scenarios: u32,
    /// Decisions in which it would have done otherwise than what was compared with.
    pub differing: u32,
    /// What it would have done otherwise, the first ones, in words.
    pub differences: Vec<String>,
    /// Jobs placed for each user: by what was compared with, and by the candidate.
    pub placed: BTreeMap<UserId, (u32, u32)>,
    /// The most that one call of it cost.
    pub most_fuel: u64,
    /// The longest that one call of it took.
    pub longest: Duration,
}

/// Differences that are told in words.
const TOLD: usize = 20;

/// Tries the seat's policy as if it were in force.
///
/// # Errors
/// What it failed at, and how.
pub fn rehearse(
    in_force: &InForce,
    candidate: &Arc<Seat>,
    snapshots: &[Snapshot],
    settings: ScheduleSettings,
) -> Result<Rehearsal, String> {
    let mut rehearsal = Rehearsal::default();
    scenarios(in_force, candidate, &mut rehearsal)?;
    let changed = in_force.with(candidate.clone());
    for (number, snapshot) in (1..).zip(snapshots) {
        let now = places(&decide(snapshot, &Deciding::new(in_force), settings));
        let compared = rehearsal.compare_with(&now, (&changed, candidate), snapshot, settings);
        compared.map_err(|fault| format!("decision {number} of those tried: {fault}"))?;
    }
    Ok(rehearsal)
}

/// Scenarios speak of services of their own, so the candidate decides for all of them.
fn scenarios(in_force: &InForce, candidate: &Seat, rehearsal: &mut Rehearsal) -> Result<(), String> {
    let everywhere = Arc::new(candidate.tried_for(Scope { kind: candidate.kind(), service: None }));
    if candidate.kind() == PolicyKind::Scaling {
        return scaling_scenarios(&everywhere, rehearsal);
    }
    let changed = in_force.with(everywhere.clone());
    for (name, text) in scenario::shipped() {
        // That they can be read is a test of the domain's.
        let Ok(Scenario { snapshot, settings, .. }) = Scenario::parse(text) else { continue };
        rehearsal
            .decide((&changed, &everywhere), &snapshot, settings)
            .map_err(|fault| format!("the scenario {name}: {fault}"))?;
        rehearsal.scenarios += 1;
    }
    Ok(())
}

fn scaling_scenarios(candidate: &Seat, rehearsal: &mut Rehearsal) -> Result<(), String> {
    let Some(policy) = candidate.to_ask() else { return Ok(()) };
    for (name, text) in scenario::shipped_scaling() {
        let Ok(ScalingScenario { input, .. }) = ScalingScenario::parse(text) else { continue };
        let Call { answer, cost } = policy.scale(&input);
        rehearsal.took(cost);
        answer.map_err(|fault| format!("the scenario {name}: {fault}"))?;
        rehearsal.scenarios += 1;
    }
    Ok(())
}

impl Rehearsal {
    /// Decides by what would be in force with the candidate, and compares with where the jobs went.
    ///
    /// # Errors
    /// The candidate failed, so that nothing is to be compared.
    pub(super) fn compare_with(
        &mut self,
        now: &BTreeMap<JobId, ClientName>,
        changed: (&InForce, &Arc<Seat>),
        snapshot: &Snapshot,
        settings: ScheduleSettings,
    ) -> Result<(), String> {
        let then = places(&self.decide(changed, snapshot, settings)?);
        self.decisions += 1;
        self.differing += u32::from(*now != then);
        for (job, user) in users_of(snapshot) {
            let (before, after) = (now.get(&job), then.get(&job));
            if before.is_none() && after.is_none() {
                continue;
            }
            let placed = self.placed.entry(user).or_default();
            placed.0 += u32::from(before.is_some());
            placed.1 += u32::from(after.is_some());
            if before != after && self.differences.len() < TOLD {
                let place =
                    |client: Option<&ClientName>| client.map_or("waits".to_owned(), |it| format!("runs on {it}"));
                let (before, after) = (place(before), place(after));
                self.differences.push(format!("job {job} of user {user} {after}; without the candidate it {before}"));
            }
        }
        Ok(())
    }

    /// Adds what came of other decisions.
    pub(super) fn add(&mut self, other: Self) {
        self.decisions += other.decisions;
        self.scenarios += other.scenarios;
        self.differing += other.differing;
        self.differences.extend(other.differences);
        self.differences.truncate(TOLD);
        for (user, (now, then)) in other.placed {
            let placed = self.placed.entry(user).or_default();
            placed.0 += now;
            placed.1 += then;
        }
        self.most_fuel = self.most_fuel.max(other.most_fuel);
        self.longest = self.longest.max(other.longest);
    }

    fn took(&mut self, cost: Cost) {
        self.most_fuel = self.most_fuel.max(cost.fuel);
        self.longest = self.longest.max(cost.time);
    }

    fn decide(
        &mut self,
        (changed, candidate): (&InForce, &Arc<Seat>),
        snapshot: &Snapshot,
        settings: ScheduleSettings,
    ) -> Result<Decision, String> {
        let deciding = Deciding::new(changed);
        let decision = decide(snapshot, &deciding, settings);
        // That another policy fails there is not the candidate's fault.
        for asked in deciding.into_asked().into_iter().filter(|asked| Arc::ptr_eq(&asked.seat, candidate)) {
            self.took(asked.cost);
            if let Some(fault) = asked.fault {
                return Err(fault.to_string());
            }
        }
        Ok(decision)
    }
}

fn places(decision: &Decision) -> BTreeMap<JobId, ClientName> {
    decision.placements.iter().map(|placed| (placed.job, placed.client.clone())).collect()
}

/// The jobs that a decision could place, with whose they are.
fn users_of(snapshot: &Snapshot) -> impl Iterator<Item = (JobId, UserId)> {
    snapshot.services.iter().flat_map(|service| &service.users).flat_map(|user| {
        let heads = user.waiting.iter().flat_map(|waiting| &waiting.heads);
        heads.map(|head| (head.job, user.user))
    })
}
