//! Instances of EC2 come from nothing, do the work and go: the real user data, download, joining, jobs and ends, on machines
//! that have nothing but what user data and the network give them.

use domain::JobId;

use crate::harness::Bed;
use crate::harness::cloud::{Cloud, in_state, instances};
use crate::harness::hypervisor::{Fate, Power};

#[tokio::test]
async fn instances_come_with_the_jobs_do_the_work_and_go() {
    let Some(cloud) = Cloud::new("") else { return };
    assert!(cloud.instances().await.is_empty(), "nothing is launched for nothing");
    let mut jobs = Vec::new();
    for (user, name) in (1..).zip(["one", "two", "three"]) {
        jobs.push((cloud.submit(user, name).await, name));
    }
    for (id, _) in &jobs {
        cloud.server.reached(*id, "Running").await;
    }
    let all = cloud.instances().await;
    assert_eq!((all.len(), in_state(&all, "ready")), (3, 3), "one for each job: {all:#?}");
    for instance in &all {
        let told = (&instance["provider"], &instance["type"], &instance["running"]);
        assert_eq!(told, (&"ec2".into(), &"c7i.large".into(), &1.into()), "{instance:#}");
    }
    for (id, name) in jobs {
        cloud.beacon.open(name);
        let job = cloud.completed(id, name).await;
        assert_eq!(job.0["attempt"].as_u64(), Some(1), "{:#}", job.0);
        assert_eq!(cloud.beacon.times(name), 1);
    }
    cloud.nothing_is_left().await;
    let all = cloud.instances().await;
    assert!(all.iter().all(|instance| instance["why"] == "drained: not needed any more"), "{all:#?}");
    assert_eq!(cloud.aws.calls("RunInstances").len(), 3);
}

#[tokio::test]
async fn more_work_than_the_pool_may_have_instances_waits_for_them() {
    let Some(cloud) = Cloud::new("max = 2\nslots = 2") else { return };
    let mut jobs = Vec::new();
    for user in 1..=6 {
        jobs.push(cloud.submit(user, "gate").await);
    }
    cloud.server.until("four jobs run", async || running(&cloud, &jobs, 4).await).await;
    cloud.pool_until("the pool is full", |pool| pool["ready"] == 2 && pool["max"] == 2).await;
    cloud.beacon.open("gate");
    for id in jobs {
        assert_eq!(cloud.completed(id, "gate").await.0["attempt"].as_u64(), Some(1));
    }
    cloud.nothing_is_left().await;
    assert_eq!(cloud.aws.calls("RunInstances").len(), 2);
}

async fn running(cloud: &Cloud, jobs: &[JobId], wanted: usize) -> Result<(), String> {
    let mut statuses = Vec::new();
    for id in jobs {
        statuses.push(cloud.server.job(*id).await.status().to_owned());
    }
    let running = statuses.iter().filter(|status| *status == "Running").count();
    if running == wanted { Ok(()) } else { Err(format!("{statuses:?}")) }
}

/// The hypervisor's own promise, on which all others here stand.
#[tokio::test]
async fn a_machine_has_what_user_data_and_the_network_give_it_and_nothing_else() {
    let Some(cloud) = Cloud::new("") else { return };
    let here = cloud.bed.path().display().to_string();
    cloud.hypervisor.story(move |boot| {
        let look = format!(
            "echo user=$(id -u) host=$(hostname) first=$(cat /proc/1/comm)
            echo found=$(ls -d /work {here} /root/* /root/.[a-z]* /home/* /tmp/* /var/lib/j* 2> /dev/null)
            echo away=$(touch /usr/mark /bin/mark 2>&1 | grep -c 'Read-only')
            echo notice=$(curl -s -o /dev/null -w '%{{http_code}}' http://169.254.169.254/latest/meta-data/instance-id)
            token=$(curl -s -X PUT http://169.254.169.254/latest/api/token)
            id() {{ curl -s -H \"x-aws-ec2-metadata-token: $token\" http://169.254.169.254/latest/meta-data/instance-id; }}
            echo told=$(id) others=$(ls /proc | grep -c '^[0-9]')\n"
        );
        boot.user_data = boot.user_data.replacen('\n', &format!("\n{look}"), 1);
        Power::On
    });
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    let machine = cloud.machine_until(1, "runs", |fate| *fate == Fate::Running).await;
    let console = cloud.hypervisor.console(&machine.id);
    let says = |line: &str| assert!(console.contains(line), "no {line} in:\n{console}");
    says(&format!("user=0 host={} first=sh\n", machine.id));
    says("found=\n");
    says("away=2\n");
    says("notice=401\n");
    says(&format!("told={} ", machine.id));
    let others = console.split("others=").nth(1).and_then(|rest| rest.lines().next()?.parse::<u32>().ok());
    assert!(others.is_some_and(|others| others < 10), "processes of the host are seen:\n{console}");
    cloud.beacon.open("gate");
    cloud.completed(id, "gate").await;
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn a_server_that_is_stopped_leaves_its_instances_and_goes_on_with_them() {
    let Some(mut cloud) = Cloud::new("") else { return };
    let id = cloud.submit(1, "gate").await;
    cloud.server.reached(id, "Running").await;
    cloud.server.stop();
    // It ends while nobody asks for it.
    cloud.beacon.open("gate");
    cloud.server.start();
    let job = cloud.completed(id, "gate").await;
    assert_eq!(job.0["attempt"].as_u64(), Some(1), "{:#}", job.0);
    let late = cloud.submit(2, "gate").await;
    cloud.completed(late, "gate").await;
    cloud.nothing_is_left().await;
}

#[tokio::test]
async fn servers_in_one_account_leave_each_others_and_strangers_instances_alone() {
    let Some(mut cloud) = Cloud::new("") else { return };
    let stranger = cloud.hypervisor.account().hire_unmarked().unwrap();
    let other_bed = Bed::new();
    let other = cloud.neighbour(&other_bed, "");
    let theirs = cloud.submit_to(&other, 1, "theirs").await;
    other.reached(theirs, "Running").await;
    let ours = cloud.submit(1, "ours").await;
    cloud.server.reached(ours, "Running").await;
    // Of each there is a row 1, in a pool of the same name.
    cloud.server.kill();
    cloud.server.start();
    cloud.beacon.open("ours");
    cloud.completed(ours, "ours").await;
    cloud.instances_until("ours is gone", |all| in_state(all, "gone") == all.len()).await;
    let machines = cloud.hypervisor.machines();
    assert_eq!(machines[0].fate, Fate::Running, "{machines:#?}");
    cloud.beacon.open("theirs");
    let job = other.ended(theirs).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    other
        .until("theirs is gone", async || {
            let all = instances(&other).await;
            if in_state(&all, "gone") == all.len() { Ok(()) } else { Err(format!("{all:#?}")) }
        })
        .await;
    cloud.nothing_is_left().await;
    let all = cloud.hypervisor.account().instances().unwrap();
    let kept: Vec<_> = all.iter().filter(|instance| instance.state == "running").collect();
    assert!(kept.len() == 1 && kept[0].id == stranger, "{all:#?}");
    let asked: Vec<_> = cloud.aws.calls("TerminateInstances").into_iter().flat_map(|call| call.fields).collect();
    assert!(!asked.iter().any(|(_, value)| *value == stranger), "{asked:#?}");
}
