//! An account of EC2 with machines in it, and a server that has a pool there.

use std::path::PathBuf;

use domain::JobId;
use serde_json::Value;

use super::beacon::Beacon;
use super::bed::{Bed, ServerNode, free_address};
use super::faulty_ec2::FaultyEc2;
use super::http::{Form, Job, unzip};
use super::hypervisor::{Fate, Hypervisor, Seen, lean};
use super::moto::Moto;

/// moto takes any credentials; with these the SDK looks for no others, and finds nobody's real ones.
const ENVIRONMENT: [(&str, &str); 2] = [("AWS_ACCESS_KEY_ID", "moto"), ("AWS_SECRET_ACCESS_KEY", "moto")];
/// A pool that changes its mind at once. What a test gives itself takes the place of a line.
const POOL: [(&str, &str); 11] = [
    ("provider", "\"ec2\""),
    ("services", "[\"example\"]"),
    ("image", "\"ami-12c6146b\""),
    ("slots", "1"),
    ("max", "3"),
    ("idle_seconds", "1"),
    ("cooldown_up_seconds", "0"),
    ("cooldown_down_seconds", "0"),
    ("minimum_life_seconds", "0"),
    ("boot_timeout_seconds", "25"),
    (
        "instance_types",
        "[{ type = \"c7i.large\", price_per_hour = 0.09 }, { type = \"c6i.large\", price_per_hour = 0.1 }]",
    ),
];

/// Parts end in this order.
pub struct Cloud {
    pub server: ServerNode,
    pub hypervisor: Hypervisor,
    pub beacon: Beacon,
    pub aws: FaultyEc2,
    max: u64,
    _moto: Moto,
    pub bed: Bed,
}

impl Cloud {
    /// With a pool of which `pool` is what differs. `None`, told loudly, where there can be no machines.
    pub fn new(pool: &str) -> Option<Self> {
        Self::armed(pool, None)
    }

    /// The server dies at this crash point.
    pub fn armed(pool: &str, point: Option<&str>) -> Option<Self> {
        Self::told(pool, point, |_| ())
    }

    /// Something is prepared before the server starts.
    pub fn told(pool: &str, point: Option<&str>, prepare: impl FnOnce(&FaultyEc2)) -> Option<Self> {
        let bed = Bed::new();
        let moto = Moto::start(&[]);
        let hypervisor = Hypervisor::before(&moto.url, &bed.path().join("machines"))?;
        let aws = FaultyEc2::before(&moto.url);
        prepare(&aws);
        let beacon = Beacon::at(hypervisor.host());
        let config = config(&hypervisor, &aws, pool);
        let mut environment = ENVIRONMENT.to_vec();
        environment.extend(point.map(|point| ("CRASH_AT", point)));
        let server = bed.steady_server(&config, &environment);
        Some(Self { server, hypervisor, beacon, aws, max: max_of(pool), _moto: moto, bed })
    }

    /// Another server with a pool in the same account.
    pub fn neighbour(&self, bed: &Bed, pool: &str) -> ServerNode {
        bed.steady_server(&config(&self.hypervisor, &self.aws, pool), &ENVIRONMENT)
    }

    /// Hands in a job that waits at `name`, and has the name in its result.
    pub async fn submit(&self, user: i64, name: &str) -> JobId {
        self.submit_to(&self.server, user, name).await
    }

    pub async fn submit_to(&self, server: &ServerNode, user: i64, name: &str) -> JobId {
        let script = format!("{}\necho of {name} > result", self.beacon.wait(name));
        server.submit(Form::new(user).script(&script)).await
    }

    /// The job with its whole result, once it is there.
    pub async fn completed(&self, id: JobId, name: &str) -> Job {
        let job = self.server.ended(id).await;
        assert_eq!(job.status(), "Completed", "{:#}\n{}", job.0, self.server.log());
        let files = unzip(&self.server.download(id).await.body);
        assert_eq!(files["result"], format!("of {name}\n").as_bytes());
        job
    }

    /// Newest first.
    pub async fn instances(&self) -> Vec<Value> {
        instances(&self.server).await
    }

    pub async fn instances_until(&self, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
        self.server
            .until(what, async || {
                let instances = self.instances().await;
                if is_so(&instances) { Ok(instances) } else { Err(self.scene(&instances)) }
            })
            .await
    }

    /// Its only pool.
    pub async fn pool_until(&self, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        self.server
            .until(what, async || {
                let pool = self.server.get("/api/v1/pools").await.json()["pools"][0].clone();
                if is_so(&pool) { Ok(pool) } else { Err(format!("{pool:#}")) }
            })
            .await
    }

    /// The job, once this is why it waits.
    pub async fn waits_for(&self, id: JobId, reason: &str) -> Value {
        self.server
            .until(&format!("job {id} waits: {reason}"), async || {
                let job = self.server.job(id).await;
                if job.0["reason"]["code"] == reason { Ok(job.0["reason"].clone()) } else { Err(job.0.to_string()) }
            })
            .await
    }

    /// The machine of this number, once it is as wanted.
    pub async fn machine_until(&self, number: usize, what: &str, is_so: impl Fn(&Fate) -> bool) -> Seen {
        self.server
            .until(&format!("machine {number} {what}"), async || {
                let machines = self.hypervisor.machines();
                let found = machines.iter().find(|machine| machine.number == number && is_so(&machine.fate));
                found.cloned().ok_or_else(|| format!("{machines:#?}"))
            })
            .await
    }

    /// Back to zero, and no harm was done on the way: no instance was ended with a job on it.
    pub async fn nothing_is_left(&self) {
        self.back_to_zero().await;
        for machine in self.hypervisor.machines() {
            if let Fate::Ended { at_work } = machine.fate {
                assert!(at_work.is_empty(), "{} was ended at work: {at_work:?}\n{}", machine.id, self.server.log());
            }
        }
    }

    /// No row, no instance and no machine is there any more, and there were never too many.
    pub async fn back_to_zero(&self) {
        self.instances_until("all instances are gone", |all| in_state(all, "gone") == all.len()).await;
        self.server
            .until("no machine is left", async || {
                let machines = self.hypervisor.machines();
                let runs = |machine: &Seen| matches!(machine.fate, Fate::Running | Fate::Off);
                if machines.iter().any(runs) { Err(format!("{machines:#?}")) } else { Ok(()) }
            })
            .await;
        let peak = self.hypervisor.peak() as u64;
        assert!(peak <= self.max, "{peak} instances at once, {} at most", self.max);
    }

    /// All that helps to see why something did not happen.
    fn scene(&self, instances: &[Value]) -> String {
        let machines = self.hypervisor.machines();
        let consoles = machines.iter().map(|machine| format!("{machine:?}\n{}", self.hypervisor.console(&machine.id)));
        format!("{instances:#?}\n{}", consoles.collect::<Vec<_>>().join("\n"))
    }
}

pub async fn instances(server: &ServerNode) -> Vec<Value> {
    server.get("/api/v1/instances?limit=100").await.json()["instances"].as_array().unwrap().clone()
}

pub fn in_state(instances: &[Value], state: &str) -> usize {
    instances.iter().filter(|instance| instance["state"] == state).count()
}

fn max_of(pool: &str) -> u64 {
    let given = pool.lines().find_map(|line| line.trim().strip_prefix("max = "));
    given.map_or(3, |max| max.trim().parse().unwrap())
}

fn config(hypervisor: &Hypervisor, aws: &FaultyEc2, pool: &str) -> String {
    let (host, port) = (hypervisor.host(), free_address().port());
    let (architecture, program): (_, PathBuf) = (std::env::consts::ARCH, lean());
    let lines = POOL.iter().filter(|(key, _)| !pool.contains(&format!("{key} = ")));
    let lines: Vec<String> = lines.map(|(key, value)| format!("{key} = {value}")).collect();
    format!(
        "[server]\npublic_url = \"https://{host}:{port}\"\nclient_binary = {{ {architecture} = \"{}\" }}\n\
         lost_after_seconds = 4\nclient_timeout_seconds = 2\n\
         [service.example]\nruns_per_user = 10\nmax_runs = 10\nclients = []\n\
         [pool.burst]\n{}\n{pool}\n\
         [provider.ec2]\nregion = \"eu-west-1\"\nendpoint = \"{}\"\n",
        program.display(),
        lines.join("\n"),
        aws.url
    )
}
