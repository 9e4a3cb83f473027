//! How many instances there shall be: looks at all pools at once, asks the scaling policy, and acts within all bounds.
//!
//! - `observe` is one instant of all pools, out of the store,
//! - `judge` is pure but for the policies that are asked: what each pool needs, and what is to be done,
//! - `act` commits a plan and makes the calls that follow,
//! - `reconcile` is a loop of its own: what providers list, held against the rows.

mod act;
mod judge;
mod observe;
mod reconcile;

use std::time::{Duration, Instant};

use domain::pool::Moment;
use store::StoreError;

pub use act::Hand;
pub use reconcile::Reconcile;

use crate::runtime::{Loop, Next};
use crate::server::parts::Parts;
use act::Told;
use observe::Observer;

/// Between two looks while something waits or is there: every bound of a pool is in seconds.
const TICK: Duration = Duration::from_secs(1);
/// After a look, so many times as long as it took: however often something changes, a fifth of one processor is used.
const REST: u32 = 4;

/// The loop that decides.
pub struct Autoscale {
    parts: Parts,
    observer: Observer,
    hand: Hand,
    told: Told,
    rests_until: Instant,
}

/// Why a round failed.
#[derive(Debug, thiserror::Error)]
pub enum AutoscaleError {
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Autoscale {
    #[must_use]
    pub fn new(parts: Parts, hand: Hand) -> Self {
        let started = parts.store.now().moment();
        let observer = Observer::new(parts.clone(), started);
        Self { observer, hand, told: Told::default(), rests_until: Instant::now(), parts }
    }

    fn now(&self) -> Moment {
        self.parts.store.now().moment()
    }
}

impl Loop for Autoscale {
    type Error = AutoscaleError;

    fn name(&self) -> String {
        "autoscale".to_owned()
    }

    async fn run_once(&mut self) -> Result<Next, AutoscaleError> {
        tokio::time::sleep_until(self.rests_until.into()).await;
        let (begun, now) = (Instant::now(), self.now());
        let scene = self.observer.look(now).await?;
        let policies = &self.parts.policies;
        // A policy may take its whole budget of processor time: the other tasks of this thread go on elsewhere.
        let (judged, asked) = tokio::task::block_in_place(|| {
            policies.consult(|deciding| judge::judge(&scene, &self.parts, deciding, now))
        });
        self.rests_until = Instant::now() + begun.elapsed() * REST;
        policies.settle(&asked).await?;
        if self.parts.outlook.put(judged.reasons) {
            self.parts.wakes.dispatch.wake();
        }
        for pool in judged.pools {
            self.hand.carry_out(pool).await?;
        }
        for actions in scene.removed(now) {
            self.hand.wind_down(actions).await?;
        }
        self.hand.end_what_drained(&mut self.told);
        let is_quiet = judged.is_idle && self.parts.store.pools().live().next().is_none();
        Ok(if is_quiet { Next::WhenWoken } else { Next::After(TICK) })
    }
}
