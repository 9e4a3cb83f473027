use domain::{ClientState, Event};
use store::JobFilter;

use crate::harness::{House, client, job, limits, record};

#[tokio::test]
async fn a_restart_rebuilds_the_same_ledger() {
    let house = House::with(limits(9, 9), &[4, 4]).await;
    for (of, slots, priority) in [(1, 1, 0), (1, 2, 5), (2, 1, 0), (1, 1, 5), (3, 1, -1), (2, 1, 0)] {
        house.store.accept(job(of, slots, priority)).await.unwrap();
    }
    let ids: Vec<_> = house.store.jobs(&JobFilter::default(), 9).await.unwrap().iter().map(|row| row.id).collect();
    house.complete(ids[0], 0).await;
    let running = house.assign(ids[1], 1).await.unwrap();
    house.report(running, Event::Started).await;
    let refused = house.assign(ids[2], 0).await.unwrap();
    house.report(refused, Event::NotDelivered).await;
    house.store.request_kill(ids[3], "a test".to_owned()).await.unwrap();
    house.assign(ids[4], 0).await.unwrap();
    house.store.request_kill(ids[4], "a test".to_owned()).await.unwrap();
    for index in [0, 1] {
        house.store.put_client(record(index, 4, ClientState::Draining)).await.unwrap();
    }
    let before = house.store.ledger_dump();
    let house = house.restart().await;
    assert_eq!(house.store.ledger_dump().differences(&before), Vec::<String>::new());
    house.assert_agrees().await;
}

#[tokio::test]
async fn numbers_go_on_and_the_server_keeps_its_id() {
    let house = House::new().await;
    let first = house.accept(1).await;
    let id = house.store.server_id().to_owned();
    assert_eq!(id.len(), 32);
    let house = house.restart().await;
    assert_eq!(house.accept(1).await.0, first.0 + 1);
    assert_eq!(house.store.server_id(), id);
}

#[tokio::test]
async fn a_client_has_to_be_heard_of_again_and_keeps_what_it_reported() {
    let house = House::with(limits(9, 9), &[4]).await;
    let house = house.restart().await;
    let views = house.store.clients();
    assert_eq!(views[0].record, record(0, 4, ClientState::Joining));
    house.limit(limits(9, 9));
    let id = house.accept(1).await;
    assert!(house.assign(id, 0).await.is_err());
    assert_eq!(house.store.client_work(&client(0)).active, []);
}

#[tokio::test]
async fn a_closed_store_is_one_file() {
    let house = House::new().await;
    house.accept(1).await;
    let dir = house.end().await;
    let files = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(files.collect::<Vec<_>>(), ["jobs.sqlite"]);
}
