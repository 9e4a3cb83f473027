//! Makes EC2 of moto: whatever moto says is running runs here, as a machine of its own that has nothing of the host but
//! its programs to read, and no way to anybody but the network.
//!
//! A machine is a network namespace with an address on a bridge, and the namespaces of processes and mounts; its disk is
//! in memory. It runs its user data as cloud-init would, and ends when that shuts it down, or when moto says so.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tempfile::TempDir;

use super::process::PATIENCE;
use super::rig::wait_for;

/// Between two looks at moto.
const LOOK: Duration = Duration::from_millis(100);

/// How the instances of a test fare.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Boots,
    /// It runs, and nothing in it ever does.
    NeverBoots,
    /// With so many slots, whatever its type promises.
    BootsWithSlots(u32),
}

type Story = dyn Fn(usize) -> Fate + Send;

/// A running hypervisor. Dropping it ends all machines.
pub struct Hypervisor {
    pub network: Arc<Network>,
    shared: Arc<Shared>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    moto: String,
    dir: TempDir,
    machines: Mutex<BTreeMap<String, Machine>>,
    story: Mutex<Box<Story>>,
}

/// A bridge with an address of the host.
pub struct Network {
    /// Such as `10.213.7`; the host is `.1`.
    prefix: String,
    name: String,
}

struct Machine {
    /// Nothing once it was ended.
    process: Option<Child>,
    namespace: String,
    console: PathBuf,
}

impl Network {
    pub fn new() -> Self {
        let number = std::process::id() % 250 + 1;
        let network = Self { prefix: format!("10.213.{number}"), name: format!("jo{number}") };
        run("ip", &["link", "add", &network.name, "type", "bridge"]);
        run("ip", &["address", "add", &format!("{}.1/24", network.prefix), "dev", &network.name]);
        run("ip", &["link", "set", &network.name, "up"]);
        network
    }

    /// Where the host is for machines.
    pub fn host(&self) -> String {
        format!("{}.1", self.prefix)
    }

    /// Plugs a machine in.
    fn connect(&self, number: usize) -> String {
        let namespace = format!("{}-{number}", self.name);
        let (here, address) = (format!("{}v{number}", self.name), format!("{}.{}/24", self.prefix, number + 9));
        run("ip", &["netns", "add", &namespace]);
        run("ip", &["link", "add", &here, "type", "veth", "peer", "name", "eth0", "netns", &namespace]);
        run("ip", &["link", "set", &here, "master", &self.name, "up"]);
        run("ip", &["-n", &namespace, "address", "add", &address, "dev", "eth0"]);
        run("ip", &["-n", &namespace, "link", "set", "eth0", "up"]);
        run("ip", &["-n", &namespace, "link", "set", "lo", "up"]);
        // As on EC2, and nothing answers there before a notice.
        run("ip", &["-n", &namespace, "address", "add", "169.254.169.254/32", "dev", "lo"]);
        namespace
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["link", "del", &self.name]).status();
    }
}

impl Hypervisor {
    /// Watches moto at `moto` (`http://ADDRESS`).
    pub fn start(moto: &str, network: Arc<Network>) -> Self {
        let shared = Arc::new(Shared {
            moto: moto.to_owned(),
            dir: tempfile::tempdir().unwrap(),
            machines: Mutex::default(),
            story: Mutex::new(Box::new(|_| Fate::Boots)),
        });
        let stop = Arc::new(AtomicBool::new(false));
        let (watched, stopped, plugs) = (shared.clone(), stop.clone(), network.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                watched.look(&plugs);
                std::thread::sleep(LOOK);
            }
        });
        Self { network, shared, stop, thread: Some(thread) }
    }

    /// What becomes of the machines from now on, by their number from 1.
    pub fn story(&self, story: impl Fn(usize) -> Fate + Send + 'static) {
        *self.shared.story.lock().unwrap() = Box::new(story);
    }

    /// How many machines there ever were.
    pub fn launched(&self) -> usize {
        self.shared.machines().len()
    }

    /// How many run.
    pub fn running(&self) -> usize {
        self.shared.machines().values_mut().filter_map(|machine| machine.is_running().then_some(())).count()
    }

    /// All that the machines said, for a test that failed.
    pub fn consoles(&self) -> String {
        let machines = self.shared.machines();
        let text = |machine: &Machine| std::fs::read_to_string(&machine.console).unwrap_or_default();
        machines.iter().map(|(id, machine)| format!("== {id}\n{}", text(machine))).collect()
    }

    /// A machine breaks down, and AWS ends it.
    pub fn vanish(&self, id: &str) {
        self.shared.end(id);
        self.shared.call("TerminateInstances", &[("InstanceId.1", id)]);
    }

    /// AWS says on the machine that it takes it away.
    pub async fn spot_notice(&self, id: &str) {
        let namespace = self.shared.machines()[id].namespace.clone();
        let program = "import http.server
class Metadata(http.server.BaseHTTPRequestHandler):
    def answer(self, status, body):
        self.send_response(status); self.send_header('content-length', str(len(body))); self.end_headers()
        self.wfile.write(body)
    def do_PUT(self): self.answer(200, b'token')
    def do_GET(self):
        known = self.headers.get('x-aws-ec2-metadata-token') == 'token'
        self.answer(200 if known else 401, b'{\"action\": \"terminate\"}')
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(('169.254.169.254', 80), Metadata).serve_forever()";
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &namespace, "python3", "-c", program]).stdout(Stdio::null());
        let process = command.stderr(Stdio::null()).spawn().unwrap();
        let machine = Machine { process: Some(process), namespace: String::new(), console: PathBuf::new() };
        self.shared.machines().insert(format!("metadata of {id}"), machine);
    }

    /// Waits until so many machines run.
    pub async fn until_running(&self, count: usize) {
        wait_for(|| (self.running() == count).then_some(())).await;
    }
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = self.thread.take().map(JoinHandle::join);
        let ids: Vec<_> = self.shared.machines().keys().cloned().collect();
        for id in ids {
            self.shared.end(&id);
        }
        if std::thread::panicking() {
            eprintln!("{}", self.consoles());
        }
    }
}

impl Shared {
    fn machines(&self) -> MutexGuard<'_, BTreeMap<String, Machine>> {
        self.machines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One call of the Query protocol, to moto itself. It checks no signature; the header says which service is meant.
    fn call(&self, action: &str, fields: &[(&str, &str)]) -> String {
        let service = "authorization: AWS4-HMAC-SHA256 Credential=x/20260101/eu-west-1/ec2/aws4_request, \
                       SignedHeaders=host, Signature=x";
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "20", "-H", service, "-d", "Version=2016-11-15", "-d"]);
        curl.arg(format!("Action={action}"));
        for (name, value) in fields {
            curl.args(["--data-urlencode", &format!("{name}={value}")]);
        }
        let answer = curl.arg(&self.moto).output().unwrap();
        String::from_utf8_lossy(&answer.stdout).into_owned()
    }

    /// Starts what is new, ends what moto ended, and tells moto what has ended by itself.
    fn look(&self, network: &Network) {
        let listed = self.call("DescribeInstances", &[]);
        for instance in listed.split("<instanceId>").skip(1) {
            let id = instance.split('<').next().unwrap_or_default();
            let runs = instance.split("<instanceState>").nth(1).and_then(|state| inner(state, "name"));
            let is_known = self.machines().contains_key(id);
            match runs {
                // A stranger's has no user data.
                Some("running" | "pending") if !is_known => self.boot(id, network),
                Some("running" | "pending") => {
                    let has_ended = self.machines().get_mut(id).is_some_and(Machine::has_ended);
                    if has_ended {
                        self.end(id);
                        self.call("TerminateInstances", &[("InstanceId.1", id)]);
                    }
                }
                Some(_) if is_known => self.end(id),
                _ => {}
            }
        }
    }

    fn boot(&self, id: &str, network: &Network) {
        let told = self.call("DescribeInstanceAttribute", &[("InstanceId", id), ("Attribute", "userData")]);
        let Some(user_data) = inner(&told, "value").and_then(|text| STANDARD.decode(text.trim()).ok()) else { return };
        let number = self.machines().len() + 1;
        let fate = self.story.lock().unwrap()(number);
        let namespace = network.connect(number);
        let (script, console) = (self.dir.path().join(format!("{id}.sh")), self.dir.path().join(format!("{id}.log")));
        let text = String::from_utf8(user_data).unwrap();
        let text = match fate {
            Fate::BootsWithSlots(slots) => {
                let (before, rest) = text.split_once("\"slots\":").unwrap();
                format!("{before}\"slots\":{slots}{}", rest.trim_start_matches(|digit: char| digit.is_ascii_digit()))
            }
            Fate::Boots | Fate::NeverBoots => text,
        };
        std::fs::write(&script, text).unwrap();
        let process = (fate != Fate::NeverBoots).then(|| power_on(&namespace, &script, &console));
        self.machines().insert(id.to_owned(), Machine { process, namespace, console });
    }

    /// At once, as by a cut of the power.
    fn end(&self, id: &str) {
        let mut machines = self.machines();
        let Some(machine) = machines.get_mut(id) else { return };
        if let Some(mut process) = machine.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
        if !machine.namespace.is_empty() {
            let _ = Command::new("ip").args(["netns", "del", &machine.namespace]).stderr(Stdio::null()).status();
            machine.namespace.clear();
        }
    }
}

impl Machine {
    fn is_running(&mut self) -> bool {
        !self.namespace.is_empty()
            && self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(None)))
    }

    /// Shut down from inside.
    fn has_ended(&mut self) -> bool {
        self.process.as_mut().is_some_and(|process| matches!(process.try_wait(), Ok(Some(_))))
    }
}

/// A machine's first process. What of the host is somebody's is covered; what the machine writes is in memory.
fn power_on(namespace: &str, script: &Path, console: &Path) -> Child {
    let init = format!(
        "set -e
        mkdir -p /mnt && mount -t tmpfs -o mode=755 machine /mnt && cp {script} /mnt/user-data
        for dir in /work /root /home /srv /opt /var/tmp /var/lib/job-orchestrator /usr/local/sbin; do
            [ -d $dir ] && mount -t tmpfs -o mode=755 machine $dir
        done
        printf '#!/bin/sh\\ntouch /mnt/off\\n' > /usr/local/sbin/shutdown && chmod 755 /usr/local/sbin/shutdown
        mount -t tmpfs -o mode=1777 machine /tmp
        mount -t proc proc /proc
        cd /
        set +e
        env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin sh /mnt/user-data
        [ -e /mnt/off ] || exec sleep infinity",
        script = script.display()
    );
    std::fs::create_dir_all("/var/lib/job-orchestrator").unwrap();
    let log = std::fs::File::create(console).unwrap();
    let mut command = Command::new("ip");
    command.args([
        "netns",
        "exec",
        namespace,
        "unshare",
        "--mount",
        "--pid",
        "--uts",
        "--ipc",
        "--fork",
        "--kill-child",
    ]);
    command.args(["sh", "-c", &init]).stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
    command.process_group(0).spawn().unwrap()
}

/// What stands in an element of XML that has no elements of the same name in it.
fn inner<'a>(text: &'a str, element: &str) -> Option<&'a str> {
    text.split(&format!("<{element}>")).nth(1)?.split("</").next()
}

fn run(program: &str, arguments: &[&str]) {
    let output = Command::new(program).args(arguments).output().unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {told}; these tests run as root, with network namespaces"
    );
}

/// The program without what only a debugger wants: machines fetch it over the network.
pub fn stripped_program(dir: &Path) -> PathBuf {
    let path = dir.join("job-orchestrator-stripped");
    run("strip", &["-o", path.to_str().unwrap(), env!("CARGO_BIN_EXE_job-orchestrator")]);
    path
}

/// So long a test may wait for a machine.
pub const BOOT: Duration = PATIENCE;
