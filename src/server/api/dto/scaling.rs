//! Pools, instances, decisions and costs in JSON.

use std::collections::BTreeMap;

use domain::pool::memory::Wanted;
use domain::pool::{InstanceState, Lifecycle, Moment, Money, Place, TypeName};
use poem_openapi::Object;
use store::UnixMillis;
use store::instances::{Decision, Deed};
use time::OffsetDateTime;

use super::time;
use crate::server::operations::scaling::{Costs, InstanceInfo, PoolInfo};

/// A pool of instances that come and go.
#[derive(Debug, Object)]
#[oai(rename = "Pool")]
pub struct PoolDto {
    pub name: String,
    /// What its instances may be given work of.
    pub services: Vec<String>,
    /// `ec2` or `process`.
    pub provider: String,
    /// Instances at most, in whatever state but gone.
    pub max: u32,
    /// Instances that are there or asked for: all that are not gone.
    pub live: u32,
    pub requested: u32,
    pub booting: u32,
    pub ready: u32,
    pub draining: u32,
    pub terminating: u32,
    /// What all that is there costs an hour, in the currency of the configured prices.
    pub cost_per_hour: f64,
    /// What its instances cost since the first of the month (UTC), those that are gone too.
    pub spent_this_month: f64,
    #[oai(skip_serializing_if_is_none)]
    pub max_cost_per_hour: Option<f64>,
    #[oai(skip_serializing_if_is_none)]
    pub max_cost_per_month: Option<f64>,
    /// Why nothing is launched: `failed-boots` (several instances in a row did not come up), `refusals` (the provider
    /// refused several launches in a row), `denied` (it does not let the server launch anything) or `operator`. Missing
    /// while launches go on.
    #[oai(skip_serializing_if_is_none)]
    pub paused: Option<String>,
    /// When the pause began.
    #[oai(skip_serializing_if_is_none)]
    pub paused_since: Option<OffsetDateTime>,
    /// When one launch is tried again; missing where only an operator ends the pause.
    #[oai(skip_serializing_if_is_none)]
    pub paused_until: Option<OffsetDateTime>,
    /// The provider's own code for what it refused last.
    #[oai(skip_serializing_if_is_none)]
    pub refused: Option<String>,
    /// What the provider had none of when it was asked, and is not asked for again for a while.
    pub not_to_be_had: Vec<AbsentDto>,
    /// Types that came up for jobs and did not take them, and are not launched for such jobs again.
    pub launched_in_vain: Vec<InVainDto>,
    /// What the scaling policy decided last that did something or said something new.
    #[oai(skip_serializing_if_is_none)]
    pub last_decision: Option<ScalingDecisionDto>,
}

/// What is not to be had for a while.
#[derive(Debug, Object)]
#[oai(rename = "NotToBeHad")]
pub struct AbsentDto {
    #[oai(rename = "type")]
    pub of_type: String,
    pub place: String,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    /// When it is asked for again.
    pub until: OffsetDateTime,
}

/// A type that does not take some jobs, whatever it was expected to offer.
#[derive(Debug, Object)]
#[oai(rename = "LaunchedInVain")]
pub struct InVainDto {
    #[oai(rename = "type")]
    pub of_type: String,
    /// The jobs' service.
    pub service: String,
    /// The slots that each of them takes.
    pub slots: u32,
    /// The tests of labels that they make.
    pub requires: String,
}

/// All configured pools.
#[derive(Debug, Object)]
#[oai(rename = "Pools")]
pub struct PoolsDto {
    /// In the order of their names.
    pub pools: Vec<PoolDto>,
}

/// An instance of a pool, or the try to launch one.
#[derive(Debug, Object)]
#[oai(rename = "Instance")]
pub struct InstanceDto {
    pub id: i64,
    pub pool: String,
    /// `requested`, `booting`, `ready`, `draining`, `terminating` or `gone`.
    pub state: String,
    /// Who was asked for it: `ec2` or `process`.
    pub provider: String,
    /// The provider's id of it; missing before it has one, and once it is gone.
    #[oai(skip_serializing_if_is_none)]
    pub provider_id: Option<String>,
    /// The provider's name for its kind.
    #[oai(rename = "type")]
    pub of_type: String,
    /// The zone or subnet; `any` where the provider chose.
    pub place: String,
    /// `spot` or `on-demand`.
    pub lifecycle: String,
    /// When its state began.
    pub since: OffsetDateTime,
    pub requested_at: OffsetDateTime,
    /// When the provider said that it is there; it costs from then on.
    #[oai(skip_serializing_if_is_none)]
    pub launched_at: Option<OffsetDateTime>,
    /// Why it goes, or went.
    #[oai(skip_serializing_if_is_none)]
    pub why: Option<String>,
    /// The client that joined from it.
    #[oai(skip_serializing_if_is_none)]
    pub client: Option<String>,
    /// Jobs of its client that are not over, those whose results are awaited too.
    pub running: u32,
    /// What it cost until now, or in all, in the currency of the configured prices.
    pub cost: f64,
    /// Whether nothing but its provider ends it.
    pub protected: bool,
}

/// A page of instances.
#[derive(Debug, Object)]
#[oai(rename = "Instances")]
pub struct InstancesDto {
    /// Newest first.
    pub instances: Vec<InstanceDto>,
    /// The cursor of the next page; missing on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<String>,
}

/// What a scaling policy decided about a pool.
#[derive(Debug, Object)]
#[oai(rename = "ScalingDecision")]
pub struct ScalingDecisionDto {
    pub id: i64,
    pub pool: String,
    pub at: OffsetDateTime,
    /// The policy that decided.
    pub by: String,
    /// The policy's reason, and what kept it from more.
    pub reason: String,
    /// What was done.
    pub actions: Vec<ActionDto>,
    /// What kept it from more.
    pub capped: Vec<CappedDto>,
    /// Instances that were missing.
    pub demand: u32,
    /// Jobs that waited and fit.
    pub waiting: u64,
    /// Slots that were free on ready clients.
    pub free: u32,
    /// Instances that booted.
    pub booting: u32,
    /// Instances that were not gone.
    pub live: u32,
}

/// One thing that a decision did.
#[derive(Debug, Object)]
#[oai(rename = "ScalingAction")]
pub struct ActionDto {
    /// `launch`, `give-up`, `drain`, `undrain`, `terminate` or `end-busy`.
    pub action: String,
    pub instance: i64,
}

/// What kept a decision from more.
#[derive(Debug, Object)]
#[oai(rename = "ScalingCap")]
pub struct CappedDto {
    pub code: String,
    pub text: String,
    /// How often.
    pub count: u32,
}

/// Decisions about pools.
#[derive(Debug, Object)]
#[oai(rename = "ScalingDecisions")]
pub struct ScalingDecisionsDto {
    /// The last one first.
    pub decisions: Vec<ScalingDecisionDto>,
    /// The cursor of the next page; missing on the last one.
    #[oai(skip_serializing_if_is_none)]
    pub next: Option<String>,
}

/// What instances cost, in the currency of the configured prices.
#[derive(Debug, Object)]
#[oai(rename = "Costs")]
pub struct CostsDto {
    pub since: OffsetDateTime,
    pub total: f64,
    /// By pool.
    pub pools: BTreeMap<String, f64>,
    /// By who had the use of it.
    pub shares: Vec<ShareDto>,
    /// Of slots that nobody used.
    pub idle: f64,
}

/// What a user's jobs of a service cost.
#[derive(Debug, Object)]
#[oai(rename = "CostShare")]
pub struct ShareDto {
    pub service: String,
    pub user: i64,
    pub cost: f64,
}

fn at(moment: Moment) -> OffsetDateTime {
    time(UnixMillis(i64::try_from(moment.0).unwrap_or(i64::MAX)))
}

impl PoolDto {
    pub fn new(pool: PoolInfo) -> Self {
        let count = |state| pool.states.get(state).copied().unwrap_or(0);
        let settings = &pool.settings;
        Self {
            name: settings.name.to_string(),
            services: settings.services.iter().map(ToString::to_string).collect(),
            provider: pool.provider.to_string(),
            max: settings.max,
            live: pool.states.values().sum(),
            requested: count("requested"),
            booting: count("booting"),
            ready: count("ready"),
            draining: count("draining"),
            terminating: count("terminating"),
            cost_per_hour: pool.cost_per_hour.units(),
            spent_this_month: pool.spent_this_month.units(),
            max_cost_per_hour: settings.max_cost_per_hour.map(Money::units),
            max_cost_per_month: settings.max_cost_per_month.map(Money::units),
            paused: pool.pause.map(|pause| pause.cause.as_str().to_owned()),
            paused_since: pool.pause.map(|pause| at(pause.since)),
            paused_until: pool.pause.and_then(|pause| pause.until).map(at),
            refused: pool.refusal,
            not_to_be_had: pool.absent.into_iter().map(AbsentDto::new).collect(),
            launched_in_vain: pool.in_vain.into_iter().map(InVainDto::new).collect(),
            last_decision: pool.last_decision.map(ScalingDecisionDto::new),
        }
    }
}

impl AbsentDto {
    fn new((of_type, place, lifecycle, until): (TypeName, Place, Lifecycle, Moment)) -> Self {
        let (of_type, place, lifecycle) = (of_type.to_string(), place.to_string(), lifecycle.to_string());
        Self { of_type, place, lifecycle, until: at(until) }
    }
}

impl InVainDto {
    fn new((of_type, (service, shape)): (TypeName, Wanted)) -> Self {
        Self {
            of_type: of_type.to_string(),
            service: service.to_string(),
            slots: shape.slots.get(),
            requires: shape.requires.to_string(),
        }
    }
}

impl InstanceDto {
    pub fn new(info: InstanceInfo) -> Self {
        let InstanceInfo { row, since, why, running, cost } = info;
        let instance = row.instance;
        let has_left = matches!(instance.state, InstanceState::Gone { .. });
        Self {
            id: instance.id.0,
            pool: instance.pool.to_string(),
            state: instance.state.as_str().to_owned(),
            provider: row.provider.to_string(),
            provider_id: instance.state.provider().filter(|_| !has_left).map(ToString::to_string),
            of_type: instance.launch.of_type.to_string(),
            place: instance.launch.place.to_string(),
            lifecycle: instance.launch.lifecycle.to_string(),
            since: at(since),
            requested_at: at(instance.requested_at),
            launched_at: instance.launched_at.map(at),
            why,
            client: row.client.map(|client| client.name.to_string()),
            running,
            cost: cost.units(),
            protected: instance.protected,
        }
    }
}

impl ScalingDecisionDto {
    pub fn new(decision: Decision) -> Self {
        let Decision { id, pool, at, numbers, told } = decision;
        let capped = |by: store::instances::CappedBy| CappedDto { code: by.code, text: by.text, count: by.count };
        Self {
            id,
            pool: pool.to_string(),
            at: time(at),
            by: told.author.to_string(),
            reason: told.reason,
            actions: told.actions.iter().map(ActionDto::new).collect(),
            capped: told.capped.into_iter().map(capped).collect(),
            demand: numbers.demand,
            waiting: numbers.waiting,
            free: numbers.free_slots,
            booting: numbers.booting,
            live: numbers.live,
        }
    }
}

impl ActionDto {
    fn new(deed: &Deed) -> Self {
        let (action, instance) = match deed {
            Deed::Launch { instance, .. } => ("launch", instance),
            Deed::GiveUp { instance } => ("give-up", instance),
            Deed::Drain { instance, .. } => ("drain", instance),
            Deed::Undrain { instance } => ("undrain", instance),
            Deed::Terminate { instance } => ("terminate", instance),
            Deed::EndBusy { instance } => ("end-busy", instance),
        };
        Self { action: action.to_owned(), instance: instance.0 }
    }
}

impl CostsDto {
    pub fn new(costs: Costs, since: UnixMillis) -> Self {
        Self {
            since: time(since),
            total: costs.total.units(),
            pools: costs.pools.iter().map(|(pool, cost)| (pool.to_string(), cost.units())).collect(),
            shares: costs
                .shares
                .into_iter()
                .map(|share| ShareDto {
                    service: share.service.to_string(),
                    user: share.user.get(),
                    cost: share.cost.units(),
                })
                .collect(),
            idle: costs.idle.units(),
        }
    }
}
