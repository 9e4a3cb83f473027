//! What a round leaves behind: what its pool learnt, the log, the view for the next one.

use std::collections::BTreeMap;

use domain::policy::Author;
use domain::pool::instance::{DrainReason, RefusalKind};
use domain::pool::plan::Action;
use domain::pool::{Cap, Capped, Event as Happens, InstanceId, Lessons};
use domain::{End, Event};
use store::instances::{Deed, Happened, Judgement, Numbers, PoolOrder, Round};
use store::{Cause, JobFilter};

use crate::fleet::{launch, made, new_instance, pool, refused, settings, yes};
use crate::harness::{House, job, limits, service, user};

fn judgement(reason: &str) -> Judgement {
    let by = Cap::Max { live: 2, max: 2 };
    Judgement {
        pool: pool(),
        numbers: Numbers { demand: 3, waiting: 17, free_slots: 1, booting: 1, live: 2 },
        author: Author { name: "demand".parse().unwrap(), digest: None },
        reason: reason.to_owned(),
        capped: vec![Capped { by, count: 2 }],
        lessons: Lessons::default(),
    }
}

async fn decide(house: &House, reason: &str, events: Vec<Happened>) {
    let round = Round { events, decision: Some(judgement(reason)), ..Round::default() };
    house.store.scale(round).await.unwrap();
}

#[tokio::test]
async fn a_pool_learns_from_what_happens_and_knows_it_after_a_restart() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    assert!(house.store.pools().learnt(&pool()).last_launch.is_some());
    yes(house.happens(id, refused(RefusalKind::Denied)).await);
    let learnt = house.store.pools().learnt(&pool());
    assert!(learnt.breaker.pause().is_some() && learnt.memory.refusal().is_some(), "{learnt:?}");
    house.assert_agrees().await;
    let house = house.restart_pool(9).await;
    assert_eq!(house.store.pools().learnt(&pool()), learnt);

    house.store.order_pool(pool(), PoolOrder::Resume).await.unwrap();
    let learnt = house.store.pools().learnt(&pool());
    assert!(learnt.breaker.pause().is_none() && learnt.memory.refusal().is_none());
    house.store.order_pool(pool(), PoolOrder::Stop).await.unwrap();
    let house = house.restart_pool(9).await;
    assert_eq!(house.store.pools().learnt(&pool()).breaker.pause().unwrap().cause.as_str(), "operator");
    house.assert_agrees().await;
}

#[tokio::test]
async fn two_outcomes_at_once_teach_both() {
    let house = House::with_pool(9).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        let id = house.launch().await.unwrap();
        yes(house.happens(id, made(id)).await);
        ids.push(id);
    }
    let fails = |id| house.happens(id, Happens::BootTimedOut);
    tokio::join!(fails(ids[0]), fails(ids[1]), fails(ids[2]));
    assert!(house.store.pools().learnt(&pool()).breaker.pause().is_some(), "three boots in a row failed");
    house.assert_agrees().await;
}

#[tokio::test]
async fn what_an_instance_never_did_is_learnt_with_its_drain() {
    let house = House::with_pool(9).await;
    let wanted = launch().shapes.into_iter().next().unwrap();
    for _ in 0..2 {
        let instance = house.up(0).await;
        let drains = Happened::planned(&Action::Drain { instance, why: DrainReason::NotUsed }).unwrap();
        let drained = BTreeMap::from([(instance, (launch(), launch().shapes))]);
        let lessons = Lessons { drained, ..Lessons::default() };
        let decision = Some(Judgement { lessons, ..judgement("nobody needs it") });
        let round = Round { events: vec![drains], decision, ..Round::default() };
        house.store.scale(round.clone()).await.unwrap();
        house.store.scale(round).await.unwrap();
        yes(house.happens(instance, Happens::FoundIdle).await);
        yes(house.happens(instance, Happens::Ended).await);
    }
    let memory = house.store.pools().learnt(&pool()).memory;
    assert!(memory.is_in_vain(&launch().of_type, &wanted), "a stale repeat counts for nothing: {memory:?}");
    assert_eq!(Happened::planned(&Action::Launch(launch())), None);
}

#[tokio::test]
async fn a_round_is_written_whole_or_not_at_all() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    let before = house.store.ledger_dump();
    for table in ["pool_learnt", "scaling_decisions", "instances"] {
        let trigger = format!("CREATE TRIGGER t BEFORE INSERT ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END");
        sqlx::query(sqlx::AssertSqlSafe(trigger)).execute(&mut house.raw().await).await.unwrap();
        let round = Round {
            launches: vec![new_instance(&house)],
            events: vec![Happened::new(id, refused(RefusalKind::NoCapacity))],
            decision: Some(judgement("launched")),
        };
        let error = house.store.scale(round).await.unwrap_err();
        assert!(matches!(error.cause(), Cause::Other(_)), "{error:?}");
        house.meddle("DROP TRIGGER t").await;
        assert_eq!(house.store.ledger_dump(), before, "{table}");
        house.assert_agrees().await;
    }
    let house = house.restart().await;
    assert_eq!(house.store.ledger_dump(), before);
}

#[tokio::test]
async fn an_instance_that_is_not_as_it_was_read_is_not_written() {
    let house = House::with_pool(9).await;
    let id = house.launch().await.unwrap();
    house.meddle("UPDATE instances SET version = 2").await;
    let round = Round { events: vec![Happened::new(id, made(id))], ..Round::default() };
    let error = house.store.scale(round).await.unwrap_err();
    assert!(matches!(error.cause(), Cause::Damaged { .. }), "{error:?}");
    assert_eq!(house.stands(id).await, "requested");
}

#[tokio::test]
async fn the_log_tells_what_a_decision_did_and_no_more() {
    let house = House::with_pool(9).await;
    let idle = house.up(0).await;
    let new = new_instance(&house);
    let drain = Action::Drain { instance: idle, why: DrainReason::NotNeeded };
    let events = vec![Happened::planned(&drain).unwrap(), Happened::new(InstanceId(77), Happens::Undrain)];
    let round = Round { launches: vec![new.clone()], events, decision: Some(judgement("up and down")) };
    house.store.scale(round).await.unwrap();
    let house = house.restart_pool(9).await;
    let [told] = house.store.scaling_decisions(Some(&pool()), None, 9).await.unwrap().try_into().unwrap();
    assert_eq!((told.id, told.numbers, told.told.reason.as_str()), (1, judgement("").numbers, "up and down"));
    let (of_type, place, lifecycle) = (new.launch.of_type, new.launch.place, new.launch.lifecycle);
    let launched = Deed::Launch { instance: new.id, of_type, place, lifecycle };
    assert_eq!(told.told.actions, [launched, Deed::Drain { instance: idle, why: DrainReason::NotNeeded }]);
    assert_eq!((told.told.capped[0].code.as_str(), told.told.capped[0].count), ("max", 2));
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_decision_that_does_nothing_is_told_once_for_a_reason() {
    let house = House::with_pool(9).await;
    let id = house.up(0).await;
    for reason in ["the last launch was 3 s ago", "the last launch was 14 s ago", "nothing waits", "nothing waits"] {
        decide(&house, reason, Vec::new()).await;
    }
    let house = house.restart_pool(9).await;
    decide(&house, "nothing waits", Vec::new()).await;
    decide(&house, "nothing waits", vec![Happened::new(id, Happens::Ended)]).await;
    let drains = || Happened::planned(&Action::Undrain(id)).unwrap();
    decide(&house, "nothing waits", vec![drains()]).await;
    let list = async |before, limit| {
        let log = house.store.scaling_decisions(None, before, limit).await.unwrap();
        log.into_iter().map(|decision| (decision.id, decision.told.reason)).collect::<Vec<_>>()
    };
    let told = |id, reason: &str| (id, reason.to_owned());
    assert_eq!(list(None, 9).await, [told(2, "nothing waits"), told(1, "the last launch was 3 s ago")]);
    assert_eq!(list(Some(2), 9).await, [told(1, "the last launch was 3 s ago")]);
    assert_eq!(list(None, 1).await.len(), 1);
}

#[tokio::test]
async fn the_log_of_a_pool_keeps_the_last_thousand() {
    let house = House::with_pool(9).await;
    decide(&house, "first", Vec::new()).await;
    house
        .meddle(
            "INSERT INTO scaling_decisions SELECT d.id + n.n, CASE WHEN n.n = 1 THEN 'other' ELSE d.pool END, d.at, \
             d.demand, d.waiting, d.free_slots, d.booting, d.live, d.format, d.told FROM scaling_decisions AS d, \
             (WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < 1001) SELECT n FROM n) AS n",
        )
        .await;
    let house = house.restart_pool(9).await;
    decide(&house, "last", Vec::new()).await;
    let log = house.store.scaling_decisions(Some(&pool()), None, 9_999).await.unwrap();
    assert_eq!((log.len(), log[0].id, log[0].told.reason.as_str(), log[999].id), (1_000, 1_003, "last", 4));
    let other = house.store.scaling_decisions(Some(&"other".parse().unwrap()), None, 9).await.unwrap();
    assert_eq!(other.len(), 1, "another pool's stays");
}

#[tokio::test]
async fn a_decision_of_the_first_format_is_read() {
    let house = House::with_pool(9).await;
    house
        .meddle(
            r#"INSERT INTO scaling_decisions (id, pool, at, demand, waiting, free_slots, booting, live, format, told)
            VALUES (5, 'burst', 9, 1, 2, 3, 4, 5, 1, '{"author":{"name":"demand","digest":null},"reason":"r","actions":[
            {"action":"launch","instance":1,"type":"small","place":"a","lifecycle":"spot"},{"action":"give-up","instance":2},
            {"action":"drain","instance":3,"why":"not-used"},{"action":"undrain","instance":3},
            {"action":"terminate","instance":4},{"action":"end-busy","instance":5}],
            "capped":[{"code":"max","text":"full","count":2}]}')"#,
        )
        .await;
    let [read] = house.store.scaling_decisions(None, None, 9).await.unwrap().try_into().unwrap();
    assert_eq!((read.numbers.waiting, read.told.actions.len()), (2, 6));
    assert_eq!(read.told.actions[5], Deed::EndBusy { instance: InstanceId(5) });
    let house = house.restart_pool(9).await;
    decide(&house, "next", Vec::new()).await;
    assert_eq!(house.store.scaling_decisions(None, None, 1).await.unwrap()[0].id, 6);
    house.meddle("UPDATE scaling_decisions SET format = 2").await;
    assert!(house.store.scaling_decisions(None, None, 9).await.is_err());
}

#[tokio::test]
async fn a_view_knows_what_runs_and_since_when_nothing_does_over_a_restart() {
    let house = House::with_pool(9).await;
    let (busy, used, fresh) = (house.up(0).await, house.up(1).await, house.up(2).await);
    let first = house.accept(1).await;
    house.complete(first, 1).await;
    let ended = house.row(first).await.ended_at.unwrap().moment();
    let running = house.accept(1).await;
    house.assign(running, 0).await.unwrap();
    let expect = |house: &House| {
        let views = house.store.instance_views(&pool());
        let seen: Vec<_> = views.iter().map(|view| (view.instance.id, view.running, view.worked_until)).collect();
        assert_eq!(seen, [(busy, 1, None), (used, 0, Some(ended)), (fresh, 0, None)]);
    };
    expect(&house);
    house.store.expire(vec![first]).await.unwrap();
    expect(&house);
    let house = house.restart_pool(9).await;
    expect(&house);
    house.meddle("UPDATE instances SET launched_at = launched_at + 3600000 WHERE client = 'c1'").await;
    let house = house.restart_pool(9).await;
    assert_eq!(house.store.instance_views(&pool())[1].worked_until, None, "that was another machine of this name");
}

#[tokio::test]
async fn a_snapshot_with_room_has_the_heads_that_more_slots_could_take() {
    let house = House::with(limits(5, 9), &[2]).await;
    for of in [1, 1, 1, 1, 1, 1, 2] {
        house.store.accept(job(of, 1, 0)).await.unwrap();
    }
    let heads = |room: u32| {
        let snapshot = house.store.snapshot_with_room(&[(service(), room)].into());
        let users = &snapshot.services[0].users;
        assert_eq!((users[0].user, users[0].waiting[0].queued), (user(1), 6));
        users.iter().map(|user| user.waiting[0].heads.len()).collect::<Vec<_>>()
    };
    assert_eq!((heads(0), heads(2), heads(99)), (vec![2, 1], vec![4, 1], vec![5, 1]), "within the limits");
    assert_eq!(house.store.snapshot().services[0].users[0].waiting[0].heads.len(), 2);
}

#[tokio::test]
async fn a_pool_that_is_gone_from_the_configuration_keeps_its_rows_and_learns_nothing() {
    let house = House::with_pool(9).await;
    let id = house.up(0).await;
    let learnt = house.store.pools().learnt(&pool());
    house.store.configure_pools(Vec::new());
    yes(house.happens(id, crate::fleet::drain(DrainReason::Removed)).await);
    yes(house.happens(id, Happens::FoundIdle).await);
    yes(house.happens(id, Happens::Ended).await);
    assert_eq!(house.store.pools().learnt(&pool()), learnt);
    house.store.configure_pools(vec![settings(9)]);
    assert!(house.launch().await.is_ok());
    assert_eq!(house.store.jobs(&JobFilter::default(), 9).await.unwrap(), []);
}

#[tokio::test]
async fn an_hour_is_told_only_from_whole_minutes() {
    let house = House::with_pool(9).await;
    house.up(0).await;
    let job = house.accept(1).await;
    let assignment = house.assign(job, 0).await.unwrap();
    house.report(assignment, Event::Ended(End::Exit(0))).await;
    assert_eq!(house.store.minutes(&pool(), &[service()].into()), []);
}
