//! Which policies are in force, over requests, faults and restarts.

use domain::policy::{Digest, PolicyKind, Settings, Value};
use store::policies::{Activated, Choice, Chosen, Pinned, Request, Scope, Source};
use store::{Cause, Store, UnixMillis};

use crate::harness::{House, service};

fn scope(kind: PolicyKind, service: Option<domain::ServiceName>) -> Scope {
    Scope { kind, service }
}

fn quota() -> Scope {
    scope(PolicyKind::Quota, None)
}

fn own_quota() -> Scope {
    scope(PolicyKind::Quota, Some(service()))
}

fn digest(of: u8) -> Digest {
    Digest::from_bytes([of; 32])
}

fn chosen(of: u8) -> Chosen {
    let settings =
        [("half-life".to_owned(), Value::Number(31.245_270_191_439_438)), ("strict".to_owned(), Value::Flag(true))];
    Chosen { name: "fair-share".parse().unwrap(), digest: digest(of), settings: Settings(settings.into()) }
}

fn choice(scope: Scope, of: u8) -> Choice {
    Choice { scope, chosen: Some(chosen(of)) }
}

fn none(scope: Scope) -> Choice {
    Choice { scope, chosen: None }
}

fn request(choices: Vec<Choice>, expected: Option<u64>) -> Request {
    Request { choices, by: "somebody".to_owned(), source: Source::Api, expected }
}

async fn activate(store: &Store, choices: Vec<Choice>) -> Activated {
    store.activate(request(choices, None)).await.unwrap()
}

fn yes(generation: u64) -> Activated {
    Activated::Yes { generation }
}

fn unchanged(generation: u64) -> Activated {
    Activated::Unchanged { generation }
}

async fn pin(store: &Store, scope: Scope, of: u8) -> Pinned {
    store.pin(scope, digest(of), "it looped".to_owned()).await.unwrap()
}

#[tokio::test]
async fn what_one_request_chooses_is_one_generation() {
    let house = House::new().await;
    assert_eq!(house.store.policies().generation, 0);
    let routing = scope(PolicyKind::Routing, None);
    let choices = vec![choice(quota(), 1), choice(routing.clone(), 2), choice(own_quota(), 3)];
    assert_eq!(activate(&house.store, choices).await, yes(1));
    let in_force = house.store.policies();
    assert_eq!((in_force.generation, in_force.chosen(&routing)), (1, Some(&chosen(2))));
    assert_eq!(in_force.deciding(PolicyKind::Quota, &service()), Some((own_quota(), &chosen(3))));
    let other = "b".parse().unwrap();
    assert_eq!(in_force.deciding(PolicyKind::Quota, &other), Some((quota(), &chosen(1))));
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_service_without_a_choice_has_the_one_for_every_service() {
    let house = House::new().await;
    activate(&house.store, vec![choice(quota(), 1), choice(own_quota(), 2)]).await;
    assert_eq!(activate(&house.store, vec![none(own_quota())]).await, yes(2));
    assert_eq!(house.store.policies().deciding(PolicyKind::Quota, &service()), Some((quota(), &chosen(1))));
    assert_eq!(activate(&house.store, vec![none(quota())]).await, yes(3));
    assert_eq!(house.store.policies().deciding(PolicyKind::Quota, &service()), None);
}

#[tokio::test]
async fn a_restart_keeps_what_is_in_force_and_what_is_pinned() {
    let house = House::new().await;
    activate(&house.store, vec![choice(quota(), 1), choice(own_quota(), 2)]).await;
    activate(&house.store, vec![choice(quota(), 3)]).await;
    activate(&house.store, vec![none(own_quota())]).await;
    assert_eq!(pin(&house.store, quota(), 3).await, Pinned::Yes);
    let before = house.store.policies();
    let house = house.restart().await;
    assert_eq!(house.store.policies(), before);
    assert_eq!((before.generation, before.chosen(&quota())), (3, Some(&chosen(3))));
    assert_eq!(before.pins()[&quota()].fault, "it looped");
    house.assert_agrees().await;
}

#[tokio::test]
async fn of_two_operators_at_once_one_is_told_of_the_other() {
    let house = House::new().await;
    let ask = |of| house.store.activate(request(vec![choice(quota(), of)], Some(0)));
    let (first, second) = tokio::join!(ask(1), ask(2));
    assert_eq!(first.unwrap(), yes(1));
    assert_eq!(second.unwrap(), Activated::Conflict { generation: 1 });
    assert_eq!(house.store.policies().chosen(&quota()), Some(&chosen(1)));
}

#[tokio::test]
async fn what_changes_nothing_makes_no_generation() {
    let house = House::new().await;
    assert_eq!(activate(&house.store, vec![none(quota())]).await, unchanged(0));
    activate(&house.store, vec![choice(quota(), 1)]).await;
    assert_eq!(activate(&house.store, vec![choice(quota(), 1)]).await, unchanged(1));
    assert_eq!(activate(&house.store, vec![choice(quota(), 1), choice(own_quota(), 1)]).await, yes(2));
    let log = house.store.activation_log(9, None).await.unwrap();
    let told: Vec<_> = log.iter().map(|row| (row.generation, row.scope.clone())).collect();
    assert_eq!(told, [(2, own_quota()), (1, quota())]);
}

#[tokio::test]
async fn the_log_tells_who_chose_what_by_whole_requests() {
    let house = House::new().await;
    let before = house.store.now();
    for of in 1..=3 {
        activate(&house.store, vec![choice(quota(), of), choice(own_quota(), of)]).await;
    }
    let generations = async |requests, before| {
        let log = house.store.activation_log(requests, before).await.unwrap();
        log.iter().map(|row| row.generation).collect::<Vec<_>>()
    };
    assert_eq!(generations(2, None).await, [3, 3, 2, 2]);
    assert_eq!(generations(2, Some(2)).await, [1, 1]);
    assert_eq!(generations(9, Some(1)).await, [0; 0]);
    let last = house.store.activation_log(1, None).await.unwrap().remove(0);
    assert_eq!((last.by.as_str(), last.source, &last.chosen), ("somebody", Source::Api, &Some(chosen(3))));
    assert!((before..=house.store.now()).contains(&last.at), "{:?}", last.at);
}

#[tokio::test]
async fn a_pin_stays_until_an_operator_acts() {
    let house = House::new().await;
    activate(&house.store, vec![choice(quota(), 1), choice(own_quota(), 1)]).await;
    assert_eq!(pin(&house.store, quota(), 1).await, Pinned::Yes);
    assert_eq!(pin(&house.store, quota(), 1).await, Pinned::Already);

    let folder = Request { source: Source::Folder, ..request(vec![choice(quota(), 1)], None) };
    assert_eq!(house.store.activate(folder).await.unwrap(), unchanged(1), "a start is no act");
    activate(&house.store, vec![choice(own_quota(), 2)]).await;
    assert!(house.store.policies().pins().contains_key(&quota()), "of another scope");

    assert_eq!(house.store.resume(quota(), "me".to_owned()).await.unwrap(), yes(3));
    assert!(house.store.policies().pins().is_empty());
    assert_eq!(house.store.resume(quota(), "me".to_owned()).await.unwrap(), unchanged(3));
    let resumed = house.store.activation_log(1, None).await.unwrap().remove(0);
    assert_eq!((resumed.source, resumed.by, resumed.chosen), (Source::Resume, "me".to_owned(), Some(chosen(1))));

    pin(&house.store, quota(), 1).await;
    assert_eq!(activate(&house.store, vec![choice(quota(), 1)]).await, yes(4), "asked for once more by hand");
    let house = house.restart().await;
    assert!(house.store.policies().pins().is_empty());
}

#[tokio::test]
async fn a_fault_of_what_is_no_longer_in_force_pins_nothing() {
    let house = House::new().await;
    assert_eq!(pin(&house.store, own_quota(), 1).await, Pinned::Stale, "nothing was chosen for it");
    assert_eq!(pin(&house.store, quota(), 9).await, Pinned::Yes, "what the program brings with it");
    activate(&house.store, vec![choice(quota(), 2)]).await;
    assert_eq!(pin(&house.store, quota(), 1).await, Pinned::Stale);
    assert!(house.store.policies().pins().is_empty());
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_number_that_could_not_be_read_again_is_refused_alone() {
    let house = House::new().await;
    let mut endless = choice(quota(), 1);
    endless.chosen.as_mut().unwrap().settings.0.insert("weight".to_owned(), Value::Number(f64::INFINITY));
    let store = house.store.clone();
    let (refused, job) = tokio::join!(store.activate(request(vec![endless], None)), house.accept(1));
    assert!(matches!(refused.unwrap_err().cause(), Cause::Unstorable { .. }));
    assert_eq!((house.row(job).await.id, house.store.policies().generation), (job, 0));
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_choice_that_makes_no_sense_is_named_at_the_start() {
    for (told, sql) in [
        ("kind", "UPDATE policy_activations SET kind = 'taste'"),
        ("service", "UPDATE policy_activations SET service = 'NO SUCH'"),
        ("digest", "UPDATE policy_activations SET digest = 'ab'"),
        ("half", "UPDATE policy_activations SET name = NULL"),
        ("settings", "UPDATE policy_activations SET settings = '[]'"),
        ("source", "UPDATE policy_activations SET source = 'nowhere'"),
        ("pin", "UPDATE policy_pins SET digest = ''"),
    ] {
        let house = House::new().await;
        activate(&house.store, vec![choice(quota(), 1)]).await;
        pin(&house.store, quota(), 1).await;
        house.meddle(sql).await;
        let path = house.path();
        let Err(error) = Store::open(store::StoreOptions { path, readers: 1 }).await else { panic!("{told}: opened") };
        assert!(matches!(error.cause(), Cause::Damaged { .. }), "{told}: {error:?}");
    }
}

#[tokio::test]
async fn a_pin_says_since_when() {
    let house = House::new().await;
    let before = house.store.now();
    pin(&house.store, quota(), 1).await;
    let since: UnixMillis = house.store.policies().pins()[&quota()].since;
    assert!((before..=house.store.now()).contains(&since));
}
