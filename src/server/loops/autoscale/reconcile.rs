//! What a provider lists, held against the rows: at the start, every minute, and sooner while something is on its way.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use domain::pool::instance::Call;
use domain::pool::reconcile::{Reconciled, Survey, restarted};
use domain::pool::{
    Event, Instance, InstanceId, InstanceState, ProviderId, ProviderName, ServerId, Sightings, reconcile,
};
use store::StoreError;
use store::instances::{Happened, InstanceApplied, InstanceRow, Round};

use super::act::Hand;
use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;
use crate::server::provider::{ProviderError, Providers};

/// Between two lists.
const EVERY: Duration = Duration::from_secs(60);
/// The same while an end or the answer to a launch is awaited, or something unexplained was seen.
const SOON: Duration = Duration::from_secs(5);

/// The loop of one provider.
pub struct Reconcile {
    parts: Parts,
    providers: Arc<Providers>,
    provider: ProviderName,
    /// This server's id and those that its database had before.
    ours: BTreeSet<ServerId>,
    hand: Hand,
    sightings: Sightings,
    is_begun: bool,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    #[error("what is there cannot be listed")]
    List(#[from] ProviderError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Reconcile {
    #[must_use]
    pub fn new(
        parts: Parts,
        providers: Arc<Providers>,
        provider: ProviderName,
        ours: BTreeSet<ServerId>,
        hand: Hand,
    ) -> Self {
        Self { parts, providers, provider, ours, hand, sightings: Sightings::default(), is_begun: false }
    }

    fn rows(&self) -> Vec<Arc<InstanceRow>> {
        let pools = self.parts.store.pools();
        pools.live().filter(|row| row.provider == self.provider).cloned().collect()
    }

    /// Nothing is known of a call that was under way when the server ended.
    async fn begin(&mut self) -> Result<(), StoreError> {
        let rows = self.rows();
        let instances: Vec<&Instance> = rows.iter().map(|row| &row.instance).collect();
        let events = restarted(&instances).into_iter().map(|(id, event)| Happened::new(id, event));
        self.hand.commit(Round { events: events.collect(), ..Round::default() }).await?;
        self.is_begun = true;
        Ok(())
    }

    /// Rows whose client was heard of and is not silent now.
    fn heard(&self, rows: &[Arc<InstanceRow>]) -> BTreeSet<InstanceId> {
        let is_heard = |row: &&Arc<InstanceRow>| {
            let member = row.client.as_ref().and_then(|client| self.parts.pool.member(&client.name));
            member.is_some_and(|member| member.is_heard())
        };
        rows.iter().filter(is_heard).map(|row| row.id()).collect()
    }

    /// What has work and no live row: a client that did not take its leave yet.
    fn working(&self) -> BTreeSet<ProviderId> {
        let pools = self.parts.store.pools();
        let members = self.parts.pool.members().into_iter();
        let unknown = members.filter(|member| member.is_joined() && pools.instance_of(&member.name).is_none());
        let busy = unknown.filter(|member| !self.parts.store.client_work(&member.name).active.is_empty());
        busy.filter_map(|member| member.provider()).collect()
    }

    async fn apply(&mut self, found: Reconciled) -> Result<(), StoreError> {
        let events = found.events.into_iter().map(|(id, event)| Happened::new(id, event));
        let repeats = found.repeat.into_iter().map(|id| Happened::new(id, Event::LaunchRepeated));
        let round = Round { events: events.chain(repeats).collect(), ..Round::default() };
        let done = if round.events.is_empty() { None } else { Some(self.hand.commit(round).await?) };
        for applied in done.into_iter().flat_map(|done| done.applied) {
            let InstanceApplied::Yes(row) = applied else { continue };
            if matches!(row.instance.state, InstanceState::Requested { call: Call::Open { repeated: true } }) {
                let kept = self.parts.store.launch_parameters(row.id()).await?.unwrap_or_default();
                let parameters = self.hand.repeated(&row, kept);
                self.hand.ask(row, parameters);
            }
        }
        if !found.terminate.is_empty() {
            self.hand.end(self.provider.clone(), found.terminate);
        }
        self.sightings = found.sightings;
        Ok(())
    }

    fn is_anything_on_its_way(&self) -> bool {
        let awaited = |row: &Arc<InstanceRow>| {
            matches!(row.instance.state, InstanceState::Requested { .. } | InstanceState::Terminating { .. })
        };
        self.sightings != Sightings::default() || self.rows().iter().any(awaited)
    }
}

impl Loop for Reconcile {
    type Error = ReconcileError;

    fn name(&self) -> String {
        format!("reconcile {}", self.provider)
    }

    async fn run_once(&mut self) -> Result<Next, ReconcileError> {
        if !self.is_begun {
            self.begin().await?;
        }
        // The list first: as a row is committed before its call, nothing listed is without its row.
        let listed = self.providers.list(&self.provider, &self.ours).await?;
        let rows = self.rows();
        let instances: Vec<&Instance> = rows.iter().map(|row| &row.instance).collect();
        let survey = Survey {
            ours: &self.ours,
            rows: &instances,
            heard: &self.heard(&rows),
            working: &self.working(),
            listed: &listed,
            not_found_after: Providers::not_found_after(&self.provider),
        };
        let found = reconcile(survey, &self.sightings, self.parts.store.now().moment());
        self.apply(found).await?;
        let pools = self.parts.store.pools();
        self.providers.tidy(&self.provider, |id| pools.instance(id).is_some())?;
        Ok(Next::After(if self.is_anything_on_its_way() { SOON } else { EVERY }))
    }
}
