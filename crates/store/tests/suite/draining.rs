//! Who may be given work, and which instance may end: decided in the transaction that also assigns.

use domain::pool::Event as Happens;
use domain::pool::instance::DrainReason;
use domain::{AssignmentId, ClientState, End, Event, JobId, State, StepReason};
use store::instances::{ClientOrder, Happened, InstanceApplied, Ordered, Round};
use store::{AssignRefusal, Report, UnixMillis};

use crate::fleet::{believed, drain, yes};
use crate::harness::{House, client, proposal};

const REFUSED: AssignRefusal = AssignRefusal::ClientNotReady(ClientState::Draining);

fn by_operator() -> ClientOrder {
    ClientOrder::Drain { by: "somebody".to_owned(), deadline: None }
}

/// A pool with one instance, whose client is c0, and a job that waits.
async fn given() -> (House, domain::pool::InstanceId, JobId) {
    let house = House::with_pool(9).await;
    let id = house.up(0).await;
    let job = house.accept(1).await;
    (house, id, job)
}

async fn running(house: &House, job: JobId) -> AssignmentId {
    let assignment = house.assign(job, 0).await.unwrap();
    house.report(assignment, Event::Started).await;
    assignment
}

#[tokio::test]
async fn an_instance_that_drains_is_given_no_work() {
    let (house, id, job) = given().await;
    assert_eq!(house.seen(&client(0)), ClientState::Ready);
    yes(house.happens(id, drain(DrainReason::NotNeeded)).await);
    assert_eq!(house.assign(job, 0).await, Err(REFUSED));
    house.store.put_client(believed(0, ClientState::Ready)).await.unwrap();
    assert_eq!(house.assign(job, 0).await, Err(REFUSED), "whatever is believed of its client");
    assert_eq!(house.seen(&client(0)), ClientState::Draining, "and a decision sees it");
    yes(house.happens(id, Happens::Undrain).await);
    assert!(house.assign(job, 0).await.is_ok());
    house.assert_agrees().await;
}

#[tokio::test]
async fn of_a_drain_and_an_assignment_at_once_the_first_counts() {
    let (house, id, job) = given().await;
    let (drained, assigned) = tokio::join!(house.happens(id, drain(DrainReason::NotNeeded)), house.assign(job, 0));
    assert_eq!((yes(drained).id(), assigned), (id, Err(REFUSED)));
    yes(house.happens(id, Happens::Undrain).await);
    let (assigned, drained) = tokio::join!(house.assign(job, 0), house.happens(id, drain(DrainReason::NotNeeded)));
    assert_eq!((assigned.is_ok(), yes(drained).id()), (true, id), "what it has may end");
    assert_eq!(house.happens(id, Happens::FoundIdle).await, InstanceApplied::Stale);
    house.assert_agrees().await;
}

#[tokio::test]
async fn an_instance_with_an_assignment_is_not_found_idle() {
    let (house, id, job) = given().await;
    let assignment = running(&house, job).await;
    yes(house.happens(id, drain(DrainReason::Operator)).await);
    for event in [Event::ContactLost, Event::ContactRegained { started: true }] {
        house.report(assignment, event).await;
        assert_eq!(house.happens(id, Happens::FoundIdle).await, InstanceApplied::Stale);
    }
    let house = house.restart_pool(9).await;
    assert_eq!(house.happens(id, Happens::FoundIdle).await, InstanceApplied::Stale);
    house.report(assignment, Event::Ended(End::Exit(0))).await;
    yes(house.happens(id, Happens::FoundIdle).await);
    assert_eq!(house.stands(id).await, "terminating");
    assert_eq!(house.seen(&client(0)), ClientState::Joining, "after the start nobody was heard of");
}

/// An instance that was called back is not idle any more once it has been given work, in whatever order both come.
#[tokio::test]
async fn of_an_assignment_and_an_end_in_one_batch_the_first_counts() {
    for assigned_first in [true, false] {
        let (house, id, job) = given().await;
        yes(house.happens(id, drain(DrainReason::NotNeeded)).await);
        let called_back = Round { events: vec![Happened::new(id, Happens::Undrain)], ..Round::default() };
        let drained_and_idle = Round {
            events: [drain(DrainReason::NotNeeded), Happens::FoundIdle].map(|event| Happened::new(id, event)).into(),
            ..Round::default()
        };
        let (store, assign) = (&house.store, || house.store.assign(vec![proposal(job, 0)]));
        if assigned_first {
            let (_, assigned, ended) = tokio::join!(store.scale(called_back), assign(), store.scale(drained_and_idle));
            assert_eq!(assigned.unwrap(), [Ok(())]);
            assert_eq!(ended.unwrap().applied[1], InstanceApplied::Stale);
            assert_eq!(house.stands(id).await, "draining");
        } else {
            let (ended, assigned) = tokio::join!(house.happens(id, Happens::FoundIdle), assign());
            yes(ended);
            assert_eq!(assigned.unwrap(), [Err(REFUSED)]);
        }
        house.assert_agrees().await;
    }
}

#[tokio::test]
async fn an_end_of_the_last_job_in_the_same_batch_makes_its_instance_idle() {
    let (house, id, job) = given().await;
    let assignment = running(&house, job).await;
    yes(house.happens(id, drain(DrainReason::NotNeeded)).await);
    let ended = Report::new(assignment, Event::Ended(End::Exit(0)));
    let (_, idle) = tokio::join!(house.store.apply(ended), house.happens(id, Happens::FoundIdle));
    yes(idle);
}

#[tokio::test]
async fn an_instance_that_is_protected_is_not_ended_over_a_restart() {
    let (house, id, _) = given().await;
    yes(house.happens(id, drain(DrainReason::NotNeeded)).await);
    yes(house.store.protect(id, true).await.unwrap());
    let house = house.restart_pool(9).await;
    assert_eq!(house.happens(id, Happens::FoundIdle).await, InstanceApplied::Stale);
    yes(house.happens(id, Happens::Undrain).await);
    assert_eq!(house.store.order_client(client(0), by_operator()).await.unwrap(), Ordered::Protected);
    assert_eq!((house.stands(id).await, house.store.pools().order(&client(0))), ("ready", None));
    yes(house.store.protect(id, false).await.unwrap());
    assert_eq!(house.store.order_client(client(0), by_operator()).await.unwrap(), Ordered::Yes);
    assert_eq!(house.stands(id).await, "draining");
    assert_eq!(house.store.protect(domain::pool::InstanceId(9), true).await.unwrap(), InstanceApplied::Missing);
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_static_client_that_an_operator_drains_gets_no_work_over_a_restart() {
    let house = House::with_pool(9).await;
    house.store.put_client(believed(0, ClientState::Ready)).await.unwrap();
    let job = house.accept(1).await;
    let deadline = Some(UnixMillis(house.store.now().0 + 60_000));
    let order = ClientOrder::Drain { by: "somebody".to_owned(), deadline };
    assert_eq!(house.store.order_client(client(0), order).await.unwrap(), Ordered::Yes);
    assert_eq!(house.assign(job, 0).await, Err(REFUSED));
    let since = house.store.pools().order(&client(0)).unwrap().since;
    let house = house.restart_pool(9).await;
    house.store.put_client(believed(0, ClientState::Ready)).await.unwrap();
    assert_eq!(house.assign(job, 0).await, Err(REFUSED));
    assert_eq!(house.store.order_client(client(0), by_operator()).await.unwrap(), Ordered::Yes);
    let order = house.store.pools().order(&client(0)).unwrap().clone();
    assert_eq!((order.by.as_str(), order.since, order.deadline), ("somebody", since, None), "the last deadline");
    house.assert_agrees().await;

    let undrain = || house.store.order_client(client(0), ClientOrder::Undrain);
    assert_eq!((undrain().await.unwrap(), undrain().await.unwrap()), (Ordered::Yes, Ordered::Yes));
    assert!(house.assign(job, 0).await.is_ok());
    assert_eq!(house.store.order_client(client(7), by_operator()).await.unwrap(), Ordered::Missing);
}

#[tokio::test]
async fn of_an_order_and_an_assignment_in_one_batch_the_first_counts() {
    let (house, _, job) = given().await;
    let order = house.store.order_client(client(0), by_operator());
    let (ordered, assigned) = tokio::join!(order, house.assign(job, 0));
    assert_eq!((ordered.unwrap(), assigned), (Ordered::Yes, Err(REFUSED)));
    let undrain = house.store.order_client(client(0), ClientOrder::Undrain);
    let (ordered, assigned) = tokio::join!(undrain, house.assign(job, 0));
    assert_eq!((ordered.unwrap(), assigned.is_ok()), (Ordered::Yes, true));
}

#[tokio::test]
async fn what_the_provider_takes_away_no_operator_calls_back() {
    let (house, id, job) = given().await;
    house.store.order_client(client(0), by_operator()).await.unwrap();
    yes(house.happens(id, drain(DrainReason::SpotNotice)).await);
    assert_eq!(house.store.order_client(client(0), ClientOrder::Undrain).await.unwrap(), Ordered::Goes);
    assert_eq!(house.store.pools().order(&client(0)), None);
    assert_eq!(house.assign(job, 0).await, Err(REFUSED));
}

#[tokio::test]
async fn what_a_vanished_instance_had_is_stranded_until_it_is_declared_lost() {
    let (house, id, job) = given().await;
    let assignment = running(&house, job).await;
    house.store.order_client(client(0), by_operator()).await.unwrap();
    assert_eq!(house.store.stranded(), []);
    yes(house.happens(id, Happens::Missing).await);
    assert_eq!(house.store.pools().order(&client(0)), None, "it was about that machine");
    let house = house.restart_pool(9).await;
    let stranded = house.store.stranded();
    assert_eq!(
        stranded.iter().map(|(name, active)| (name, active.assignment)).collect::<Vec<_>>(),
        [(&client(0), assignment)]
    );
    let reason = StepReason::ClientLost { error: "the provider ended it".to_owned() };
    house.store.apply(Report::because(assignment, Event::DeclaredLost, reason)).await.unwrap();
    assert_eq!((house.store.stranded().len(), house.row(job).await.progress.state), (0, State::Queued));
    let house = house.restart_pool(9).await;
    assert!(house.store.clients().is_empty(), "nothing needs it any more");
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_client_of_an_instance_that_is_gone_does_not_come_back() {
    let (house, id, job) = given().await;
    let assignment = running(&house, job).await;
    house.report(assignment, Event::DeclaredLost).await;
    yes(house.happens(id, Happens::Ended).await);
    let gone = Err(AssignRefusal::ClientNotReady(ClientState::Gone));
    assert_eq!(house.assign(job, 0).await, gone);
    house.store.put_client(believed(0, ClientState::Ready)).await.unwrap();
    assert_eq!(house.assign(job, 0).await, gone, "whatever was heard of it late");
    assert_eq!(house.seen(&client(0)), ClientState::Gone);
    house.assert_agrees().await;

    for state in [ClientState::Joining, ClientState::Ready] {
        house.store.put_client(believed(0, state)).await.unwrap();
    }
    assert!(house.assign(job, 0).await.is_ok(), "a machine of the same name that is configured");
}

#[tokio::test]
async fn another_instance_may_have_the_name_of_a_client_before() {
    let (house, first, job) = given().await;
    let second = house.up(0).await;
    yes(house.happens(first, Happens::Ended).await);
    assert_eq!(house.seen(&client(0)), ClientState::Ready, "it is the second's now");
    let assignment = house.assign(job, 0).await.unwrap();
    house.report(assignment, Event::Ended(End::Exit(0))).await;
    yes(house.happens(second, Happens::Ended).await);
    let third = house.up(0).await;
    let views = house.store.instance_views(&crate::fleet::pool());
    assert_eq!((views.len(), views[0].instance.id, views[0].worked_until), (1, third, None));
    let job = house.accept(1).await;
    assert!(house.assign(job, 0).await.is_ok());
    house.assert_agrees().await;
}
