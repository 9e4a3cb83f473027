//! A process of ours: started, listened to until it says that it is ready, ended by its pid.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::init;

/// The longest anything in the tests is waited for.
pub const PATIENCE: Duration = Duration::from_secs(30);

const PROGRAM: &str = env!("CARGO_BIN_EXE_job-orchestrator");
/// Taken away: what lets root read and write whatever permissions say.
const PRIVILEGES: &str = "-dac_override,-dac_read_search";

pub struct Process {
    child: Child,
    /// Where it listens, from its own ready message.
    pub address: String,
}

impl Process {
    /// Starts a server or client and waits until it says where it listens.
    pub fn start(mut command: Command, log: &Path) -> Self {
        let mut child = init::own(|| {
            let child = command.stderr(Stdio::piped()).spawn().unwrap();
            let pid = child.id();
            (child, pid)
        });
        let stderr = child.stderr.take().unwrap();
        let (found, ready) = mpsc::channel();
        let mut copy = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                use std::io::Write;
                let _ = writeln!(copy, "{line}");
                if let Some(address) = ready_address(&line) {
                    let _ = found.send(address);
                }
            }
        });
        if let Ok(address) = ready.recv_timeout(PATIENCE) {
            return Self { child, address };
        }
        let _ = child.kill();
        let _ = child.wait();
        panic!("not ready: {command:?}\n{}", std::fs::read_to_string(log).unwrap_or_default());
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A line of its status about memory, such as `VmRSS:`, in KiB.
    pub fn memory_kib(&self, line: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let told = status.lines().find_map(|told| told.strip_prefix(line)).unwrap();
        told.trim().trim_end_matches(" kB").parse().unwrap()
    }

    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id().cast_signed()), signal).unwrap();
    }

    /// Waits for the end after a signal.
    pub fn ended(&mut self) -> ExitStatus {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(start.elapsed() < PATIENCE, "process {} does not end", self.pid());
            std::thread::yield_now();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.is_running() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
    }
}

/// `job-orchestrator` with nothing of our own environment but what it needs to find programs.
pub fn command(args: &[String], env: &[(String, String)]) -> Command {
    dressed(Command::new(PROGRAM), args, env)
}

/// The same as a process that the permissions of files bind, which they do not bind root.
pub fn command_under_permissions(args: &[String], env: &[(String, String)]) -> Command {
    if !nix::unistd::geteuid().is_root() {
        return command(args, env);
    }
    command_without(PRIVILEGES, args, env)
}

/// As root without some of its capabilities, as `setpriv` names them.
pub fn command_without(capabilities: &str, args: &[String], env: &[(String, String)]) -> Command {
    // Part of every Debian; it becomes the program, with the same pid.
    let mut setpriv = Command::new("setpriv");
    setpriv.args(["--inh-caps", capabilities, "--bounding-set", capabilities, PROGRAM]);
    dressed(setpriv, args, env)
}

fn dressed(mut command: Command, args: &[String], env: &[(String, String)]) -> Command {
    command.args(args).env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("ORCHESTRATOR_LOG_FORMAT", "json").envs(env.iter().map(|(key, value)| (key, value)));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// Lets time pass: how long a fault lasts, never how long something that must happen is waited for.
pub async fn pass(time: Duration) {
    tokio::time::sleep(time).await;
}

fn ready_address(line: &str) -> Option<String> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    let message = line.get("message")?.as_str()?;
    message.ends_with(" is ready").then(|| line.get("address")?.as_str().map(str::to_owned))?
}

/// The child of a process that has this name, once it has.
pub fn child_named(parent: u32, name: &str) -> Pid {
    let is_it = |pid: &i32| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let above = stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1).map(str::to_owned));
        stat.contains(&format!("({name})")) && above == Some(parent.to_string())
    };
    let start = Instant::now();
    loop {
        let entries = std::fs::read_dir("/proc").unwrap();
        let mut pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        if let Some(pid) = pids.find(is_it) {
            return Pid::from_raw(pid);
        }
        assert!(start.elapsed() < PATIENCE, "{parent} has no child named {name}");
        std::thread::yield_now();
    }
}
