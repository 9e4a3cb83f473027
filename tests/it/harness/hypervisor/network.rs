//! The network of a test's machines, and what is done inside that of one.

use std::fs::File;
use std::io::Write;
use std::net::Ipv4Addr;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::process::{Command, Stdio};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Networks 10.213.N.0/24 that tests share out among themselves.
const NETWORKS: u32 = 254;
/// Machines of one test.
const MACHINES: u8 = 250;

/// A network that no other test has, for as long as this is there. Its lines are point to point, from the host's address
/// to each machine's, and go with the machines' namespaces: nothing of it has to be cleaned up.
pub(super) struct Network {
    number: u8,
    _claim: UnixListener,
}

/// The two ends of one machine's line.
#[derive(Debug, Clone)]
pub(super) struct Ends {
    /// The host's end, as `ip link` calls it.
    pub link: String,
    pub host: Ipv4Addr,
    pub machine: Ipv4Addr,
}

impl Network {
    pub fn claim() -> Self {
        let first = std::process::id();
        let claim = |number: u32| {
            let number = u8::try_from((first + number) % NETWORKS + 1).unwrap();
            let name = SocketAddr::from_abstract_name(format!("job-orchestrator-test-network-{number}")).unwrap();
            Some(Self { number, _claim: UnixListener::bind_addr(&name).ok()? })
        };
        (0..NETWORKS).find_map(claim).expect("as many tests at once as there are networks")
    }

    /// The host, as machines see it.
    pub fn host(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 1)
    }

    /// The host, for a machine in which somebody else has [`Network::host`].
    pub fn host_aside(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 213, self.number, 254)
    }

    /// The line of the `count`-th machine, from 0.
    pub fn ends(&self, count: usize, host: Ipv4Addr) -> Ends {
        let count = u8::try_from(count).ok().filter(|count| *count < MACHINES).expect("few machines in a test");
        let link = format!("jo-{}-{}", self.number, count + 2);
        Ends { link, host, machine: Ipv4Addr::new(10, 213, self.number, count + 2) }
    }
}

/// Runs `ip` on the host.
pub(super) fn ip(commands: &str) {
    batch(Command::new("ip"), commands);
}

/// Runs `ip` in the network of a process.
pub(super) fn ip_inside(pid: u32, commands: &str) {
    let mut nsenter = Command::new("nsenter");
    nsenter.arg(format!("--net=/proc/{pid}/ns/net")).arg("ip");
    batch(nsenter, commands);
}

fn batch(mut ip: Command, commands: &str) {
    let mut ip = ip.args(["-batch", "-"]).stdin(Stdio::piped()).stdout(Stdio::null()).spawn().expect("iproute2");
    ip.stdin.take().unwrap().write_all(commands.as_bytes()).unwrap();
    assert!(ip.wait().unwrap().success(), "ip refuses:\n{commands}");
}

/// The network of a process, to do something in.
pub(super) struct Inside(File);

impl Inside {
    pub fn of(pid: u32) -> Self {
        Self(File::open(format!("/proc/{pid}/ns/net")).unwrap())
    }

    pub fn try_clone(&self) -> Self {
        Self(self.0.try_clone().unwrap())
    }

    /// Does `work` there, in a thread of its own; sockets that it makes stay there.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
                work()
            });
            thread.join().unwrap()
        })
    }
}
