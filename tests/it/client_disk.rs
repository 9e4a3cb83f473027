//! A client whose disk is full or read-only loses nothing, says so, and recovers without a restart.
//!
//! The disk is a small tmpfs, so these tests show nothing where they may not mount.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use domain::End;
use job_orchestrator::client::record;
use job_orchestrator::protocol::{EventsQuery, Info};
use nix::sys::signal::kill;
use nix::unistd::Pid;

use crate::harness::caller::{Caller, form, new_id, recorded, refusal, wait_for, wait_for_file};
use crate::harness::{Bed, ClientNode, Gate, Mount, unzip};

/// A client on a disk of 8 MiB. Dropped in the order of its fields: the disk goes after who uses it.
struct Small {
    client: ClientNode,
    disk: Mount,
    bed: Bed,
}

impl Small {
    fn new() -> Option<Self> {
        let bed = Bed::new();
        let disk = Mount::new(&bed.path().join("client"), "8m")?;
        Some(Self { client: bed.client("client"), disk, bed })
    }
}

async fn trouble(caller: &Caller) -> Option<String> {
    serde_json::from_slice::<Info>(&caller.get("/info").await.body).unwrap().trouble
}

/// Waits in the long poll, as the server does, until the client tells of this trouble, or of none.
async fn hears_of(caller: &Caller, expected: Option<&str>) {
    let mut query = EventsQuery { wait_ms: 5_000, ..EventsQuery::default() };
    let start = std::time::Instant::now();
    loop {
        let page = caller.events(&query).await;
        if page.trouble.as_deref() == expected {
            return;
        }
        assert!(start.elapsed() < crate::harness::PATIENCE, "never: {expected:?}; last: {page:?}");
        query.incarnation = Some(page.incarnation);
        query.after = page.events.iter().map(|event| event.seq).fold(query.after, u64::max);
    }
}

fn attempts(client: &ClientNode) -> usize {
    let entries = std::fs::read_dir(client.dir.join("jobs")).unwrap().flatten();
    entries.filter(|entry| entry.file_type().unwrap().is_dir()).count()
}

#[tokio::test]
async fn payload_that_does_not_fit_is_refused_leaves_nothing_and_disturbs_nobody() {
    let Some(Small { bed, disk: _disk, client }) = Small::new() else { return };
    let caller = Caller::new(&client);
    let gate = Gate::new(&bed, "gate");
    let running = caller.start(&format!("{}\nexit 3", gate.wait())).await;
    caller.started(running).await;
    let id = new_id();
    let large = form(id, 1).script("exit 0").file("large", vec![b'x'; 12_000_000]);
    assert_eq!(refusal(&caller.submit(id, large).await, 507), "disk-full");
    wait_for("nothing of it is left", || (attempts(&client) == 1).then_some(())).await;
    hears_of(&caller, None).await;
    let small = caller.start("exit 0").await;
    assert_eq!(caller.end(small).await, End::Exit(0));
    gate.open();
    assert_eq!(caller.end(running).await, End::Exit(3));
}

#[tokio::test]
async fn full_disk_is_told_and_over_once_there_is_room() {
    let Some(Small { bed: _bed, disk, client }) = Small::new() else { return };
    let caller = Caller::new(&client);
    disk.fill();
    let id = new_id();
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("exit 0")).await, 507), "disk-full");
    hears_of(&caller, Some("disk-full")).await;
    assert_eq!(trouble(&caller).await.as_deref(), Some("disk-full"));
    disk.empty();
    hears_of(&caller, None).await;
    let id = caller.start("exit 5").await;
    assert_eq!(caller.end(id).await, End::Exit(5));
}

/// Fills the last page of a record with a line that counts for nothing: the next line needs room.
fn fill_page(dir: &Path) {
    let path = dir.join("record");
    let mut record = OpenOptions::new().append(true).open(&path).unwrap();
    let free = 4096 - std::fs::metadata(&path).unwrap().len() as usize % 4096;
    record.write_all(&vec![b'\n'; free]).unwrap();
}

#[tokio::test]
async fn end_that_finds_no_room_is_told_as_it_was_once_there_is() {
    let Some(Small { bed, disk, mut client }) = Small::new() else { return };
    let caller = Caller::new(&client);
    let gate = Gate::new(&bed, "gate");
    let pid_file = bed.path().join("pid");
    let script = format!("echo $$ > '{}'\n{}\nexit 7", pid_file.display(), gate.wait());
    let id = caller.start(&script).await;
    caller.started(id).await;
    wait_for_file(pid_file.clone()).await;
    let dir = caller.dir(id);
    fill_page(&dir);
    disk.fill();
    gate.open();
    let pid: i32 = std::fs::read_to_string(&pid_file).unwrap().trim().parse().unwrap();
    wait_for("the script is gone", || kill(Pid::from_raw(pid), None).is_err().then_some(())).await;
    // Its keeper stays, also over a restart of the client.
    assert!(record::is_locked(&dir).unwrap() && recorded(&dir).exit.is_none());
    client.kill();
    disk.empty();
    client.start();
    assert_eq!(Caller::new(&client).end(id).await, End::Exit(7));
}

#[tokio::test]
async fn results_that_find_no_room_for_their_zip_are_streamed() {
    let Some(Small { bed: _bed, disk, client }) = Small::new() else { return };
    let caller = Caller::new(&client);
    let id = caller.start("head -c 3000000 /dev/urandom > noise; exit 2").await;
    assert_eq!(caller.end(id).await, End::Exit(2));
    disk.fill();
    let zip = caller.get(&format!("/retrieve/{id}")).await;
    assert_eq!((zip.status.as_u16(), zip.header("content-length")), (200, ""));
    assert_eq!(unzip(&zip.body)["noise"].len(), 3_000_000);
    assert!(!caller.dir(id).join("result.part").exists());
    disk.empty();
    hears_of(&caller, None).await;
    let zip = caller.get(&format!("/retrieve/{id}")).await;
    assert_eq!(zip.header("content-length"), zip.body.len().to_string());
}

/// The same directory once more over itself, read-only: what is open goes on, nothing else can be written.
struct ReadOnly(PathBuf);

impl ReadOnly {
    fn over(dir: &Path) -> Self {
        for arguments in [&["--bind"][..], &["-o", "remount,bind,ro"]] {
            let mut mount = Command::new("mount");
            mount.args(arguments);
            if arguments == ["--bind"] {
                mount.arg(dir);
            }
            assert!(mount.arg(dir).status().unwrap().success());
        }
        Self(dir.to_owned())
    }
}

impl Drop for ReadOnly {
    fn drop(&mut self) {
        let unmounted = Command::new("umount").arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

#[tokio::test]
async fn read_only_disk_is_told_and_over_once_it_can_be_written() {
    let Some(Small { bed, disk: _disk, client }) = Small::new() else { return };
    let caller = Caller::new(&client);
    let gate = Gate::new(&bed, "gate");
    let running = caller.start(&format!("{}\nexit 3", gate.wait())).await;
    caller.started(running).await;
    let read_only = ReadOnly::over(&client.dir);
    let id = new_id();
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("exit 0")).await, 507), "read-only");
    hears_of(&caller, Some("read-only")).await;
    gate.open();
    assert_eq!(caller.end(running).await, End::Exit(3));
    assert_eq!(caller.get(&format!("/retrieve/{running}")).await.status, 200);
    // What cannot be forgotten now is later.
    let page = caller.events(&EventsQuery::default()).await;
    let last = page.events.iter().map(|event| event.seq).max().unwrap();
    let incarnation = Some(page.incarnation);
    caller.events(&EventsQuery { incarnation, after: last, acknowledged: last, ..EventsQuery::default() }).await;
    assert!(caller.dir(running).exists());
    drop(read_only);
    hears_of(&caller, None).await;
    wait_for("the attempt is forgotten", || (!caller.dir(running).exists()).then_some(())).await;
    let after = caller.start("exit 4").await;
    assert_eq!(caller.end(after).await, End::Exit(4));
}
