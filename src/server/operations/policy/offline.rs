//! Looking at a component without a server: is it a policy, does it take its settings, what does it decide about the
//! scenarios, and what does it cost when there is much to decide.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use domain::policy::scaling::{InstancePhase, ScalingBounds, ScalingInput, ScalingInstance, ScalingType};
use domain::policy::{Description, Digest, PolicyKind, Settings};
use domain::schedule::ScheduleSettings;
use domain::schedule::policies::{
    QuotaInput, QuotaUser, RoutingClient, RoutingInput, RoutingJob, RoutingKind, RoutingShape,
};
use domain::{ClientName, JobId, Labels, Limits, Requires, ServiceName, Slots};
use policy_host::{Budget, Call, Cost, EngineError, Fault, Policy, PolicyHost};
use store::policies::{Chosen, Scope};

use super::activation::{Refusal, Step, StepDone};
use super::in_force::InForce;
use super::library::Library;
use super::rehearsal::{Rehearsal, rehearse};
use super::seat::Seat;

/// What is asked to see the cost: users of a quota policy, clients with a tenth as many jobs of a routing policy,
/// instances of a scaling policy. The last is ten times the largest live size.
const SIZES: [u32; 4] = [1, 100, 1_000, 10_000];
const ROUTED: [u32; 4] = [1, 10, 100, 1_000];

/// What came of it.
pub struct Checked {
    pub kind: PolicyKind,
    pub digest: Digest,
    pub description: Description,
    pub steps: Vec<StepDone>,
    pub rehearsal: Rehearsal,
    pub costs: Vec<Priced>,
}

/// What one question cost.
pub struct Priced {
    /// What it was about, for people.
    pub about: String,
    pub cost: Cost,
    /// Fuel that it may use.
    pub budget: u64,
    /// Also where the budget was exceeded.
    pub fault: Option<Fault>,
}

/// Why it could not be looked at, or how far it came.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("{refusal}")]
    Refused { done: Vec<StepDone>, refusal: Refusal },
}

/// Goes through the steps of an activation, as far as they go without a server.
///
/// # Errors
/// The step that failed, with those that went well.
pub fn check(bytes: &[u8], settings: &Settings) -> Result<Checked, CheckError> {
    let host = PolicyHost::new(Budget::default(), None)?;
    let mut scope = Scope { kind: PolicyKind::Quota, service: None };
    let mut steps = Vec::new();
    let begun = Instant::now();
    let component = host.load(bytes).map_err(|error| refused(&steps, &scope, Step::Compile, &error))?;
    scope.kind = component.kind();
    steps.push(done(&scope, Step::Compile, begun, format!("a {} policy", scope.kind)));

    let begun = Instant::now();
    let policy = component.configure(settings).map_err(|error| refused(&steps, &scope, Step::Configure, &error))?;
    let description = policy.description().clone();
    let note = format!("{} {}", description.name, description.version);
    steps.push(done(&scope, Step::Configure, begun, note));

    let begun = Instant::now();
    let chosen = Chosen { name: description.name.clone(), digest: component.digest(), settings: settings.clone() };
    let policy = Arc::new(policy);
    let seat = Arc::new(Seat::new(scope.clone(), chosen, Ok(policy.clone()), None));
    let rehearsed = rehearse(&built_in(), &seat, &[], ScheduleSettings::default());
    let rehearsal = rehearsed.map_err(|why| CheckError::Refused {
        done: steps.clone(),
        refusal: Refusal { scope: scope.clone(), step: Step::Rehearse, why },
    })?;
    steps.push(done(&scope, Step::Rehearse, begun, format!("{} scenarios", rehearsal.scenarios)));
    let costs = costs(&policy);
    Ok(Checked { kind: scope.kind, digest: component.digest(), description, steps, rehearsal, costs })
}

/// The built-in policies decide all but what the candidate does.
pub(super) fn built_in() -> InForce {
    let seat = |kind| {
        let (name, digest) = Library::default_of(kind);
        let chosen = Chosen { name, digest, settings: Settings::default() };
        Arc::new(Seat::new(Scope { kind, service: None }, chosen, Err("the built-in one decides".to_owned()), None))
    };
    InForce::new(0, PolicyKind::ALL.map(seat), [])
}

fn refused(done: &[StepDone], scope: &Scope, step: Step, error: &dyn std::error::Error) -> CheckError {
    let refusal = Refusal { scope: scope.clone(), step, why: crate::runtime::chain(error) };
    CheckError::Refused { done: done.to_vec(), refusal }
}

fn done(scope: &Scope, step: Step, begun: Instant, note: String) -> StepDone {
    StepDone { scope: scope.clone(), step, took: begun.elapsed(), note }
}

fn costs(policy: &Policy) -> Vec<Priced> {
    match policy.kind() {
        PolicyKind::Quota => SIZES.into_iter().filter_map(|users| quota(policy, users)).collect(),
        PolicyKind::Routing => ROUTED.into_iter().filter_map(|clients| routing(policy, clients)).collect(),
        PolicyKind::Scaling => SIZES.into_iter().map(|instances| scaling(policy, instances)).collect(),
    }
}

fn priced<A>(about: String, records: usize, call: Call<A>) -> Priced {
    Priced { about, cost: call.cost, budget: Budget::default().fuel_for(records), fault: call.answer.err() }
}

/// Each user has ten jobs waiting; a tenth of the users can have one.
fn quota(policy: &Policy, users: u32) -> Option<Priced> {
    let service: ServiceName = "example".parse().ok()?;
    let user = |id: u32| {
        Some(QuotaUser {
            user: i64::from(id).try_into().ok()?,
            placeable: 5,
            queued: 10,
            active: id % 3,
            active_everywhere: id % 3,
            oldest_wait_ms: u64::from(id) * 1_000,
            top_priority: i32::try_from(id % 7).ok()?,
            last_turn: u64::from(id),
            usage: f64::from(id),
        })
    };
    let slots = users.div_ceil(10).max(10);
    let limits = Limits { runs_per_user: 5, max_runs: users.saturating_mul(5) };
    let asked: Vec<QuotaUser> = (0..users).filter_map(user).collect();
    let records = asked.len();
    let input = QuotaInput { service: &service, limits, active: users, free_slots: slots, users: asked };
    Some(priced(format!("{users} users, {slots} free slots"), records, policy.grant(&input)))
}

/// A tenth as many jobs as clients, of one shape.
fn routing(policy: &Policy, clients: u32) -> Option<Priced> {
    let service: ServiceName = "example".parse().ok()?;
    let names: Vec<ClientName> =
        (0..clients).map(|number| format!("http://client-{number}:9000").parse().ok()).collect::<Option<_>>()?;
    let (services, labels, requires) = (BTreeSet::from([service.clone()]), Labels::default(), Requires::default());
    let jobs = clients.div_ceil(10);
    let client = |(name, free)| RoutingClient { name, kind: 0, slots: 8, free, running: 8 - free, recent_failures: 0 };
    let job = |id: u32| RoutingJob { job: JobId(id.into()), shape: 0, attempt: 0, last_client: None };
    let input = RoutingInput {
        jobs: (1..=jobs).map(job).collect(),
        shapes: vec![RoutingShape { service: &service, slots: Slots::ONE, requires: &requires, kinds: vec![0] }],
        clients: names.iter().zip((1..=8).cycle()).map(client).collect(),
        kinds: vec![RoutingKind { services: &services, labels: &labels }],
    };
    let records = input.jobs.len() + input.clients.len() + input.kinds.len();
    Some(priced(format!("{clients} clients, {jobs} jobs"), records, policy.place(&input)))
}

/// All idle, a tenth as many wanted.
fn scaling(policy: &Policy, instances: u32) -> Priced {
    let instance = |age: u32| ScalingInstance {
        of_type: Some(0),
        state: InstancePhase::Ready,
        age_s: u64::from(age) + 1_000,
        running: age % 2,
        idle_s: u64::from(age % 2) * 1_000,
    };
    let of = ScalingType { name: "c7i.large".to_owned(), price_per_hour: 0.09, slots: 4, available: true };
    let input = ScalingInput {
        pool: "burst".to_owned(),
        demand: instances / 10,
        waiting: u64::from(instances),
        instances: (0..instances).map(instance).collect(),
        types: vec![of],
        bounds: ScalingBounds { max: instances.saturating_mul(2), idle_s: 600, ..ScalingBounds::default() },
        ..ScalingInput::default()
    };
    let records = input.instances.len() + input.types.len();
    priced(format!("{instances} instances"), records, policy.scale(&input))
}
