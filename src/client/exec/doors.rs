//! What a job must not speak to, although it shares the machine's network: the cloud's metadata service, which gives away
//! the machine's credentials, and the client itself. Nor may it take the client's port when the client is down.
//!
//! Held by small programs that the kernel runs whenever a process of a control group connects, sends or binds. They are
//! attached to one group (version 2) of the client's, in which every box is put: whatever is in it is held, also when the
//! client is dead, and nothing else of the machine is touched. A group that is left behind is empty and does nothing.

use std::fs::{self, File};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::libc;

/// Where clouds tell a machine its credentials: EC2, GCP and Azure; ECS and EKS on EC2; Alibaba.
const METADATA: [IpAddr; 6] = [
    IpAddr::V4(Ipv4Addr::new(169, 254, 169, 254)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 2)),
    IpAddr::V4(Ipv4Addr::new(169, 254, 170, 23)),
    IpAddr::V4(Ipv4Addr::new(100, 100, 100, 200)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254)),
    IpAddr::V6(Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x23)),
];
/// Joined by writing here.
const PROCESSES: &str = "cgroup.procs";

/// What the kernel asks a program about: its number, and for a connection whether it is of a socket of IPv6.
#[derive(Debug, Clone, Copy)]
enum Hook {
    Bind { attach: u32 },
    Connect { attach: u32, six: bool },
}

/// linux/bpf.h: BPF_CGROUP_INET4_BIND and so on.
const HOOKS: [Hook; 6] = [
    Hook::Bind { attach: 8 },
    Hook::Bind { attach: 9 },
    Hook::Connect { attach: 10, six: false },
    Hook::Connect { attach: 11, six: true },
    Hook::Connect { attach: 14, six: false },
    Hook::Connect { attach: 15, six: true },
];

/// Makes the group `name` beside this process, or takes it up again, and holds it away from the metadata service and from
/// `client`. Says where it is.
///
/// # Errors
/// There are no groups of version 2 here, or they are not ours to make or to hold.
pub fn close(name: &str, client: SocketAddr) -> io::Result<PathBuf> {
    let group = own_group()?.join(name);
    match fs::create_dir(&group) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let held = hold(&group, client);
    if held.is_err() {
        // Unless boxes of an earlier incarnation are in it.
        let _ = fs::remove_dir(&group);
    }
    held.map(|()| group)
}

fn hold(group: &Path, client: SocketAddr) -> io::Result<()> {
    let directory = File::open(group)?;
    HOOKS.into_iter().try_for_each(|hook| attach(&directory, &load(hook, client)?, hook.attach()))
}

/// Puts this process, and all that it starts, behind the doors of a group.
///
/// # Errors
/// The group is gone.
pub(super) fn enter(group: &Path) -> io::Result<()> {
    fs::write(group.join(PROCESSES), "0")
}

/// The group of this process, as a directory.
fn own_group() -> io::Result<PathBuf> {
    let none = || io::Error::new(io::ErrorKind::Unsupported, "no control groups of version 2 are mounted");
    let mounts = fs::read_to_string("/proc/self/mounts")?;
    let mount = mounts.lines().map(|line| line.split(' ')).find_map(|mut fields| {
        let (at, kind) = (fields.nth(1)?, fields.next()?);
        (kind == "cgroup2").then(|| PathBuf::from(at))
    });
    let groups = fs::read_to_string("/proc/self/cgroup")?;
    let own = groups.lines().find_map(|line| line.strip_prefix("0::/")).ok_or_else(none)?;
    Ok(mount.ok_or_else(none)?.join(own))
}

impl Hook {
    fn attach(self) -> u32 {
        match self {
            Self::Bind { attach } | Self::Connect { attach, .. } => attach,
        }
    }

    /// What is refused: any of these, of which all conditions must hold.
    fn refused(self, client: SocketAddr) -> Vec<Vec<Is>> {
        let port = Is { at: PORT, mask: !0, value: u32::from(client.port().to_be()) };
        match self {
            Self::Bind { .. } => vec![vec![port]],
            Self::Connect { six, .. } => {
                let metadata = METADATA.into_iter().filter_map(|address| Is::address(address, six));
                let here = here(client.ip()).into_iter().filter_map(|(address, bits)| Is::network(address, bits, six));
                let here = here.map(|is| is.into_iter().chain([port]).collect());
                metadata.chain(here).collect()
            }
        }
    }
}

/// The addresses at which the client is found from here; one that is beyond loopback demands a key.
fn here(listen: IpAddr) -> [(IpAddr, u8); 5] {
    [
        (Ipv4Addr::LOCALHOST.into(), 8),
        (Ipv4Addr::UNSPECIFIED.into(), 32),
        (Ipv6Addr::LOCALHOST.into(), 128),
        (Ipv6Addr::UNSPECIFIED.into(), 128),
        (listen, if listen.is_ipv4() { 32 } else { 128 }),
    ]
}

/// Offsets in the kernel's `bpf_sock_addr`.
const ADDRESS_4: i16 = 4;
const ADDRESS_6: i16 = 8;
const PORT: i16 = 24;

/// A condition on a word of what is asked about, in the order of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Is {
    at: i16,
    mask: u32,
    value: u32,
}

impl Is {
    fn address(address: IpAddr, six: bool) -> Option<Vec<Self>> {
        Self::network(address, if address.is_ipv4() { 32 } else { 128 }, six)
    }

    /// The conditions for an address of a network; a socket of IPv6 speaks to IPv4 too, by mapped addresses. `None`: no
    /// such socket comes there.
    fn network(address: IpAddr, bits: u8, six: bool) -> Option<Vec<Self>> {
        let words = |octets: &[u8], at: i16, bits: u8| -> Vec<Self> {
            let word = |(octets, number): (&[u8], u8)| {
                let left = u32::from(bits).saturating_sub(32 * u32::from(number)).min(32);
                let mask = u32::MAX.checked_shl(32 - left).unwrap_or(0).to_be();
                let value = u32::from_ne_bytes([octets[0], octets[1], octets[2], octets[3]]) & mask;
                Self { at: at + 4 * i16::from(number), mask, value }
            };
            octets.chunks_exact(4).zip(0..).map(word).collect()
        };
        match (address, six) {
            (IpAddr::V4(address), false) => Some(words(&address.octets(), ADDRESS_4, bits)),
            (IpAddr::V4(address), true) => Some(words(&address.to_ipv6_mapped().octets(), ADDRESS_6, 96 + bits)),
            (IpAddr::V6(address), true) => Some(words(&address.octets(), ADDRESS_6, bits)),
            (IpAddr::V6(_), false) => None,
        }
    }
}

/// One instruction of a program, as the kernel has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Instruction {
    code: u8,
    registers: u8,
    offset: i16,
    number: i32,
}

/// Refuses (0) where one list of conditions holds, else allows (1).
fn program(refused: &[Vec<Is>]) -> Vec<Instruction> {
    let instruction = |code, registers, offset, number| Instruction { code, registers, offset, number };
    let (load, and, if_not, give, exit) = (0x61, 0x54, 0x56, 0xb7, 0x95);
    let mut program = Vec::new();
    for conditions in refused {
        // Three for each condition, two for the refusal.
        let mut left = conditions.iter().map(|_| 3).sum::<i16>() + 2;
        for is in conditions {
            left -= 3;
            program.push(instruction(load, 0x12, is.at, 0));
            program.push(instruction(and, 0x02, 0, is.mask.cast_signed()));
            program.push(instruction(if_not, 0x02, left, is.value.cast_signed()));
        }
        program.push(instruction(give, 0, 0, 0));
        program.push(instruction(exit, 0, 0, 0));
    }
    program.push(instruction(give, 0, 0, 1));
    program.push(instruction(exit, 0, 0, 0));
    program
}

/// linux/bpf.h: `union bpf_attr` as BPF_PROG_LOAD takes it.
#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log: [u64; 2],
    version_and_flags: u64,
    name: [u64; 2],
    interface: u32,
    attach: u32,
}

/// The same as BPF_PROG_ATTACH takes it.
#[repr(C)]
struct Attach {
    group: RawFd,
    program: RawFd,
    attach: u32,
    flags: u32,
}

fn load(hook: Hook, client: SocketAddr) -> io::Result<OwnedFd> {
    const LOAD: libc::c_long = 5;
    const SOCKET_ADDRESS: u32 = 18;
    let program = program(&hook.refused(client));
    let asked = Load {
        kind: SOCKET_ADDRESS,
        count: program.len() as u32,
        instructions: program.as_ptr().expose_provenance() as u64,
        license: c"GPL".as_ptr().expose_provenance() as u64,
        attach: hook.attach(),
        ..Load::default()
    };
    #[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
    // SAFETY: the pointers in it are to a program and a text of ours that outlive the call, which only reads.
    let loaded = unsafe { libc::syscall(libc::SYS_bpf, LOAD, &raw const asked, size_of::<Load>()) };
    let descriptor = i32::try_from(Errno::result(loaded)?).map_err(io::Error::other)?;
    #[expect(unsafe_code, reason = "the call gives a bare descriptor")]
    // SAFETY: it was just opened, and nobody else has it.
    let program = unsafe { OwnedFd::from_raw_fd(descriptor) };
    Ok(program)
}

/// In the place of what an earlier incarnation attached.
fn attach(group: &File, program: &OwnedFd, hook: u32) -> io::Result<()> {
    const ATTACH: libc::c_long = 8;
    const INSTEAD: u32 = 1;
    let asked = Attach { group: group.as_raw_fd(), program: program.as_raw_fd(), attach: hook, flags: INSTEAD };
    #[expect(unsafe_code, reason = "neither rustix nor nix has this call")]
    // SAFETY: the call only reads what the pointer is to.
    let attached = unsafe { libc::syscall(libc::SYS_bpf, ATTACH, &raw const asked, size_of::<Attach>()) };
    Errno::result(attached)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the kernel would make of a program for an address and a port.
    fn allows(hook: Hook, client: &str, to: &str) -> bool {
        let to: SocketAddr = to.parse().unwrap();
        let mut context = [0_u8; 40];
        match to.ip() {
            IpAddr::V4(address) => context[4..8].copy_from_slice(&address.octets()),
            IpAddr::V6(address) => context[8..24].copy_from_slice(&address.octets()),
        }
        context[24..26].copy_from_slice(&to.port().to_be_bytes());
        let program = program(&hook.refused(client.parse().unwrap()));
        let (mut at, mut zero, mut two) = (0, 0, 0_u32);
        loop {
            let Instruction { code, offset, number, .. } = program[at];
            at += 1;
            match code {
                0x61 => two = u32::from_ne_bytes(context[offset.try_into().unwrap()..][..4].try_into().unwrap()),
                0x54 => two &= number.cast_unsigned(),
                0x56 if two != number.cast_unsigned() => at += usize::try_from(offset).unwrap(),
                0x56 => {}
                0xb7 => zero = number,
                0x95 => return zero == 1,
                _ => panic!("{code:x}"),
            }
        }
    }

    #[test]
    fn metadata_and_the_client_are_closed_and_nothing_else() {
        let four = Hook::Connect { attach: 10, six: false };
        let six = Hook::Connect { attach: 11, six: true };
        for (hook, to, allowed) in [
            (four, "169.254.169.254:80", false),
            (four, "169.254.169.253:53", true),
            (four, "127.0.0.1:9000", false),
            (four, "127.8.8.8:9000", false),
            (four, "0.0.0.0:9000", false),
            (four, "127.0.0.1:9001", true),
            (four, "10.0.0.7:9000", true),
            (six, "[fd00:ec2::254]:80", false),
            (six, "[::ffff:169.254.169.254]:80", false),
            (six, "[::ffff:127.0.0.1]:9000", false),
            (six, "[::1]:9000", false),
            (six, "[::1]:9001", true),
            (six, "[2001:db8::1]:9000", true),
        ] {
            assert_eq!(allows(hook, "127.0.0.1:9000", to), allowed, "{to}");
        }
        assert!(!allows(four, "10.0.0.5:9000", "10.0.0.5:9000"));
    }

    #[test]
    fn clients_port_is_nobody_elses() {
        let bind = Hook::Bind { attach: 8 };
        assert!(!allows(bind, "127.0.0.1:9000", "0.0.0.0:9000"));
        assert!(allows(bind, "127.0.0.1:9000", "0.0.0.0:9001"));
    }
}
