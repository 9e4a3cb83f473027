//! What can go wrong between a server and EC2: no acknowledged job is lost, no instance is ended at work, nothing is left, there
//! are never too many, and the pool says what is the matter.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use domain::JobId;

use crate::harness::Form;
use crate::harness::cloud::{Cloud, in_state};
use crate::harness::faulty_ec2::{Call, Fault};
use crate::harness::hypervisor::{Breakage, Fate, Power};

const LAUNCH: &str = "RunInstances";
const LIST: &str = "DescribeInstances";
const END: &str = "TerminateInstances";

/// What a test decides and threads of the harness see.
#[derive(Clone, Default)]
struct Switch(Arc<AtomicBool>);

impl Switch {
    fn flip(&self) {
        self.0.store(true, Ordering::SeqCst);
    }

    fn is_flipped(&self) -> bool {
        self.0.load(Ordering::SeqCst)
    }
}

fn field<'a>(call: &'a Call, name: &str) -> &'a str {
    call.fields.get(name).map_or("", String::as_str)
}

/// A job for a machine that reaches nothing but its server.
async fn submit_quiet(cloud: &Cloud, user: i64) -> JobId {
    cloud.server.submit(Form::new(user).script("echo of quiet > result")).await
}

#[tokio::test]
async fn what_is_not_to_be_had_is_asked_for_as_another_type_and_then_elsewhere() {
    let Some(cloud) = Cloud::told("zones = [\"eu-west-1a\", \"eu-west-1b\"]", None, |aws| {
        aws.story(|call| match field(call, "Placement.AvailabilityZone") {
            "eu-west-1a" if call.operation == LAUNCH => Fault::Refuse("InsufficientInstanceCapacity"),
            _ => Fault::None,
        });
    }) else {
        return;
    };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.completed(id, "gate").await;
    let calls = cloud.aws.calls(LAUNCH);
    let asked: Vec<_> =
        calls.iter().map(|call| (field(call, "InstanceType"), field(call, "Placement.AvailabilityZone"))).collect();
    let expected = [("c7i.large", "eu-west-1a"), ("c6i.large", "eu-west-1a"), ("c7i.large", "eu-west-1b")];
    assert_eq!(asked, expected);
    cloud.nothing_is_left().await;
    let all = cloud.instances().await;
    let refused =
        all.iter().filter(|one| one["why"].as_str().unwrap().contains("InsufficientInstanceCapacity")).count();
    assert_eq!(refused, 2, "{all:#?}");
}

#[tokio::test]
async fn spot_that_is_not_to_be_had_gives_way_to_on_demand() {
    let Some(cloud) = Cloud::told("lifecycle = \"spot\"", None, |aws| {
        aws.story(|call| match field(call, "InstanceMarketOptions.MarketType") {
            "spot" => Fault::Refuse("InsufficientInstanceCapacity"),
            _ => Fault::None,
        });
    }) else {
        return;
    };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
    assert_eq!(cloud.instances().await[0]["lifecycle"], "on-demand");
}

#[tokio::test]
async fn throttled_launches_are_asked_for_later_and_the_job_says_so() {
    // The calls of the first row, with the SDK's own repeats.
    let Some(cloud) = Cloud::told("", None, |aws| {
        aws.story(|call| match (&*call.operation, call.time) {
            (LAUNCH, ..=3) => Fault::Refuse("RequestLimitExceeded"),
            _ => Fault::None,
        });
    }) else {
        return;
    };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    let reason = cloud.waits_for(id, "cloud-refused").await;
    assert!(reason["text"].as_str().unwrap().contains("RequestLimitExceeded"), "{reason:#}");
    cloud.completed(id, "gate").await;
    assert_eq!(cloud.aws.calls(LAUNCH).len(), 4);
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn a_server_without_rights_pauses_its_pool_until_somebody_acts() {
    let mended = Switch::default();
    let is_mended = mended.clone();
    let Some(cloud) = Cloud::told("", None, |aws| {
        aws.story(move |call| match &*call.operation {
            LAUNCH if !is_mended.is_flipped() => Fault::Refuse("UnauthorizedOperation"),
            _ => Fault::None,
        });
    }) else {
        return;
    };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    let pool = cloud.pool_until("it is paused", |pool| pool["paused"].is_string()).await;
    assert_eq!((&pool["paused"], &pool["refused"]), (&"denied".into(), &"UnauthorizedOperation".into()), "{pool:#}");
    cloud.waits_for(id, "pool-paused").await;
    assert_eq!(cloud.aws.calls(LAUNCH).len(), 1, "a pause asks for nothing");
    mended.flip();
    assert_eq!(cloud.server.post("/api/v1/pools/burst/resume").await.status, 200);
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn an_instance_whose_launch_was_never_answered_is_found_and_used() {
    // Also the SDK's own repeats are not answered; each is the same launch by its token.
    let Some(cloud) = Cloud::told("", None, |aws| {
        aws.story(|call| match (&*call.operation, call.time) {
            (LAUNCH, ..=3) => Fault::LoseAnswer,
            _ => Fault::None,
        });
    }) else {
        return;
    };
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
    assert_eq!(cloud.hypervisor.account().instances().unwrap().len(), 1);
    assert_eq!(cloud.instances().await.len(), 1);
}

#[tokio::test]
async fn an_instance_that_never_boots_is_ended_and_another_does_its_work() {
    let Some(cloud) = Cloud::new("boot_timeout_seconds = 10") else { return };
    cloud.hypervisor.story(|boot| if boot.number == 1 { Power::Off } else { Power::On });
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.waits_for(id, "instance-booting").await;
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
    let all = cloud.instances().await;
    assert_eq!(all.last().unwrap()["why"], "its client was not heard of in time", "{all:#?}");
}

#[tokio::test]
async fn an_instance_that_boots_after_its_time_is_sent_home() {
    let given_up = Switch::default();
    let is_given_up = given_up.clone();
    let Some(cloud) = Cloud::new("boot_timeout_seconds = 12\nmax = 2") else { return };
    // It is not ended when it is given up: all calls are lost.
    cloud.aws.story(|call| if call.operation == END { Fault::LoseCall } else { Fault::None });
    cloud.hypervisor.story(
        move |boot| {
            if boot.number > 1 || is_given_up.is_flipped() { Power::On } else { Power::Off }
        },
    );
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.instances_until("it is given up", |all| in_state(all, "terminating") == 1).await;
    given_up.flip();
    let machine = cloud.machine_until(1, "shuts down", |fate| *fate == Fate::ShutDown).await;
    cloud.aws.story(|_| Fault::None);
    let console = cloud.hypervisor.console(&machine.id);
    assert!(console.contains("this instance is not needed any more"), "{console}");
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn the_job_of_an_instance_that_vanishes_runs_on_another() {
    let Some(cloud) = Cloud::new("") else { return };
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    cloud.hypervisor.vanish(&machine.id);
    cloud.server.until("it came twice", async || twice(&cloud)).await;
    cloud.beacon.open("gate");
    let job = cloud.completed(id, "gate").await;
    assert_eq!(job.0["attempt"].as_u64(), Some(2), "{:#}", job.0);
    cloud.nothing_is_left().await;
    let all = cloud.instances().await;
    assert_eq!((all.len(), &all[1]["why"]), (2, &"the provider ended it".into()), "{all:#?}");
}

fn twice(cloud: &Cloud) -> Result<(), String> {
    let times = cloud.beacon.times("gate");
    if times == 2 { Ok(()) } else { Err(format!("{times} times, {:#?}", cloud.hypervisor.machines())) }
}

#[tokio::test]
async fn instances_with_less_than_their_type_promised_are_used_for_what_they_are() {
    let Some(cloud) = Cloud::new("slots = 2") else { return };
    cloud.hypervisor.story(|boot| {
        boot.user_data = boot.user_data.replace("\"slots\":2", "\"slots\":1");
        Power::On
    });
    let jobs = [cloud.submit(1, "gate").await, cloud.submit(2, "gate").await];
    for id in jobs {
        cloud.server.reached(id, "Running").await;
    }
    let all = cloud.instances().await;
    assert_eq!(in_state(&all, "ready"), 2, "each does one at a time: {all:#?}");
    cloud.beacon.open("gate");
    for id in jobs {
        cloud.completed(id, "gate").await;
    }
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn a_type_that_never_fits_is_launched_twice_for_a_job_and_no_more() {
    let only = "slots = 2\ninstance_types = [{ type = \"c7i.large\", price_per_hour = 0.09 }]";
    let Some(cloud) = Cloud::new(only) else { return };
    cloud.hypervisor.story(|boot| {
        boot.user_data = boot.user_data.replace("\"slots\":2", "\"slots\":1");
        Power::On
    });
    let id = cloud.server.submit(Form::new(1).field("slots", "2").script("true")).await;
    cloud.waits_for(id, "launched-but-does-not-fit").await;
    cloud.nothing_is_left().await;
    assert_eq!(cloud.aws.calls(LAUNCH).len(), 2);
    assert_eq!(cloud.server.job(id).await.status(), "Queued");
}

#[tokio::test]
async fn a_download_that_breaks_off_is_gone_on_with() {
    let Some(cloud) = Cloud::new("") else { return };
    cloud.hypervisor.story(|boot| {
        boot.breakage = Some(Breakage::After { connection: 1, bytes: 3_000_000 });
        Power::On
    });
    let id = submit_quiet(&cloud, 1).await;
    cloud.completed(id, "quiet").await;
    let machine = &cloud.hypervisor.machines()[0];
    let console = cloud.hypervisor.console(&machine.id);
    assert!(console.contains("fetching the program failed; trying again"), "{console}");
    cloud.nothing_is_left().await;
    assert_eq!(cloud.instances().await.len(), 1);
}

#[tokio::test]
async fn a_registration_whose_answer_was_lost_is_repeated_and_is_the_same_client() {
    let Some(cloud) = Cloud::new("") else { return };
    // The first connection fetches the program.
    cloud.hypervisor.story(|boot| {
        boot.breakage = Some(Breakage::Answer { connection: 2 });
        Power::On
    });
    let id = submit_quiet(&cloud, 1).await;
    cloud.instances_until("it is registered", |all| in_state(all, "ready") == 1).await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    let joined = || cloud.server.log().matches("client joined").count();
    assert_eq!(joined(), 1);
    cloud.hypervisor.cut_line(&machine.id);
    cloud
        .server
        .until(
            "it registers again",
            async || if joined() == 2 { Ok(()) } else { Err(cloud.hypervisor.console(&machine.id)) },
        )
        .await;
    cloud.completed(id, "quiet").await;
    cloud.nothing_is_left().await;
    assert_eq!(cloud.instances().await.len(), 1);
}

#[tokio::test]
async fn a_spot_instance_that_is_taken_away_drains_and_what_it_could_not_end_runs_again() {
    let Some(cloud) = Cloud::new("lifecycle = \"spot\"\nslots = 2") else { return };
    let held = cloud.submit(1, "gate").await;
    cloud.server.reached(held, "Running").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    cloud.hypervisor.spot_notice(&machine.id);
    let all = cloud.instances_until("it drains", |all| in_state(all, "draining") == 1).await;
    assert_eq!(all[0]["why"], "the provider takes it away", "{all:#?}");
    // It has a free slot, and gets nothing any more.
    cloud.beacon.open("later");
    let later = cloud.submit(2, "later").await;
    cloud.completed(later, "later").await;
    assert_eq!(cloud.server.job(held).await.status(), "Running");
    cloud.hypervisor.vanish(&machine.id);
    cloud.server.until("it came twice", async || twice(&cloud)).await;
    cloud.beacon.open("gate");
    assert_eq!(cloud.completed(held, "gate").await.0["attempt"].as_u64(), Some(2));
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn lists_that_are_empty_for_no_reason_end_nothing() {
    let Some(cloud) = Cloud::new("") else { return };
    let (asked, seen) = (Arc::new(AtomicUsize::new(0)), Switch::default());
    let (counted, is_seen) = (Arc::clone(&asked), seen.clone());
    cloud.aws.story(move |call| match &*call.operation {
        LIST if !is_seen.is_flipped() => {
            counted.fetch_add(1, Ordering::SeqCst);
            Fault::Forget
        }
        _ => Fault::None,
    });
    let is_seen = seen.clone();
    cloud.hypervisor.story(move |_| if is_seen.is_flipped() { Power::On } else { Power::Off });
    cloud.beacon.open("gate");
    let id = cloud.submit(1, "gate").await;
    cloud.instances_until("it boots, and is in no list", |all| in_state(all, "booting") == 1).await;
    let before = asked.load(Ordering::SeqCst);
    cloud
        .server
        .until("two lists without it", async || {
            let times = asked.load(Ordering::SeqCst) - before;
            if times >= 2 { Ok(()) } else { Err(format!("{times}")) }
        })
        .await;
    seen.flip();
    let job = cloud.completed(id, "gate").await;
    assert_eq!(job.0["attempt"].as_u64(), Some(1), "{:#}", job.0);
    cloud.nothing_is_left().await;
    assert_eq!(cloud.aws.calls(LAUNCH).len(), 1);
}

#[tokio::test]
async fn an_instance_that_is_cut_off_for_long_loses_its_job_to_another_and_is_ended() {
    let Some(cloud) = Cloud::new("max = 2") else { return };
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    cloud.hypervisor.cut_network(&machine.id);
    cloud.server.until("it came twice", async || twice(&cloud)).await;
    cloud.beacon.open("gate");
    let job = cloud.completed(id, "gate").await;
    assert_eq!(job.0["attempt"].as_u64(), Some(2), "{:#}", job.0);
    // What was given up still ran there.
    cloud.back_to_zero().await;
}

#[tokio::test]
async fn an_instance_that_is_cut_off_for_a_moment_keeps_its_job() {
    let Some(cloud) = Cloud::new("") else { return };
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    cloud.hypervisor.cut_network(&machine.id);
    cloud
        .server
        .until("it is missed", async || {
            let client = cloud.server.get("/api/v1/clients").await.json()["clients"][0].clone();
            if client["silent_for_seconds"].is_number() { Ok(()) } else { Err(format!("{client:#}")) }
        })
        .await;
    cloud.hypervisor.heal(&machine.id);
    cloud.beacon.open("gate");
    let job = cloud.completed(id, "gate").await;
    assert_eq!((job.0["attempt"].as_u64(), cloud.beacon.times("gate")), (Some(1), 1), "{:#}", job.0);
    cloud.nothing_is_left().await;
    assert_eq!(cloud.instances().await.len(), 1);
}

#[tokio::test]
async fn an_idle_instance_that_lost_its_server_ends_and_a_server_that_is_back_launches_another() {
    let Some(mut cloud) = Cloud::new("idle_seconds = 600") else { return };
    cloud.hypervisor.story(|boot| {
        boot.user_data = boot.user_data.replace("\"idle_patience_seconds\":3600", "\"idle_patience_seconds\":5");
        Power::On
    });
    cloud.beacon.open("gate");
    let first = cloud.submit(1, "gate").await;
    cloud.completed(first, "gate").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    cloud
        .server
        .until("it keeps nothing for its server", async || {
            let kept = cloud.hypervisor.attempts(&machine.id);
            if kept == 0 { Ok(()) } else { Err(format!("{kept} attempts")) }
        })
        .await;
    cloud.server.kill();
    let machine = cloud.machine_until(1, "shuts down", |fate| *fate == Fate::ShutDown).await;
    assert!(cloud.hypervisor.console(&machine.id).contains("no longer needed"));
    cloud.server.start();
    let second = cloud.submit(2, "gate").await;
    cloud.completed(second, "gate").await;
    let all = cloud.instances().await;
    assert_eq!((all.len(), &all[1]["state"]), (2, &"gone".into()), "{all:#?}");
}

#[tokio::test]
async fn a_busy_instance_that_lost_its_server_keeps_the_results_for_it() {
    let Some(mut cloud) = Cloud::new("") else { return };
    cloud.hypervisor.story(|boot| {
        boot.user_data = boot.user_data.replace("\"idle_patience_seconds\":3600", "\"idle_patience_seconds\":5");
        Power::On
    });
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    cloud.server.kill();
    cloud.beacon.open("gate");
    // Longer than an idle one has patience.
    crate::harness::pass(std::time::Duration::from_secs(7)).await;
    assert_eq!(cloud.hypervisor.machines()[0].fate, Fate::Running);
    cloud.server.start();
    let job = cloud.completed(id, "gate").await;
    assert_eq!((job.0["attempt"].as_u64(), cloud.beacon.times("gate")), (Some(1), 1), "{:#}", job.0);
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn a_server_killed_while_an_instance_drains_lets_it_end_its_work() {
    let Some(mut cloud) = Cloud::new("") else { return };
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    let instance = cloud.instances().await[0]["id"].clone();
    assert_eq!(cloud.server.post(&format!("/api/v1/instances/{instance}/drain")).await.status, 200);
    cloud.server.kill();
    cloud.server.start();
    let all = cloud.instances().await;
    assert_eq!((&all[0]["state"], &all[0]["running"]), (&"draining".into(), &1.into()), "{all:#?}");
    cloud.beacon.open("gate");
    let job = cloud.completed(id, "gate").await;
    assert_eq!(job.0["attempt"].as_u64(), Some(1), "{:#}", job.0);
    cloud.nothing_is_left().await;
}
