//! A backup that becomes another server's, and what a check finds in it.

use domain::pool::instance::{Call, DrainReason};
use domain::pool::{Event, InstanceId, InstanceState};
use store::offline::{self, Inspection};

use crate::fleet::{drain, made, yes};
use crate::harness::House;

/// Two that are asked for, one that is up, one that is gone.
async fn given() -> House {
    let house = House::with_pool(9).await;
    for _ in 0..2 {
        house.launch().await.unwrap();
    }
    house.up(0).await;
    let gone = house.launch().await.unwrap();
    yes(house.happens(gone, made(gone)).await);
    yes(house.happens(gone, Event::Ended).await);
    house
}

#[tokio::test]
async fn a_restored_server_keeps_its_instances_and_repeats_no_launch_of_the_former() {
    let house = given().await;
    let copy = house.path().with_extension("copy");
    offline::copy(&house.path(), &copy).await.unwrap();
    let up = house.instance(InstanceId(3)).await;
    drop(house.end().await.keep());
    let former = offline::succeed(&copy).await.unwrap().former;
    let options = store::StoreOptions { path: copy.clone(), readers: 1 };
    let (store, _writer) = store::Store::open(options).await.unwrap();
    assert_eq!(store.former_ids(), [former]);
    assert_eq!(store.new_instance_id(), InstanceId(1_000_005), "the former server gave some after the backup");
    let pools = store.pools();
    assert_eq!(**pools.instance(InstanceId(3)).unwrap(), up);
    for id in [1, 2] {
        let row = pools.instance(InstanceId(id)).unwrap();
        assert!(matches!(row.instance.state, InstanceState::Requested { call: Call::Taken { .. } }), "{row:?}");
    }
    let mut inspection = Inspection::open(&copy).await.unwrap();
    assert_eq!(inspection.instance_faults().await.unwrap(), Vec::<String>::new());
    std::fs::remove_dir_all(copy.parent().unwrap()).unwrap();
}

#[tokio::test]
async fn a_check_names_rows_of_instances_that_contradict_themselves() {
    for (sql, found) in [
        ("UPDATE instances SET gone_at = 1 WHERE id = 3", "instance 3 is ready and the time of its end"),
        ("UPDATE instances SET gone_at = NULL WHERE id = 4", "instance 4 is gone and the time of its end"),
        ("UPDATE instances SET client = 'c9' WHERE id = 3", "instance 3 has a client that did not register"),
        ("UPDATE instances SET status = 'lost' WHERE id = 4", "instance 4 has the status lost"),
        ("UPDATE pool_learnt SET format = 2", "what the pool burst learnt has format 2"),
        ("UPDATE client_orders SET since = 'x'", "the order about client c0"),
    ] {
        let house = given().await;
        let drained = store::instances::ClientOrder::Drain { by: "x".to_owned(), deadline: None };
        house.store.order_client(crate::harness::client(0), drained).await.unwrap();
        house.store.order_client(crate::harness::client(0), store::instances::ClientOrder::Undrain).await.unwrap();
        yes(house.happens(InstanceId(3), drain(DrainReason::NotNeeded)).await);
        yes(house.happens(InstanceId(3), Event::Undrain).await);
        house.meddle("INSERT INTO client_orders VALUES ('c0', 'x', 1, NULL)").await;
        let mut inspection = Inspection::open(&house.path()).await.unwrap();
        assert_eq!(inspection.instance_faults().await.unwrap(), Vec::<String>::new());
        drop(inspection);
        house.meddle(sql).await;
        let mut inspection = Inspection::open(&house.path()).await.unwrap();
        let faults = inspection.instance_faults().await.unwrap();
        assert!(faults.len() == 1 && faults[0].contains(found), "{found}: {faults:?}");
    }
}
