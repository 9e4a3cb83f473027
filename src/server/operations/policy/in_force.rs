//! Whose policy decides. Made whole and then exchanged at once, so that no decision sees half of a change.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::ServiceName;
use domain::policy::{PolicyKind, Settings};
use store::policies::{Chosen, PoliciesInForce, Scope};

use super::library::Library;
use super::seat::Seat;
use crate::runtime::chain;

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

    /// What the rows say, from seats that are known or from the library; and what does not load any more. A seat whose
    /// choice stays keeps its record, but for that of `renewed`.
    pub async fn load(
        library: &Library,
        rows: &PoliciesInForce,
        known: &[Arc<Seat>],
        renewed: Option<&Scope>,
    ) -> (Self, Vec<(Scope, String)>) {
        let mut broken = Vec::new();
        let mut own = Vec::new();
        let mut defaults = Vec::new();
        for kind in PolicyKind::ALL {
            let scope = Scope { kind, service: None };
            let chosen = rows.chosen(&scope).cloned();
            let by_default = chosen.is_none();
            let chosen = chosen.unwrap_or_else(|| {
                let (name, digest) = Library::default_of(kind);
                Chosen { name, digest, settings: Settings::default() }
            });
            defaults.push(seat(library, rows, known, renewed, (scope, chosen, by_default), &mut broken).await);
        }
        for row in rows.activations().filter(|row| row.scope.service.is_some()) {
            if let Some(chosen) = row.chosen.clone() {
                own.push(seat(library, rows, known, renewed, (row.scope.clone(), chosen, false), &mut broken).await);
            }
        }
        #[expect(clippy::expect_used, reason = "the loop above goes over an array of three")]
        let defaults = defaults.try_into().expect("a seat for each of the three kinds");
        (Self::new(rows.generation, defaults, own), broken)
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

async fn seat(
    library: &Library,
    rows: &PoliciesInForce,
    known: &[Arc<Seat>],
    renewed: Option<&Scope>,
    (scope, chosen, by_default): (Scope, Chosen, bool),
    broken: &mut Vec<(Scope, String)>,
) -> Arc<Seat> {
    let same = |seat: &&Arc<Seat>| seat.scope == scope && seat.chosen == chosen && seat.by_default == by_default;
    if let Some(seat) = known.iter().find(same).filter(|_| renewed != Some(&scope)) {
        return seat.clone();
    }
    let policy = match library.load(chosen.digest).await {
        Ok(component) => component.configure(&chosen.settings).map(Arc::new).map_err(|error| chain(&error)),
        Err(error) => Err(chain(&error)),
    };
    if let Err(why) = &policy {
        broken.push((scope.clone(), format!("{} cannot be asked, the built-in policy decides: {why}", chosen.name)));
    }
    let pin = rows.pins().get(&scope);
    let seat = Seat::new(scope, chosen, policy, pin);
    Arc::new(if by_default { seat.by_default() } else { seat })
}
