//! Nothing grows with the number of jobs that have been: not memory, not descriptors, not threads, not processes.

use std::path::PathBuf;
use std::time::Instant;

use domain::JobId;
use futures_util::{StreamExt, stream};

use crate::harness::{Bed, ClientNode, Form, ServerNode, example};

/// Uploads under way at once.
const AT_ONCE: usize = 16;
/// What resident memory may differ by between two bursts, in KiB.
const GROWTH_KIB: u64 = 5 * 1024;

#[derive(Debug, Clone, Copy)]
struct Footprint {
    resident_kib: u64,
    threads: u64,
    /// Sockets apart: how many connections are kept open depends on how many calls were under way at once.
    descriptors: usize,
    sockets: usize,
    /// Below it, zombies too.
    descendants: usize,
}

impl Footprint {
    fn of(pid: u32) -> Self {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> u64 {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().flatten();
        let (sockets, descriptors): (Vec<_>, Vec<_>) = open
            .filter_map(|entry| std::fs::read_link(entry.path()).ok())
            .partition(|target| target.to_string_lossy().starts_with("socket:"));
        Self {
            resident_kib: number("VmRSS:"),
            threads: number("Threads:"),
            descriptors: descriptors.len(),
            sockets: sockets.len(),
            descendants: descendants(pid),
        }
    }

    fn is_within(&self, before: &Self) -> bool {
        self.resident_kib <= before.resident_kib + GROWTH_KIB
            && self.threads <= before.threads
            && self.descriptors <= before.descriptors
            && self.sockets <= before.sockets + AT_ONCE
            && self.descendants <= before.descendants
    }
}

/// Children and their children, by what the kernel lists under each thread.
fn descendants(pid: u32) -> usize {
    let threads = std::fs::read_dir(PathBuf::from(format!("/proc/{pid}/task"))).into_iter().flatten().flatten();
    let mut count = 0;
    for thread in threads {
        let children = std::fs::read_to_string(thread.path().join("children")).unwrap_or_default();
        for child in children.split_whitespace().filter_map(|child| child.parse().ok()) {
            count += 1 + descendants(child);
        }
    }
    count
}

/// Has `count` jobs of 16 users done.
async fn burst(server: &ServerNode, count: i64) {
    let start = Instant::now();
    let ids: Vec<JobId> = stream::iter(0..count)
        .map(|number| server.submit(Form::new(number % 16).script(":")))
        .buffer_unordered(AT_ONCE)
        .collect()
        .await;
    let uploaded = start.elapsed();
    for id in ids {
        let job = server.ended(id).await;
        assert_eq!(job.status(), "Completed", "{:#}", job.0);
    }
    println!("{count} jobs: uploaded in {uploaded:.1?}, completed in {:.1?}", start.elapsed());
}

async fn footprint_stays(small: i64, large: i64) {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server_with(&example(&[&client], "runs_per_user = 8\nmax_runs = 8"), &[]);
    let now = |client: &ClientNode, server: &ServerNode| {
        [server.process.as_ref(), client.process.as_ref()].map(|process| Footprint::of(process.unwrap().pid()))
    };
    burst(&server, small).await;
    let before = now(&client, &server);
    burst(&server, large).await;
    println!("server, client before: {before:?}\nright after: {:?}", now(&client, &server));
    server
        .until("server and client are as small as before", async || {
            let after = now(&client, &server);
            let within = after.iter().zip(&before).all(|(after, before)| after.is_within(before));
            if within { Ok(()) } else { Err(format!("{after:?}, before {before:?}")) }
        })
        .await;
}

#[tokio::test]
async fn a_thousand_jobs_leave_nothing_behind() {
    footprint_stays(300, 1_000).await;
}

#[tokio::test]
#[ignore = "long: about five minutes"]
async fn ten_thousand_jobs_leave_nothing_behind() {
    footprint_stays(1_000, 10_000).await;
}
