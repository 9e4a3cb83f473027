//! Carries out what was decided: rows first, then the calls, then what came of them.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use domain::pool::plan::Action;
use domain::pool::{InstanceId, InstanceState, Launch, ProviderId, ProviderName, ServerId, Tag};
use store::StoreError;
use store::instances::{Happened, InstanceApplied, InstanceRow, Judgement, NewInstance, Round, RoundDone};

use super::judge::JudgedPool;
use crate::config::pool_settings::{Pool, PoolProvider};
use crate::runtime::crash::CrashPoint;
use crate::runtime::{OnEnd, chain};
use crate::server::parts::Parts;
use crate::server::provider::{self, Order, Providers};

/// Between two calls to end the same instance.
const REPEAT_END: Duration = Duration::from_secs(30);

/// What both loops act with. Cheap to clone.
#[derive(Clone)]
pub struct Hand {
    parts: Parts,
    providers: Arc<Providers>,
    server: ServerId,
}

/// When a provider was last told to end what shall end.
#[derive(Debug, Default)]
pub(super) struct Told(HashMap<InstanceId, Instant>);

impl Hand {
    #[must_use]
    pub fn new(parts: Parts, providers: Arc<Providers>, server: ServerId) -> Self {
        Self { parts, providers, server }
    }

    /// Commits a plan, and asks for what it launches.
    ///
    /// # Errors
    /// Nothing was committed.
    pub(super) async fn carry_out(&self, judged: JudgedPool) -> Result<(), StoreError> {
        let JudgedPool { pool, plan, numbers, author } = judged;
        for breach in &plan.breaches {
            tracing::warn!(pool = %pool.settings.name, %breach, "a scaling policy's answer was not followed");
        }
        let launches = plan.actions.iter().filter_map(|action| match action {
            Action::Launch(launch) => self.made_ready(&pool, launch),
            _ => None,
        });
        let round = Round {
            launches: launches.collect(),
            events: plan.actions.iter().filter_map(Happened::planned).collect(),
            decision: Some(Judgement {
                pool: pool.settings.name.clone(),
                numbers,
                author,
                reason: plan.reason,
                capped: plan.capped,
                lessons: plan.lessons,
            }),
        };
        let orders: Vec<_> = round.launches.iter().map(|new| new.parameters.clone()).collect();
        let done = self.commit(round).await?;
        for (launched, parameters) in done.launched.into_iter().zip(orders) {
            match launched {
                Ok(row) => {
                    tracing::info!(instance.id = %row.id(), pool = %row.instance.pool, of_type = %row.instance.launch.of_type, "launching");
                    CrashPoint::InstanceRequested.passed();
                    // It lists more often while an answer is awaited, which may be lost.
                    self.parts.wakes.reconcile(&row.provider).wake();
                    self.ask(row, parameters);
                }
                Err(refusal) => tracing::debug!(pool = %pool.settings.name, %refusal, "not launched"),
            }
        }
        Ok(())
    }

    /// The row of a launch, with all that its call repeats.
    fn made_ready(&self, pool: &Pool, launch: &Launch) -> Option<NewInstance> {
        let id = self.parts.store.new_instance_id();
        let tag = Tag { server: self.server.clone(), pool: pool.settings.name.clone(), instance: id };
        let boot = self.parts.joining.boot(pool, id, launch);
        match boot.and_then(|boot| Providers::prepare(pool, &tag, launch, boot)) {
            Ok(parameters) => Some(NewInstance {
                id,
                pool: pool.settings.name.clone(),
                provider: provider::name_of(&pool.provider),
                launch: launch.clone(),
                parameters,
            }),
            Err(error) => {
                tracing::error!(pool = %pool.settings.name, error = chain(&error), "cannot be launched as configured");
                None
            }
        }
    }

    /// What the repeat of a launch is asked with. A process is told where this server is now; for a machine each byte has
    /// to be as it was.
    pub(super) fn repeated(&self, row: &InstanceRow, kept: Vec<u8>) -> Vec<u8> {
        let pools = &self.parts.settings.scaling.pools;
        let pool = pools.iter().find(|pool| pool.settings.name == row.instance.pool);
        match pool.filter(|pool| pool.provider == PoolProvider::Process) {
            Some(pool) => self.parts.joining.boot(pool, row.id(), &row.instance.launch).unwrap_or(kept),
            None => kept,
        }
    }

    /// What is to be done about a pool that is not configured any more.
    ///
    /// # Errors
    /// Nothing was committed.
    pub(super) async fn wind_down(&self, actions: Vec<Action>) -> Result<(), StoreError> {
        let events = actions.iter().filter_map(Happened::planned).collect();
        self.commit(Round { events, ..Round::default() }).await.map(drop)
    }

    /// Commits, and tells who has to know.
    ///
    /// # Errors
    /// Nothing was committed.
    pub(super) async fn commit(&self, round: Round) -> Result<RoundDone, StoreError> {
        commit(&self.parts, round).await
    }

    /// Asks a provider for the instance of a row, beside everything else.
    pub(super) fn ask(&self, row: Arc<InstanceRow>, parameters: Vec<u8>) {
        let (parts, providers) = (self.parts.clone(), self.providers.clone());
        let tag = Tag { server: self.server.clone(), pool: row.instance.pool.clone(), instance: row.id() };
        let order = Order { tag, launch: row.instance.launch.clone(), parameters };
        self.parts.tasks.spawn("launch", OnEnd::Done, async move {
            let outcome = providers.launch(&row.provider, &order).await;
            CrashPoint::InstanceAnswered.passed();
            let round = Round { events: vec![Happened::new(row.id(), outcome)], ..Round::default() };
            if let Err(error) = commit(&parts, round).await {
                tracing::error!(instance.id = %row.id(), error = chain(&error), "what came of a launch is not recorded; its tags say it");
            }
        });
    }

    /// Tells the providers to end what shall end.
    pub(super) fn end_what_drained(&self, told: &mut Told) {
        let pools = self.parts.store.pools();
        let mut ends: BTreeMap<ProviderName, Vec<ProviderId>> = BTreeMap::new();
        told.0.retain(|id, _| pools.instance(*id).is_some());
        for row in pools.live() {
            let InstanceState::Terminating { provider, .. } = &row.instance.state else { continue };
            let is_told = told.0.get(&row.id()).is_some_and(|at| at.elapsed() < REPEAT_END);
            if !is_told {
                told.0.insert(row.id(), Instant::now());
                ends.entry(row.provider.clone()).or_default().push(provider.clone());
            }
        }
        for (name, instances) in ends {
            CrashPoint::InstanceEnding.passed();
            self.end(name, instances);
        }
    }

    /// Tells a provider to end instances, beside everything else.
    pub(super) fn end(&self, name: ProviderName, instances: Vec<ProviderId>) {
        let (providers, wake) = (self.providers.clone(), self.parts.wakes.reconcile(&name));
        self.parts.tasks.spawn("end of instances", OnEnd::Done, async move {
            providers.terminate(&name, &instances).await;
            wake.wake();
        });
    }
}

/// Commits, and tells who has to know.
async fn commit(parts: &Parts, round: Round) -> Result<RoundDone, StoreError> {
    let done = parts.store.scale(round).await?;
    let mut moved = false;
    for applied in &done.applied {
        let InstanceApplied::Yes(row) = applied else { continue };
        moved = true;
        let (instance, state) = (&row.instance, row.instance.state.as_str());
        match &instance.state {
            InstanceState::Gone { why, .. } | InstanceState::Terminating { why, .. } => {
                tracing::info!(instance.id = %row.id(), pool = %instance.pool, state, why = %why, "instance");
            }
            InstanceState::Draining { why, .. } => {
                tracing::info!(instance.id = %row.id(), pool = %instance.pool, state, why = %why, "instance");
            }
            _ => tracing::info!(instance.id = %row.id(), pool = %instance.pool, state, "instance"),
        }
    }
    if moved {
        parts.wakes.members.wake();
        parts.wakes.autoscale.wake();
        parts.wakes.dispatch.wake();
    }
    Ok(done)
}
