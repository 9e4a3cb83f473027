//! What a pool learns of its types.

use std::collections::BTreeSet;

use domain::pool::instance::{Event, RefusalKind};
use domain::pool::{Learnt, Lifecycle, Memory, Moment, Offer, PoolSettings, transition};

use crate::given::{SECOND, booting, instance, launch, refusal, settings, wanted};

const NOW: Moment = Moment(1_000_000);

/// `type place lifecycle` of what would be launched now, in the order of preference; the first is launched first.
fn choices(memory: &Memory, settings: &PoolSettings, now: Moment) -> Vec<String> {
    let tier = |of_type| {
        let (rank, lifecycle, place) = memory.tier(settings, of_type, now)?;
        Some((rank, format!("{} {place} {lifecycle}", of_type.name)))
    };
    let mut tiers: Vec<_> = settings.types.iter().filter_map(tier).collect();
    tiers.sort_by_key(|(rank, _)| *rank);
    tiers.into_iter().map(|(_, choice)| choice).collect()
}

#[test]
fn next_is_another_type_then_another_place_then_on_demand_then_nothing() {
    let (mut memory, settings) = (Memory::default(), settings());
    let mut asked = Vec::new();
    while let Some(choice) = choices(&memory, &settings, NOW).first() {
        asked.push(choice.clone());
        assert!(asked.len() < 20, "asked again and again: {asked:?}");
        let words: Vec<&str> = choice.split(' ').collect();
        let lifecycle = if words[2] == "spot" { Lifecycle::Spot } else { Lifecycle::OnDemand };
        let launch = launch(words[0], words[1], lifecycle, &[]);
        memory.refused(&launch, &refusal(RefusalKind::NoCapacity), &settings, NOW);
    }
    let expected = [
        "small a spot",
        "big a spot",
        "small b spot",
        "big b spot",
        "small a on-demand",
        "big a on-demand",
        "small b on-demand",
        "big b on-demand",
    ];
    assert_eq!(asked, expected);
    let absent = |now| {
        let told = memory.absent(now).map(|(of_type, place, lifecycle, until)| {
            assert_eq!(until, Moment(NOW.0 + 300 * SECOND));
            format!("{of_type} {place} {lifecycle}")
        });
        told.collect::<BTreeSet<String>>()
    };
    assert_eq!(absent(NOW), expected.map(str::to_owned).into());
    assert!(absent(Moment(NOW.0 + 300 * SECOND)).is_empty(), "forgotten");
    assert!(choices(&memory, &settings, Moment(NOW.0 + 300 * SECOND - 1)).is_empty());
    assert_eq!(choices(&memory, &settings, Moment(NOW.0 + 300 * SECOND)).len(), 2, "forgotten");
}

#[test]
fn what_a_refusal_says_of_other_tries() {
    // What is still launched first, after `small a spot` was refused so.
    for (kind, first) in [
        (RefusalKind::NoCapacity, "big a spot"),
        (RefusalKind::Limit, "big a spot"),
        (RefusalKind::Throttled, "small a spot"),
        (RefusalKind::Denied, "small a spot"),
        (RefusalKind::Other, "small a spot"),
    ] {
        let (mut memory, settings) = (Memory::default(), settings());
        memory.refused(&launch("small", "a", Lifecycle::Spot, &[]), &refusal(kind), &settings, NOW);
        assert_eq!(choices(&memory, &settings, NOW)[0], first, "{kind:?}");
        let small = memory.tier(&settings, &settings.types[0], NOW).unwrap();
        let everywhere = (small.1, small.2.as_str()) == (Lifecycle::OnDemand, "a");
        assert_eq!(everywhere, kind == RefusalKind::Limit, "an account's limit holds in all places");
        assert_eq!(memory.refusal().map(|refusal| refusal.kind), Some(kind));
    }
}

#[test]
fn a_throttled_pool_rests_longer_each_time_until_something_is_launched() {
    let (mut memory, settings) = (Memory::default(), settings());
    let launch = launch("small", "a", Lifecycle::Spot, &[]);
    for seconds in [5, 10, 20, 40, 80, 160, 160] {
        memory.refused(&launch, &refusal(RefusalKind::Throttled), &settings, NOW);
        assert_eq!(memory.throttled_until(NOW), Some(Moment(NOW.0 + seconds * SECOND)));
        assert_eq!(memory.throttled_until(Moment(NOW.0 + seconds * SECOND)), None);
    }
    memory.launched(&launch);
    assert_eq!((memory.throttled_until(NOW), memory.refusal()), (None, None));
}

#[test]
fn a_report_that_contradicts_the_launch_is_believed_the_second_time() {
    let (mut memory, settings) = (Memory::default(), settings());
    let big = &settings.types[1];
    let for_gpu = launch("big", "a", Lifecycle::Spot, &[wanted(1, "gpu")]);
    let for_plain = launch("big", "a", Lifecycle::Spot, &[wanted(1, "")]);
    let plain = Offer { slots: 6, ..Offer::default() };
    memory.came_up(&for_gpu, &plain);
    assert_eq!(memory.offer(big), &big.declared, "it may have been chance");
    memory.came_up(&for_gpu, &plain);
    assert_eq!(memory.offer(big), &plain);
    memory.came_up(&for_plain, &big.declared);
    assert_eq!(memory.offer(big), &big.declared, "repaired");
    memory.came_up(&for_plain, &plain);
    assert_eq!(memory.offer(big), &plain, "nothing contradicts it");
}

#[test]
fn twice_idle_while_its_jobs_wait_is_in_vain() {
    let mut memory = Memory::default();
    let (gpu, plain) = (wanted(1, "gpu"), wanted(1, ""));
    let launch = launch("big", "a", Lifecycle::Spot, &[gpu.clone(), plain.clone()]);
    let left = BTreeSet::from([gpu.clone()]);
    let of_type = &launch.of_type;
    memory.left_behind(&launch, &left);
    memory.left_behind(&launch, &BTreeSet::new());
    memory.left_behind(&launch, &left);
    assert!(!memory.is_in_vain(of_type, &gpu), "not in a row");
    memory.left_behind(&launch, &left);
    assert!(memory.is_in_vain(of_type, &gpu) && !memory.is_in_vain(of_type, &plain));
    assert_eq!(memory.in_vain().collect::<Vec<_>>(), [(of_type, &gpu)]);
    assert!(!memory.is_in_vain(&"small".parse().unwrap(), &gpu), "another type");
    memory.resume();
    assert!(!memory.is_in_vain(of_type, &gpu), "an operator wants it tried again");
}

/// What a transition teaches, in the words of the breaker and the memory.
#[test]
fn a_pool_learns_from_the_transitions_of_its_instances() {
    let (mut learnt, settings) = (Learnt::default(), settings());
    let apply = |learnt: &mut Learnt, before: &domain::pool::Instance, event: Event| {
        let after = transition(before, &event, NOW).unwrap();
        learnt.happened(&settings, before, &event, &after, NOW);
        after
    };
    for id in 1..=3 {
        apply(&mut learnt, &instance(id, booting(id, Moment(0))), Event::BootTimedOut);
    }
    assert!(learnt.breaker.pause().is_some());
    let offer = Offer { slots: 3, ..Offer::default() };
    let up = Event::Registered { client: "c".parse().unwrap(), offer: offer.clone() };
    let ready = apply(&mut learnt, &instance(4, booting(4, Moment(0))), up);
    assert_eq!((learnt.breaker.pause(), learnt.memory.offer(&settings.types[0])), (None, &offer));
    let why = domain::pool::instance::DrainReason::NotNeeded;
    apply(&mut learnt, &ready, Event::Drain { why, deadline: None });
    assert_eq!(learnt.last_drain, Some(NOW));
    (5..8).for_each(|id| {
        apply(&mut learnt, &instance(id, booting(id, Moment(0))), Event::Ended);
    });
    assert!(learnt.breaker.pause().is_some(), "one that vanishes while it boots has failed to");
}

#[test]
fn what_is_asked_for_instead_does_not_wait_for_the_cooldown() {
    for (kind, waits) in [
        (RefusalKind::NoCapacity, false),
        (RefusalKind::Limit, false),
        (RefusalKind::Throttled, true),
        (RefusalKind::Denied, true),
        (RefusalKind::Other, true),
    ] {
        let (mut learnt, settings) = (Learnt::default(), settings());
        let call = domain::pool::instance::Call::Open { repeated: false };
        let asked = instance(1, domain::pool::InstanceState::Requested { call });
        learnt.requested(&asked);
        let event = Event::LaunchRefused(refusal(kind));
        learnt.happened(&settings, &asked, &event, &transition(&asked, &event, NOW).unwrap(), NOW);
        assert_eq!(learnt.last_launch.is_some(), waits, "{kind:?}");
    }
}
