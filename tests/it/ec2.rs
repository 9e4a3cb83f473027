//! A pool of machines at Amazon EC2: the real SDK against moto, and machines that have nothing but their user data and
//! the network.

use std::net::TcpListener;
use std::sync::Arc;

use serde_json::Value;

use crate::harness::faulty_ec2::{Fault, FaultyEc2};
use crate::harness::hypervisor::{Fate, Hypervisor, Network, stripped_program};
use crate::harness::moto::Moto;
use crate::harness::{Bed, Form, ServerNode, unzip};

/// What moto knows.
const IMAGE: &str = "ami-12c6146b";
/// Any: moto checks none.
const CREDENTIALS: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "moto"), ("AWS_SECRET_ACCESS_KEY", "moto")];

/// A cloud with a server in it. The order of the fields is that of their ends.
struct Cloud {
    server: ServerNode,
    hypervisor: Hypervisor,
    proxy: FaultyEc2,
    _moto: Moto,
    _bed: Bed,
}

impl Cloud {
    /// `pool` is what the pool has beside two types, an image and no time to waste.
    fn new(pool: &str) -> Self {
        let bed = Bed::new();
        let moto = Moto::start(&[]);
        let proxy = FaultyEc2::before(&moto.url);
        let network = Arc::new(Network::new());
        let hypervisor = Hypervisor::start(&moto.url, network.clone());
        let free = TcpListener::bind((network.host(), 0)).unwrap().local_addr().unwrap();
        let program = stripped_program(bed.path());
        let config = format!(
            "[server]\npublic_url = \"https://{free}\"\nclient_binary = {{ x86_64 = \"{}\" }}
            [service.example]\nruns_per_user = 10\nmax_runs = 10
            [provider.ec2]\nregion = \"eu-west-1\"\nendpoint = \"{}\"
            [pool.burst]\nservices = [\"example\"]\nprovider = \"ec2\"\nslots = 1\ncooldown_up_seconds = 0
            cooldown_down_seconds = 0\nidle_seconds = 1\nminimum_life_seconds = 0\nimage = \"{IMAGE}\"
            instance_types = [{{ type = \"c5.large\", price_per_hour = 0.09 }},
                {{ type = \"m5.large\", price_per_hour = 0.1 }}]\n{pool}\n",
            program.display(),
            proxy.url
        );
        let server = bed.server_with(&config, &CREDENTIALS);
        Self { server, hypervisor, proxy, _moto: moto, _bed: bed }
    }

    async fn instances(&self) -> Vec<Value> {
        self.server.get("/api/v1/instances?limit=100").await.json()["instances"].as_array().unwrap().clone()
    }

    async fn until(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        self.server
            .until(what, async || {
                let instances = self.instances().await;
                if is_so(&instances) { Ok(instances) } else { Err(format!("{instances:#?}")) }
            })
            .await
    }

    /// Rows, machines, and what AWS has.
    async fn nothing_is_left(&self) {
        self.until("all instances are gone", |all| all.iter().all(|one| one["state"] == "gone")).await;
        self.hypervisor.until_running(0).await;
    }
}

#[tokio::test]
async fn machines_come_with_the_jobs_run_them_and_go_after_the_last() {
    let cloud = Cloud::new("max = 2");
    let mut ids = Vec::new();
    for user in 1..=4 {
        let form = Form::new(user)
            .file("input", format!("of {user}\n"))
            .script("cat input > out; hostname -I >> out; id -u > user");
        ids.push(cloud.server.submit(form).await);
    }
    for (id, user) in ids.into_iter().zip(1..) {
        let job = cloud.server.ended(id).await;
        assert_eq!(job.status(), "Completed", "{:#}\n{}", job.0, cloud.hypervisor.consoles());
        let files = unzip(&cloud.server.download(id).await.body);
        let out = String::from_utf8_lossy(&files["out"]).into_owned();
        assert!(out.starts_with(&format!("of {user}\n")) && out.contains("10.213."), "{out}");
        assert_ne!(files["user"], b"0\n", "the job runs as a user of its own");
    }
    let all = cloud.instances().await;
    assert!((1..=2).contains(&cloud.hypervisor.launched()), "{all:#?}");
    assert!(all.iter().all(|one| one["type"] == "c5.large" && one["provider"] == "ec2"), "{all:#?}");
    cloud.nothing_is_left().await;
    let costs = cloud.server.get("/api/v1/costs").await.json();
    assert!(costs["total"].as_f64().unwrap() > 0.0, "{costs}");
}
