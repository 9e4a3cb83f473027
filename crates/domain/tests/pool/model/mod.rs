//! Thousands of random orders of everything that can happen, against the core and a simulated cloud.
//!
//! After every step: never more instances than may be, no machine with work ended, no stranger touched. Once the faults
//! stop: every job that fits somewhere is done, nothing is left over, and all pools are back to none.

mod cloud;
mod server;

use std::collections::BTreeSet;

use domain::JobId;
use domain::pool::instance::{DrainReason, Event, RefusalKind};
use domain::pool::{InstanceId, Lifecycle, Money, PoolSettings};
use proptest::collection::vec;
use proptest::prelude::*;

use crate::given::{SECOND, of_type};
use cloud::{Cloud, Fault};
use server::{Job, World};

#[derive(Debug, Clone)]
enum Step {
    Arrive { user: i64, shape: usize, jobs: usize },
    Plan,
    Apply,
    Call,
    Dispatch,
    Reconcile,
    Pass(u64),
    ClockJump(i64),
    Crash { made: u32, forgets: bool },
    Next(Fault),
    ListIsEmpty(u64),
    Full(usize, usize),
    Vanish(usize),
    Cut(usize, u64),
    SpotNotice(usize),
    Operator { instance: usize, what: usize },
}

/// Service, slots, requirements.
const SHAPES: [(&str, u32, &str); 5] =
    [("example", 1, ""), ("example", 2, ""), ("example", 1, "gpu"), ("other", 1, ""), ("example", 1, "nowhere")];

fn any_fault() -> impl Strategy<Value = Fault> {
    let refusals =
        [RefusalKind::NoCapacity, RefusalKind::Throttled, RefusalKind::Limit, RefusalKind::Denied, RefusalKind::Other];
    prop_oneof![
        2 => proptest::sample::select(refusals.to_vec()).prop_map(Fault::Refuses),
        2 => any::<bool>().prop_map(|made| Fault::AnswerLost { made }),
        1 => Just(Fault::TokenTaken),
        2 => Just(Fault::NeverBoots),
        1 => Just(Fault::BootsLate),
        1 => Just(Fault::OffersLess),
        1 => Just(Fault::TerminationLost),
    ]
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1_i64..4, 0_usize..5, 1_usize..5).prop_map(|(user, shape, jobs)| Step::Arrive { user, shape, jobs }),
        10 => Just(Step::Plan),
        10 => Just(Step::Apply),
        14 => Just(Step::Call),
        8 => Just(Step::Dispatch),
        5 => Just(Step::Reconcile),
        12 => (1_u64..60).prop_map(Step::Pass),
        2 => (60_u64..900).prop_map(Step::Pass),
        1 => (-2_000_i64..2_000).prop_map(Step::ClockJump),
        2 => (any::<u32>(), any::<bool>()).prop_map(|(made, forgets)| Step::Crash { made, forgets }),
        5 => any_fault().prop_map(Step::Next),
        1 => (1_u64..700).prop_map(Step::ListIsEmpty),
        1 => (0_usize..3, 0_usize..2).prop_map(|(of_type, place)| Step::Full(of_type, place)),
        1 => any::<usize>().prop_map(Step::Vanish),
        1 => (any::<usize>(), 1_u64..900).prop_map(|(machine, seconds)| Step::Cut(machine, seconds)),
        1 => any::<usize>().prop_map(Step::SpotNotice),
        2 => (any::<usize>(), 0_usize..4).prop_map(|(instance, what)| Step::Operator { instance, what }),
    ]
}

/// Two pools that share a service, of unlike machines.
fn pools() -> Vec<PoolSettings> {
    let pool = |name: &str, services: &[&str], types, max| {
        let services = services.iter().map(|service| service.parse().unwrap()).collect();
        let places = ["a", "b"].map(|place| place.parse().unwrap()).to_vec();
        let settings = PoolSettings::new(name.parse().unwrap(), services, types, places);
        PoolSettings { max, lifecycle: Lifecycle::Spot, ..settings }
    };
    let mut pools = vec![
        pool("near", &["example"], vec![of_type("small", 0.1, 2, ""), of_type("other", 0.1, 2, "")], 3),
        pool("far", &["example", "other"], vec![of_type("plain", 0.2, 4, ""), of_type("gpu", 0.5, 2, "gpu")], 2),
    ];
    // For two of its three.
    pools[0].max_cost_per_hour = Some(Money(250_000));
    pools
}

fn run(world: &mut World, step: &Step) {
    match step {
        Step::Arrive { user, shape, jobs } => {
            for _ in 0..*jobs {
                let (service, slots, requires) = SHAPES[*shape];
                let id = JobId(i64::try_from(world.jobs.len()).unwrap() + 1);
                let shape = domain::schedule::snapshot::Shape {
                    slots: slots.try_into().unwrap(),
                    requires: requires.parse().unwrap(),
                };
                let (service, arrived) = (service.parse().unwrap(), world.time);
                world.jobs.insert(id, Job { service, user: *user, shape, arrived, on: None, done: false });
            }
        }
        Step::Plan => world.plan(),
        Step::Apply => world.apply(),
        Step::Call => world.call(),
        Step::Dispatch => world.dispatch(),
        Step::Reconcile => world.reconcile(),
        Step::Pass(seconds) => world.pass(seconds * SECOND),
        Step::ClockJump(seconds) => world.skew += seconds * 1_000,
        Step::Crash { made, forgets } => world.crash(*made, *forgets),
        Step::Next(fault) => world.cloud.fault = Some(*fault),
        Step::ListIsEmpty(seconds) => world.cloud.list_is_empty_until = world.time + seconds * SECOND,
        Step::Full(of_type, place) => {
            let (of_type, place) = (["small", "other", "plain"][*of_type], ["a", "b"][*place]);
            world.cloud.full.insert((of_type.to_owned(), place.to_owned()));
        }
        Step::Vanish(index) => {
            let time = world.time;
            pick(world.cloud.machines.iter_mut().filter(|machine| Cloud::is_ours(machine)).collect(), *index)
                .map(|machine| machine.ended_at.get_or_insert(time));
        }
        Step::Cut(index, seconds) => {
            let until = world.time + seconds * SECOND;
            let machines = world.cloud.machines.iter_mut().filter(|machine| Cloud::is_ours(machine)).collect();
            if let Some(machine) = pick(machines, *index) {
                machine.cut_until = until;
            }
        }
        Step::SpotNotice(index) => {
            let doomed = world.time + 120 * SECOND;
            let machines = world.cloud.machines.iter_mut().filter(|machine| Cloud::is_ours(machine)).collect();
            let Some(machine) = pick(machines, *index) else { return };
            machine.doomed_at.get_or_insert(doomed);
            let id = machine.tag.as_ref().unwrap().instance;
            world.commit(id, &Event::Drain { why: DrainReason::SpotNotice, deadline: None });
        }
        Step::Operator { instance, what } => {
            let ids: Vec<InstanceId> = world.live().map(|row| row.id).collect();
            let Some(id) = pick(ids, *instance) else { return };
            match what {
                0 => world.commit(id, &Event::Drain { why: DrainReason::Operator, deadline: None }),
                1 => world.commit(id, &Event::Undrain),
                protect => world.rows.get_mut(&id).unwrap().protected = *protect == 2,
            }
        }
    }
}

fn pick<T>(mut among: Vec<T>, index: usize) -> Option<T> {
    let index = index.checked_rem(among.len())?;
    Some(among.swap_remove(index))
}

/// What holds after every step.
fn check(world: &World) {
    for settings in &world.settings {
        let live = world.live().filter(|row| row.pool == settings.name).count();
        assert!(live <= settings.max as usize, "{} has {live}", settings.name);
        let rows = world.live().filter(|row| row.pool == settings.name);
        let cost: Money = rows.map(|row| row.launch.price.per_hour()).sum();
        assert!(settings.max_cost_per_hour.is_none_or(|cap| cost <= cap), "{} costs {cost}", settings.name);
    }
    let (strangers, ours): (Vec<_>, Vec<_>) = world.cloud.machines.iter().partition(|machine| !Cloud::is_ours(machine));
    assert!(strangers.iter().all(|machine| machine.ended_at.is_none()), "a stranger's machine has ended");
    let rows: BTreeSet<InstanceId> = ours.iter().map(|machine| machine.tag.as_ref().unwrap().instance).collect();
    assert_eq!(rows.len(), ours.len(), "a row never makes two machines");
    for machine in ours.iter().filter(|machine| machine.ended_at.is_none()) {
        let row = &world.rows[&machine.tag.as_ref().unwrap().instance];
        assert!(row.state.is_live() || world.missing.contains(&row.id), "left behind: {machine:?} of {row:?}");
    }
}

/// The faults stop, operators put right what they changed, and the loops run.
fn settle(world: &mut World) {
    world.cloud.fault = None;
    world.cloud.full.clear();
    world.cloud.list_is_empty_until = 0;
    world.rows.values_mut().for_each(|row| row.protected = false);
    for round in 0.. {
        assert!(round < 400, "it does not settle: {world:#?}");
        // Somebody looks every now and then, and repairs what keeps coming up as less than it promises.
        if round % 50 == 0 {
            world.learnt.iter_mut().for_each(domain::pool::Learnt::resume);
        }
        world.reconcile();
        world.dispatch();
        let waiting = world.jobs.values().any(|job| job.on.is_none() && !job.done);
        let before = world.launches;
        world.plan();
        world.apply();
        assert!(waiting || world.launches == before, "nothing waits, and something is launched");
        (0..20).for_each(|_| world.call());
        check(world);
        world.pass(if left(world) == 0 { 100 } else { 20 } * SECOND);
        if world.live().count() == 0 && alive(world) == 0 && left(world) == 0 {
            return;
        }
    }
}

/// Jobs that fit somewhere and are not done.
fn left(world: &World) -> usize {
    let fits = |job: &&Job| !job.shape.requires.to_string().contains("nowhere");
    world.jobs.values().filter(fits).filter(|job| !job.done).count()
}

/// Machines of ours that have not ended.
fn alive(world: &World) -> usize {
    world.cloud.machines.iter().filter(|machine| Cloud::is_ours(machine) && machine.ended_at.is_none()).count()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn in_every_order_of_events_no_bound_breaks_and_it_returns_to_zero(steps in vec(any_step(), 0..150)) {
        let mut world = World::new(pools());
        for step in &steps {
            run(&mut world, step);
            check(&world);
        }
        settle(&mut world);
    }
}

/// Why the transaction that ends an instance has to look itself: between a plan and its turn everything may have changed.
#[test]
fn a_plan_that_comes_late_ends_nothing_that_has_work_by_now() {
    let mut world = World::new(pools());
    let job = |world: &mut World| {
        run(world, &Step::Arrive { user: 1, shape: 3, jobs: 1 });
        for step in [Step::Plan, Step::Apply, Step::Call, Step::Pass(60), Step::Dispatch] {
            run(world, &step);
        }
    };
    let operator = |what| Step::Operator { instance: 0, what };
    job(&mut world);
    run(&mut world, &Step::Pass(60));
    assert_eq!(left(&world), 0, "it came up and did its job");
    run(&mut world, &operator(0));
    run(&mut world, &Step::Plan);
    let stale = world.take_plans();
    run(&mut world, &operator(1));
    job(&mut world);
    run(&mut world, &operator(0));
    world.put_plans(stale);
    run(&mut world, &Step::Apply);
    run(&mut world, &Step::Call);
    check(&world);
    assert_eq!((left(&world), alive(&world)), (1, 1), "the job is on it");
    run(&mut world, &Step::Pass(60));
    assert_eq!(left(&world), 0, "and ends well");
}
