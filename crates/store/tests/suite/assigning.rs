use std::collections::BTreeMap;

use domain::{ClientState, End, Event, JobId, Labels, State, Status};
use store::{AssignRefusal, Report};

use crate::harness::{House, authors, client, job, limits, proposal, record};

#[tokio::test]
async fn history_names_the_policies_that_placed_a_job() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    house.assign(id, 0).await.unwrap();
    let house = house.restart().await;
    let [accepted, placed] = house.store.history(id).await.unwrap().try_into().unwrap();
    assert_eq!((accepted.placed_by, placed.placed_by), (None, Some(authors())));
    let told = placed.reason.unwrap();
    assert_eq!(
        (told.code.as_str(), told.text.as_str()),
        ("placed", "turn by fair-share (070707070707), client by least-loaded (built in)")
    );
    let held = domain::policy::Authors { routing: None, ..authors() };
    assert_eq!(held.to_string(), "turn by fair-share (070707070707), on the client kept free for it");
    house.meddle("UPDATE history SET placed_by = '{}' WHERE seq = 2").await;
    assert!(house.store.history(id).await.is_err());
}

#[tokio::test]
async fn limits_hold_inside_one_batch_of_proposals() {
    let house = House::with(limits(2, 3), &[10]).await;
    let mut proposals = Vec::new();
    for user in [1, 1, 1, 2, 3] {
        proposals.push(proposal(house.accept(user).await, 0));
    }
    let results = house.store.assign(proposals).await.unwrap();
    assert_eq!(
        results,
        [
            Ok(()),
            Ok(()),
            Err(AssignRefusal::UserLimit { active: 2, limit: 2 }),
            Ok(()),
            Err(AssignRefusal::ServiceLimit { active: 3, limit: 3 })
        ]
    );
    house.assert_agrees().await;
}

#[tokio::test]
async fn a_client_takes_no_more_than_its_slots() {
    let house = House::with(limits(9, 9), &[4]).await;
    let big = house.store.accept(job(1, 3, 0)).await.unwrap().id();
    let second = house.store.accept(job(1, 2, 0)).await.unwrap().id();
    let small = house.accept(1).await;
    let results = house.store.assign([big, second, small].map(|id| proposal(id, 0)).into()).await.unwrap();
    assert_eq!(results, [Ok(()), Err(AssignRefusal::NoFreeSlot { needs: 2, free: 1 }), Ok(())]);
    let view = &house.store.clients()[0];
    assert_eq!((view.used, view.running, view.free()), (4, 2, 0));
}

#[tokio::test]
async fn only_a_ready_client_that_fits_is_given_work() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    assert_eq!(house.assign(JobId(77), 0).await, Err(AssignRefusal::Missing));
    assert_eq!(house.assign(id, 5).await, Err(AssignRefusal::ClientMissing));
    for state in
        [ClientState::Joining, ClientState::Suspect, ClientState::Quarantined, ClientState::Draining, ClientState::Gone]
    {
        house.store.put_client(record(0, 4, state)).await.unwrap();
        assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::ClientNotReady(state)));
    }
    let mut other = record(0, 4, ClientState::Ready);
    other.services = ["b".parse().unwrap()].into();
    house.store.put_client(other).await.unwrap();
    assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::OtherService));
    let mut plain = record(0, 4, ClientState::Ready);
    plain.labels = Labels::default();
    house.store.put_client(plain).await.unwrap();
    assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::LabelsDoNotFit));

    house.store.put_client(record(0, 4, ClientState::Ready)).await.unwrap();
    house.store.configure(BTreeMap::default());
    assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::ServiceRemoved));
    house.limit(limits(9, 9));
    assert!(house.assign(id, 0).await.is_ok());
    assert_eq!(house.assign(id, 0).await, Err(AssignRefusal::NotQueued(Status::Processing)));
}

#[tokio::test]
async fn a_lost_attempt_spends_retries_and_then_the_job_fails() {
    let house = House::with(limits(9, 9), &[4]).await;
    let id = house.accept(1).await;
    for attempt in 1..=4 {
        let assignment = house.assign(id, 0).await.unwrap();
        assert_eq!(house.row(id).await.progress.attempt, attempt);
        house.report(assignment, Event::Delivered).await;
        house.report(assignment, Event::DeclaredLost).await;
        house.assert_agrees().await;
    }
    let row = house.row(id).await;
    assert_eq!(row.progress.state, State::Failed(domain::Failure::RetriesSpent));
}

#[tokio::test]
async fn turns_count_grants_of_the_service() {
    let house = House::with(limits(9, 9), &[9]).await;
    let ids = [house.accept(1).await, house.accept(2).await, house.accept(1).await, house.accept(2).await];
    house.assign(ids[1], 0).await.unwrap();
    house.assign(ids[0], 0).await.unwrap();
    let snapshot = house.store.snapshot();
    let turns: Vec<_> = snapshot.services[0].users.iter().map(|user| user.last_turn).collect();
    assert_eq!(turns, [2, 1]);
}

#[tokio::test]
async fn the_snapshot_shows_as_many_heads_as_could_be_granted() {
    let house = House::with(limits(3, 4), &[2, 9]).await;
    house.store.put_client(record(1, 9, ClientState::Draining)).await.unwrap();
    let mut ids = Vec::new();
    for priority in [0, 0, 5, 0] {
        ids.push(house.store.accept(job(1, 1, priority)).await.unwrap().id());
    }
    house.store.accept(job(2, 2, 0)).await.unwrap();
    let snapshot = house.store.snapshot();
    let queue = &snapshot.services[0].users[0].waiting[0];
    assert_eq!(queue.queued, 4);
    assert_eq!(queue.heads.iter().map(|head| head.job).collect::<Vec<_>>(), [ids[2], ids[0]], "two slots are free");
    let assignment = house.assign(ids[2], 0).await.unwrap();
    house.report(assignment, Event::NotDelivered).await;
    let snapshot = house.store.snapshot();
    let head = &snapshot.services[0].users[0].waiting[0].heads[0];
    assert_eq!((head.job, head.attempt, head.last_client.clone()), (ids[2], 1, Some(client(0))));

    house.limit(limits(0, 4));
    let snapshot = house.store.snapshot();
    assert!(snapshot.services[0].users.iter().all(|user| user.waiting[0].heads.is_empty()));
}

#[tokio::test]
async fn an_end_frees_its_place_at_once() {
    let house = House::with(limits(1, 1), &[1]).await;
    let (first, second) = (house.accept(1).await, house.accept(1).await);
    let assignment = house.assign(first, 0).await.unwrap();
    assert_eq!(house.store.client_work(&client(0)).to_deliver[0].assignment, assignment);
    assert!(house.assign(second, 0).await.is_err());
    house.report(assignment, Event::Ended(End::Exit(0))).await;
    assert!(house.assign(second, 0).await.is_ok());
}

#[tokio::test]
async fn an_end_makes_room_for_an_assignment_in_the_same_batch() {
    let house = House::with(limits(1, 1), &[1]).await;
    let (first, second) = (house.accept(1).await, house.accept(1).await);
    let assignment = house.assign(first, 0).await.unwrap();
    let ended = Report::new(assignment, Event::Ended(End::Exit(0)));
    let (_, assigned) = tokio::join!(house.store.apply(ended), house.store.assign(vec![proposal(second, 0)]));
    assert_eq!(assigned.unwrap(), [Ok(())]);
    house.assert_agrees().await;
}
