//! Whose policy decides. Made whole and then exchanged at once, so that no decision sees half of a change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ServiceName;
use domain::policy::PolicyKind;
use store::policies::Scope;

use super::seat::Seat;

/// One instant of all that was chosen.
#[derive(Debug, Clone)]
pub struct InForce {
    pub generation: u64,
    /// Those for every service are always there.
    seats: BTreeMap<Scope, Arc<Seat>>,
    defaults: [Arc<Seat>; 3],
}

impl InForce {
    /// `defaults` are for every service, in the order of [`PolicyKind::ALL`].
    pub fn new(generation: u64, defaults: [Arc<Seat>; 3], own: impl IntoIterator<Item = Arc<Seat>>) -> Self {
        Self { generation, defaults, seats: own.into_iter().map(|seat| (seat.scope.clone(), seat)).collect() }
    }

    /// The seat of a service: its own, or the one for every service.
    #[must_use]
    pub fn seat(&self, kind: PolicyKind, service: Option<&ServiceName>) -> &Arc<Seat> {
        let own = service.and_then(|service| self.seats.get(&Scope { kind, service: Some(service.clone()) }));
        own.unwrap_or_else(|| match kind {
            PolicyKind::Quota => &self.defaults[0],
            PolicyKind::Routing => &self.defaults[1],
            PolicyKind::Scaling => &self.defaults[2],
        })
    }

    /// The seat of exactly this scope.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> Option<&Arc<Seat>> {
        match &scope.service {
            Some(_) => self.seats.get(scope),
            None => Some(self.seat(scope.kind, None)),
        }
    }

    /// All, those for every service first.
    pub fn seats(&self) -> impl Iterator<Item = &Arc<Seat>> {
        self.defaults.iter().chain(self.seats.values())
    }

    /// A number for a seat of this instant; seats have different ones.
    #[must_use]
    pub fn position(&self, seat: &Arc<Seat>) -> usize {
        self.seats().position(|known| Arc::ptr_eq(known, seat)).unwrap_or(usize::MAX)
    }

    /// The same with one seat exchanged.
    #[must_use]
    pub fn with(&self, seat: Arc<Seat>) -> Self {
        let mut changed = self.clone();
        match (&seat.scope.service, seat.kind()) {
            (Some(_), _) => drop(changed.seats.insert(seat.scope.clone(), seat)),
            (None, PolicyKind::Quota) => changed.defaults[0] = seat,
            (None, PolicyKind::Routing) => changed.defaults[1] = seat,
            (None, PolicyKind::Scaling) => changed.defaults[2] = seat,
        }
        changed
    }

    /// The half-life that each of these services' quota policies asks for.
    pub fn half_lives<'a>(&self, services: impl Iterator<Item = &'a ServiceName>) -> BTreeMap<ServiceName, Duration> {
        let half_life = |service: &ServiceName| {
            let policy = self.seat(PolicyKind::Quota, Some(service)).policy.as_ref().ok()?;
            policy.description().usage_half_life
        };
        services.filter_map(|service| Some((service.clone(), half_life(service)?))).collect()
    }
}
