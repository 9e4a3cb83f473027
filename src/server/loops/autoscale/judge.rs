//! What each pool needs and what is to be done about it. Pure but for the policies that are asked.

use std::collections::BTreeMap;

use domain::WaitReason;
use domain::policy::Author;
use domain::pool::memory::Wanted;
use domain::pool::{Moment, Plan, PoolDemand, imagine, plan, question, room, waiting};
use store::instances::Numbers;

use super::observe::Scene;
use crate::config::pool_settings::Pool;
use crate::server::operations::policy::Deciding;
use crate::server::parts::Parts;

/// What is to be done.
pub(super) struct Judged {
    pub pools: Vec<JudgedPool>,
    /// Why jobs wait that an instance could help.
    pub reasons: BTreeMap<Wanted, WaitReason>,
    /// Nothing waits that an instance could help.
    pub is_idle: bool,
}

/// The same of one pool.
pub(super) struct JudgedPool {
    pub pool: Pool,
    pub plan: Plan,
    pub numbers: Numbers,
    pub author: Author,
}

pub(super) fn judge(scene: &Scene, parts: &Parts, policies: &Deciding<'_>, now: Moment) -> Judged {
    let views = scene.views();
    let mut snapshot = parts.store.snapshot_with_room(&room(&views, now));
    parts.note_failures(&mut snapshot);
    let imagined = imagine(snapshot, &views, policies, now);
    let reasons = waiting::reasons(&views, &imagined, now);
    let pools = scene.pools.iter().zip(&views).zip(&imagined.pools).map(|((watched, view), demand)| {
        let question = question(view, demand, now);
        let (answer, author) = policies.scaling(&question.input);
        let plan = plan(view, demand, &question, &answer, now);
        JudgedPool { pool: watched.pool.clone(), plan, numbers: numbers(demand, view.live()), author }
    });
    let is_idle = imagined.pools.iter().all(|demand| demand.waiting == 0);
    Judged { pools: pools.collect(), reasons, is_idle }
}

fn numbers(demand: &PoolDemand, live: u32) -> Numbers {
    Numbers {
        demand: u32::try_from(demand.needs.len()).unwrap_or(u32::MAX),
        waiting: demand.waiting,
        free_slots: demand.free_slots,
        booting: demand.booting,
        live,
    }
}
