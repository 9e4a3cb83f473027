//! Instances as rows: what is made, what happens to it, who registers.

use domain::pool::instance::{Call, DrainReason, RefusalKind, Unanswered};
use domain::pool::{Event, InstanceId, InstanceState, PoolBreaker};
use store::instances::{InStates, InstanceApplied, InstanceFilter, LaunchRefusal, Registered, Registration, Round};
use store::{Cause, UnixMillis};

use crate::fleet::{drain, is_ready, made, new_instance, pool, refused, registration, settings, yes};
use crate::harness::{House, client};

#[tokio::test]
async fn an_instance_comes_back_as_it_was_made_also_after_a_restart() {
    let house = House::with_pool(9).await;
    let new = new_instance(&house);
    let before = house.store.now();
    let round = Round { launches: vec![new.clone()], ..Round::default() };
    let made = house.store.scale(round).await.unwrap().launched.remove(0).unwrap();
    assert_eq!((made.id(), &made.instance.launch, &made.provider), (new.id, &new.launch, &new.provider));
    assert!((before.moment()..=house.store.now().moment()).contains(&made.instance.requested_at));
    house.assert_agrees().await;
    let house = house.restart().await;
    assert_eq!(house.store.pools().live().collect::<Vec<_>>(), [&made]);
    assert_eq!(house.instance(new.id).await, *made);
}

#[tokio::test]
async fn a_repeated_launch_has_the_same_bytes_until_its_outcome_is_known() {
    let house = House::with_pool(9).await;
    let new = new_instance(&house);
    house.store.scale(Round { launches: vec![new.clone()], ..Round::default() }).await.unwrap();
    yes(house.happens(new.id, Event::LaunchUnanswered(Unanswered::Lost)).await);
    let house = house.restart_pool(9).await;
    yes(house.happens(new.id, Event::LaunchRepeated).await);
    assert_eq!(house.store.launch_parameters(new.id).await.unwrap(), Some(new.parameters));
    yes(house.happens(new.id, made(new.id)).await);
    assert_eq!(house.store.launch_parameters(new.id).await.unwrap(), None, "they have a secret in them");
    assert_eq!(house.store.launch_parameters(InstanceId(99)).await.unwrap(), None);
}

#[tokio::test]
async fn an_event_that_comes_late_or_twice_changes_nothing() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    let booting = yes(house.happens(id, made(id)).await);
    for event in [made(id), Event::LaunchRepeated, refused(RefusalKind::Other), Event::Undrain, Event::FoundIdle] {
        assert_eq!(house.happens(id, event).await, InstanceApplied::Stale);
    }
    let offer = settings(9).types.remove(0).declared;
    let registered = Event::Registered { client: client(0), offer };
    assert_eq!(house.happens(id, registered).await, InstanceApplied::Stale, "that has a call of its own");
    assert_eq!(house.happens(InstanceId(99), Event::Ended).await, InstanceApplied::Missing);
    assert_eq!(house.instance(id).await, *booting);
    yes(house.happens(id, Event::Ended).await);
    assert_eq!(house.happens(id, Event::Ended).await, InstanceApplied::Missing);
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_pool_has_never_more_rows_than_its_maximum_also_in_one_batch() {
    let house = House::with_pool(2).await;
    let (first, second) = tokio::join!(house.launch(), house.launch());
    assert!(first.is_ok() && second.is_ok());
    let full = Err(LaunchRefusal::PoolFull { live: 2, max: 2 });
    assert_eq!(house.launch().await, full);
    let restarted = house.restart_pool(2).await;
    assert_eq!(restarted.launch().await, full);
    yes(restarted.happens(first.unwrap(), refused(RefusalKind::NoCapacity)).await);
    assert!(restarted.launch().await.is_ok(), "one that is gone makes room");
    restarted.store.configure_pools(Vec::new());
    assert_eq!(restarted.launch().await, Err(LaunchRefusal::PoolRemoved));
    restarted.assert_agrees().await;
}

#[tokio::test]
async fn no_number_of_an_instance_is_given_twice() {
    let house = House::with_pool(9).await;
    let first = house.launch().await.unwrap();
    assert_eq!(first, InstanceId(1));
    house.happens(first, refused(RefusalKind::Other)).await;
    let house = house.restart_pool(9).await;
    assert_eq!(house.launch().await.unwrap(), InstanceId(2));
    let mut again = new_instance(&house);
    again.id = first;
    let refused = house.store.scale(Round { launches: vec![again], ..Round::default() }).await.unwrap_err();
    assert!(matches!(refused.cause(), Cause::Other(_)), "{refused:?}");
    house.assert_agrees().await;
}

#[tokio::test]
async fn the_first_key_of_an_instance_counts_and_another_is_refused() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    assert_eq!(house.store.register(registration(id, "k1", 0)).await.unwrap(), Registered::TooEarly);
    house.happens(id, made(id)).await;
    let Registered::Yes(row) = house.store.register(registration(id, "k1", 0)).await.unwrap() else { panic!() };
    assert!(is_ready(&row, 0), "{row:?}");
    let house = house.restart_pool(9).await;
    for (key, index) in [("k2", 0), ("k1", 1)] {
        let other = house.store.register(registration(id, key, index)).await.unwrap();
        assert_eq!(other, Registered::OtherKey, "{key} {index}");
    }
    let mut more = registration(id, "k1", 0);
    more.record.slots = 7;
    assert_eq!(house.store.register(more).await.unwrap(), Registered::Again(row), "its answer was lost");
    assert_eq!(house.store.clients()[0].record.slots, 7);
    let moved = Registration { url: "https://10.0.0.9:1".to_owned(), ..registration(id, "k1", 0) };
    let Registered::Again(row) = house.store.register(moved).await.unwrap() else { panic!() };
    assert_eq!(row.client.as_ref().unwrap().url, "https://10.0.0.9:1");
    assert_eq!(house.store.register(registration(InstanceId(9), "k", 1)).await.unwrap(), Registered::Missing);
    house.assert_agrees().await;
}

#[tokio::test]
async fn of_two_keys_at_once_one_is_refused() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    house.happens(id, made(id)).await;
    let register = |key| house.store.register(registration(id, key, 0));
    let (first, second) = tokio::join!(register("k1"), register("k2"));
    assert!(matches!(first.unwrap(), Registered::Yes(_)));
    assert_eq!(second.unwrap(), Registered::OtherKey);
    assert_eq!(house.instance(id).await.client.unwrap().key.to_string(), "k1");
}

#[tokio::test]
async fn nobody_registers_from_an_instance_that_drains_or_ends() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    house.happens(id, made(id)).await;
    yes(house.happens(id, drain(DrainReason::NotNeeded)).await);
    assert_eq!(house.store.register(registration(id, "k", 0)).await.unwrap(), Registered::TooLate);
    yes(house.happens(id, Event::FoundIdle).await);
    assert_eq!(house.store.register(registration(id, "k", 0)).await.unwrap(), Registered::TooLate);
    assert!(house.store.clients().is_empty());
}

#[tokio::test]
async fn lists_of_instances_are_newest_first_and_go_on_where_they_stopped() {
    let house = House::with_pool(9).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(house.launch().await.unwrap());
    }
    house.happens(ids[1], refused(RefusalKind::Other)).await;
    let list = async |filter: InstanceFilter, limit| {
        let rows = house.store.instances(&filter, limit).await.unwrap();
        rows.iter().map(store::instances::InstanceRow::id).collect::<Vec<_>>()
    };
    assert_eq!(list(InstanceFilter::default(), 2).await, [ids[3], ids[2]]);
    let next = InstanceFilter { pool: Some(pool()), before: Some(ids[2]), ..InstanceFilter::default() };
    assert_eq!(list(next, 9).await, [ids[1], ids[0]], "what is gone too");
    let other = InstanceFilter { pool: Some("other".parse().unwrap()), ..InstanceFilter::default() };
    assert_eq!(list(other, 9).await, []);
    let of = |states| InstanceFilter { states: Some(states), ..InstanceFilter::default() };
    assert_eq!(list(of(InStates::Live), 9).await, [ids[3], ids[2], ids[0]]);
    assert_eq!(list(of(InStates::Only("gone".to_owned())), 9).await, [ids[1]]);
    assert_eq!(list(of(InStates::Only("ready".to_owned())), 9).await, []);
}

#[tokio::test]
async fn a_months_instances_are_those_that_lived_in_it() {
    let house = House::with_pool(9).await;
    let (old, new) = (house.launch().await.unwrap(), house.launch().await.unwrap());
    house.happens(old, refused(RefusalKind::Other)).await;
    let after = UnixMillis(house.store.now().0 + 1);
    let since = async |moment| {
        let rows = house.store.instances_since(moment).await.unwrap();
        rows.iter().map(store::instances::InstanceRow::id).collect::<Vec<_>>()
    };
    assert_eq!(since(UnixMillis(0)).await, [new, old]);
    assert_eq!(since(after).await, [new]);
}

#[tokio::test]
async fn a_row_of_the_first_format_is_read() {
    let house = House::with_pool(9).await;
    house
        .meddle(
            r#"INSERT INTO instances (id, pool, provider, format, launch, parameters, requested_at, launched_at,
            protected, status, state, gone_at, client, client_key, client_url, version) VALUES (7, 'burst', 'ec2', 1,
            '{"of_type":"c7i.large","place":"subnet-1","lifecycle":"spot","price":90000,
            "shapes":[["a",{"slots":1,"requires":"gpu"}]]}', x'00ff', 1, NULL, 1, 'requested',
            '{"state":"requested","call":{"call":"open","repeated":false}}', NULL, NULL, NULL, NULL, 3)"#,
        )
        .await;
    house
        .meddle(
            r#"INSERT INTO pool_learnt (pool, format, learnt) VALUES ('burst', 1, '{"breaker":{"failed_boots":2,
            "refusals":1,"times":0,"pause":null},"memory":{"absent":[[["c7i.large","subnet-1","spot"],5]],"throttled":null,
            "reported":{},"doubted":[],"in_vain":[],"refusal":{"kind":"no-capacity","code":"X"}},"last_launch":4,
            "last_drain":null,"passed_over":{}}')"#,
        )
        .await;
    let house = house.restart_pool(9).await;
    let row = house.store.pools().instance(InstanceId(7)).unwrap().clone();
    assert_eq!(row.instance.state, InstanceState::Requested { call: Call::Open { repeated: false } });
    assert_eq!((row.version, row.instance.protected, row.instance.requested_at.0), (3, true, 1));
    assert_eq!(house.store.launch_parameters(InstanceId(7)).await.unwrap(), Some(vec![0, 255]));
    let learnt = house.store.pools().learnt(&pool());
    assert_eq!(learnt.memory.refusal().unwrap().code, "X");
    assert_ne!(learnt.breaker, PoolBreaker::default());
}

#[tokio::test]
async fn a_row_of_an_instance_that_cannot_be_is_named_at_the_start() {
    for (told, sql) in [
        ("pool", "UPDATE instances SET pool = 'NO SUCH'"),
        ("format", "UPDATE instances SET format = 2"),
        ("launch", "UPDATE instances SET launch = '{}'"),
        ("state", "UPDATE instances SET state = '{\"state\":\"lost\"}'"),
        ("status", "UPDATE instances SET status = 'booting'"),
        ("client", "UPDATE instances SET client_key = NULL"),
        ("version", "UPDATE instances SET version = -1"),
        ("learnt", "UPDATE pool_learnt SET learnt = '[]'"),
        ("its format", "UPDATE pool_learnt SET format = 9"),
    ] {
        let house = House::with_pool(9).await;
        house.up(0).await;
        house.meddle(sql).await;
        let path = house.path();
        let opened = store::Store::open(store::StoreOptions { path, readers: 1 }).await;
        let Err(error) = opened else { panic!("{told}: opened") };
        assert!(matches!(error.cause(), Cause::Damaged { .. }), "{told}: {error:?}");
    }
}
