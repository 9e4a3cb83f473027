//! One machine: namespaces with a root, a network and a first process of their own.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::super::process::PATIENCE;
use super::line::{Breakage, Line};
use super::metadata::{ADDRESS, Metadata};
use super::network::{Ends, Inside, ip, ip_inside};

const INIT: &str = include_str!("machine.sh");
/// Between two looks for what the kernel does at once.
const LOOK: Duration = Duration::from_millis(1);
/// Where the user data lets the client keep its attempts.
const JOBS: &str = "/var/lib/job-orchestrator/client/jobs";
/// What a job's processes have in their environment.
const MARK: &str = "ORCHESTRATOR_ASSIGNMENT=";

/// What a machine is made of.
pub(super) struct Spec<'a> {
    pub id: &'a str,
    /// For its mount point and its console.
    pub dir: &'a Path,
    pub ends: Ends,
    pub user_data: &'a [u8],
    /// A line that breaks, in the place of the server's address and port.
    pub breakage: Option<(Breakage, Ipv4Addr, u16)>,
}

/// A machine that was switched on. Ends with the thread that did so.
pub(super) struct Machine {
    /// `unshare`, which waits for the machine's first process.
    child: Child,
    link: String,
    metadata: Metadata,
    line: Option<Line>,
}

/// Where what the machine says can be read.
pub(super) fn console(dir: &Path, id: &str) -> PathBuf {
    dir.join(format!("{id}.console"))
}

/// Why this process can have no machines, if so.
pub(super) fn obstacle() -> Option<String> {
    let trial = "mount -t tmpfs trial /mnt && ip link set lo up && command -v nsenter pivot_root curl";
    let mut command = namespaces();
    let output = command.args(["/bin/sh", "-c", trial]).output().ok()?;
    (!output.status.success()).then(|| String::from_utf8_lossy(&output.stderr).into_owned())
}

/// A command in namespaces of its own, which are gone with it, and it with the thread that starts it.
fn namespaces() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "unshare", "--kill-child=KILL", "--fork"]);
    command.args(["--pid", "--mount", "--uts", "--ipc", "--net", "--propagation", "private"]);
    command
}

impl Machine {
    pub fn boot(spec: &Spec<'_>) -> Self {
        let root = spec.dir.join(spec.id);
        std::fs::create_dir_all(&root).unwrap();
        let console = File::create(console(spec.dir, spec.id)).unwrap();
        let mut command = namespaces();
        command.args(["/bin/sh", "-c", INIT, "machine"]).arg(&root).arg(spec.id).env_clear();
        command.env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin").current_dir("/");
        command.stdin(Stdio::piped()).stdout(console.try_clone().unwrap()).stderr(console);
        let mut child = command.spawn().expect("util-linux is part of every Debian");
        let pid = child.id();
        wait_for("namespaces", || network_of(pid).filter(|network| Some(network) != network_of("self").as_ref()));
        wire(pid, spec);
        let inside = Inside::of(pid);
        let metadata = Metadata::serve(&inside, spec.id);
        let line = spec.breakage.map(|(breakage, here, port)| Line::lay(&inside, here, spec.ends.host, port, breakage));
        // It boots with the last byte of this.
        child.stdin.take().unwrap().write_all(spec.user_data).unwrap();
        Self { child, link: spec.ends.link.clone(), metadata, line }
    }

    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().unwrap().is_some()
    }

    /// As by a power cut.
    pub fn kill(mut self) {
        match self.init() {
            // With it goes every process in its namespace, before it is waited for.
            Some(init) => drop(kill(init, Signal::SIGKILL)),
            None => drop(self.child.kill()),
        }
        let _ = self.child.wait();
        self.unplug();
    }

    /// Connections that were cut off hold their network for minutes, and with it the host's end.
    pub fn unplug(&self) {
        let mut ip = Command::new("ip");
        // It is gone already where nothing held it.
        let _ = ip.args(["link", "delete", &self.link]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }

    /// Attempts that its client has not forgotten.
    pub fn attempts(&self) -> usize {
        let jobs = self.init().map(|init| format!("/proc/{init}/root{JOBS}"));
        jobs.and_then(|jobs| std::fs::read_dir(jobs).ok()).map_or(0, Iterator::count)
    }

    /// Processes of jobs that run on it.
    pub fn at_work(&self) -> Vec<String> {
        let Some(own) = self.init().and_then(|init| host_name_of(init.as_raw())) else { return Vec::new() };
        let pids =
            std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let is_of_a_job = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(MARK.as_bytes()))
        };
        let pids = pids.filter(|pid: &i32| host_name_of(*pid).as_ref() == Some(&own) && is_of_a_job(pid));
        pids.map(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default()).collect()
    }

    pub fn notice(&self) {
        self.metadata.notice();
    }

    /// Nothing gets through until [`Machine::heal`]; connections stay.
    pub fn cut_network(&self) {
        ip(&format!("link set {} down\n", self.link));
    }

    pub fn heal(&self) {
        ip(&format!("link set {} up\n", self.link));
    }

    /// Breaks the connections of a line that breaks.
    pub fn cut_line(&self) {
        self.line.as_ref().expect("a line that breaks").cut();
    }

    /// Its first process, as this test sees it.
    fn init(&self) -> Option<Pid> {
        let pid = self.child.id();
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).ok()?;
        children.split_whitespace().next()?.parse().ok().map(Pid::from_raw)
    }
}

/// Gives the machine its address, the one of the metadata service, and a way to the host alone.
fn wire(pid: u32, spec: &Spec<'_>) {
    let Ends { link, host, machine } = &spec.ends;
    ip(&format!(
        "link add {link} type veth peer name eth0 netns {pid}\n\
         address add {host}/32 peer {machine}/32 dev {link}\n\
         link set {link} up\n"
    ));
    let here = spec.breakage.map(|(_, here, _)| format!("address add {here}/32 dev lo\n")).unwrap_or_default();
    ip_inside(
        pid,
        &format!(
            "link set lo up\n\
             address add {ADDRESS}/32 dev lo\n\
             {here}link set eth0 up\n\
             address add {machine}/32 peer {host}/32 dev eth0\n"
        ),
    );
}

fn network_of(process: impl std::fmt::Display) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{process}/ns/net")).ok()
}

/// The namespace of host names: boxes of jobs have none of their own.
fn host_name_of(pid: i32) -> Option<PathBuf> {
    std::fs::read_link(format!("/proc/{pid}/ns/uts")).ok()
}

fn wait_for<T>(what: &str, look: impl Fn() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::park_timeout(LOOK);
    }
}
