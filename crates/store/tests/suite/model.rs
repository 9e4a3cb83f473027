//! Random histories beside a model that counts everything anew at every question.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::{AssignmentId, ClientState, End, Event, JobId, Progress, State, transition};
use proptest::prelude::*;
use store::{Applied, Report};

use crate::harness::{House, client, job, limits, proposal, record, service};

const USERS_LIMIT: u32 = 3;
const SERVICE_LIMIT: u32 = 5;
const SLOTS: [u32; 2] = [4, 3];

#[derive(Debug, Clone)]
enum Step {
    Accept {
        user: i64,
        slots: u32,
        priority: i32,
    },
    /// Jobs by their index, with a client each.
    Assign(Vec<(usize, usize)>),
    /// To the job's assignment, if it has one.
    Report(usize, Event),
    Kill(usize),
    Expire(usize),
    Drain(usize, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let event = prop_oneof![
        Just(Event::Delivered),
        Just(Event::NotDelivered),
        Just(Event::Started),
        Just(Event::Ended(End::Exit(0))),
        Just(Event::Ended(End::Exit(2))),
        Just(Event::Ended(End::CutOff)),
        Just(Event::ContactLost),
        Just(Event::ContactRegained { started: false }),
        Just(Event::DeclaredLost),
    ];
    prop_oneof![
        4 => (0..4i64, 1..4u32, -1..2i32).prop_map(|(user, slots, priority)| Step::Accept { user, slots, priority }),
        6 => prop::collection::vec((0..40usize, 0..2usize), 1..6).prop_map(Step::Assign),
        6 => (0..40usize, event).prop_map(|(job, event)| Step::Report(job, event)),
        1 => (0..40usize).prop_map(Step::Kill),
        1 => (0..40usize).prop_map(Step::Expire),
        1 => (0..2usize, any::<bool>()).prop_map(|(client, drain)| Step::Drain(client, drain)),
    ]
}

struct Job {
    user: i64,
    slots: u32,
    progress: Progress,
}

/// The store counts from 1.
fn number(index: usize) -> JobId {
    JobId(i64::try_from(index).unwrap() + 1)
}

#[derive(Default)]
struct Model {
    jobs: Vec<Job>,
    draining: [bool; 2],
}

impl Model {
    fn pick(&self, index: usize) -> Option<(JobId, usize)> {
        let index = index.checked_rem(self.jobs.len())?;
        Some((number(index), index))
    }

    fn active(&self) -> impl Iterator<Item = &Job> {
        self.jobs.iter().filter(|job| job.progress.state.status().is_active())
    }

    fn used(&self, index: usize) -> u32 {
        let on_it = self.active().filter(|job| job.progress.state.placement().unwrap().client == client(index));
        on_it.map(|job| job.slots).sum()
    }

    fn may_run(&self, job: &Job, on: usize) -> bool {
        job.progress.state == State::Queued
            && !self.draining[on]
            && self.active().count() < SERVICE_LIMIT as usize
            && self.active().filter(|other| other.user == job.user).count() < USERS_LIMIT as usize
            && self.used(on) + job.slots <= SLOTS[on]
    }

    fn assignment(&self, index: usize) -> Option<AssignmentId> {
        self.jobs[index].progress.state.placement().map(|placement| placement.assignment)
    }

    fn apply(&mut self, index: usize, event: &Event) -> bool {
        let next = transition(&self.jobs[index].progress, event);
        let applied = next.is_some();
        self.jobs[index].progress = next.unwrap_or_else(|| self.jobs[index].progress.clone());
        applied
    }
}

async fn play(steps: Vec<Step>) {
    let house = House::with(limits(USERS_LIMIT, SERVICE_LIMIT), &SLOTS).await;
    let half_lives = BTreeMap::from([(service(), Duration::from_secs(60))]);
    house.store.keep_usage(half_lives.clone()).await.unwrap();
    let mut model = Model::default();
    for step in steps {
        take(&house, &mut model, step).await;
    }
    for (index, job) in model.jobs.iter().enumerate() {
        assert_eq!(house.row(number(index)).await.progress, job.progress);
    }
    house.assert_agrees().await;
    for (index, slots) in SLOTS.iter().enumerate() {
        assert_eq!(house.store.clients()[index].used, model.used(index));
        house.store.put_client(record(index, *slots, ClientState::Joining)).await.unwrap();
    }
    let before = house.store.ledger_dump();
    let house = house.restart().await;
    house.store.keep_usage(half_lives).await.unwrap();
    assert_eq!(house.store.ledger_dump(), before);
}

async fn take(house: &House, model: &mut Model, step: Step) {
    match step {
        Step::Accept { user, slots, priority } => {
            house.store.accept(job(user, slots, priority)).await.unwrap();
            model.jobs.push(Job { user, slots, progress: Progress::accepted() });
        }
        Step::Assign(pairs) => {
            let picked = pairs.iter().filter_map(|(job, on)| model.pick(*job).map(|(id, index)| (id, index, *on)));
            let picked: Vec<_> = picked.collect();
            let proposals: Vec<_> = picked.iter().map(|(id, _, on)| proposal(*id, *on)).collect();
            let results = house.store.assign(proposals.clone()).await.unwrap();
            for (((_, index, on), proposal), result) in picked.iter().zip(proposals).zip(results) {
                assert_eq!(result.is_ok(), model.may_run(&model.jobs[*index], *on), "{result:?}");
                if result.is_ok() {
                    model.apply(*index, &Event::Assigned(proposal.placement));
                }
            }
        }
        Step::Report(job, event) => {
            let Some((_, index)) = model.pick(job) else { return };
            let Some(assignment) = model.assignment(index) else { return };
            let applied = house.store.apply(Report::new(assignment, event.clone())).await.unwrap();
            assert_eq!(matches!(applied, Applied::Yes { .. }), model.apply(index, &event));
        }
        Step::Kill(job) => {
            let Some((id, index)) = model.pick(job) else { return };
            house.store.request_kill(id, "a test".to_owned()).await.unwrap();
            model.apply(index, &Event::KillRequested);
        }
        Step::Expire(job) => {
            let Some((id, index)) = model.pick(job) else { return };
            let cleaned = house.store.expire(vec![id]).await.unwrap();
            assert_eq!(!cleaned.is_empty(), model.apply(index, &Event::Expired));
        }
        Step::Drain(on, drain) => {
            let state = if drain { ClientState::Draining } else { ClientState::Ready };
            house.store.put_client(record(on, SLOTS[on], state)).await.unwrap();
            model.draining[on] = drain;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_history_breaks_a_limit_or_the_ledger(steps in prop::collection::vec(step(), 1..80)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(play(steps));
    }
}
