//! What makes moto whole: machines for its instances.
//!
//! moto answers as EC2 does, and nothing runs. This looks there for instances of a pool, takes each one's user data and runs
//! it in a machine of its own: namespaces with a root, a network, processes and a metadata service. A machine shares no
//! folder with anybody: of the host it has the programs, read-only. It ends when moto says so, without a warning, and moto
//! hears of it when it ends by itself.
//!
//! Needs root. All of a machine goes with its namespaces, and those with the thread here that made it: nothing has to be
//! cleaned up, however a test ends.

mod account;
mod line;
mod machine;
mod metadata;
mod network;
mod program;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

pub use account::{Account, Hired};
pub use line::Breakage;
pub use program::lean;

use machine::{Machine, Spec};
use network::Network;

/// Between two looks at moto.
const LOOK: Duration = Duration::from_millis(100);

/// Whether a machine is switched on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Power {
    On,
    /// Not now; it is asked again at the next look.
    Off,
}

/// A machine that is about to be switched on.
pub struct Boot {
    /// Which machine of this test it is, from 1.
    pub number: usize,
    /// What it boots with, which may be changed.
    pub user_data: String,
    /// Its connections to the server break here; it reaches nothing else of the host then.
    pub breakage: Option<Breakage>,
}

/// What became of a machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fate {
    /// It was not switched on yet.
    Off,
    Running,
    /// It shut down by itself.
    ShutDown,
    /// moto said so. These processes of jobs ran on it.
    Ended {
        at_work: Vec<String>,
    },
    Vanished,
}

/// A machine as the test sees it.
#[derive(Debug, Clone)]
pub struct Seen {
    pub number: usize,
    pub id: String,
    pub fate: Fate,
}

type Story = dyn Fn(&mut Boot) -> Power + Send + Sync;

/// The machines of a test. Dropping it ends them all.
pub struct Hypervisor {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    account: Account,
    network: Network,
    dir: PathBuf,
    story: Mutex<Arc<Story>>,
    stop: AtomicBool,
    slots: Mutex<BTreeMap<String, Slot>>,
    /// Instances of pools at once, at most.
    peak: AtomicUsize,
}

/// The place of one instance.
struct Slot {
    number: usize,
    fate: Fate,
    machine: Option<Machine>,
}

impl Hypervisor {
    /// For the instances of moto at `moto`, with `dir` for mount points and consoles. `None`, told loudly, where this process
    /// may make no machines: the test then shows nothing.
    pub fn before(moto: &str, dir: &Path) -> Option<Self> {
        if let Some(obstacle) = machine::obstacle() {
            eprintln!("SKIPPED: no machines without root and namespaces: {obstacle}");
            return None;
        }
        std::fs::create_dir_all(dir).unwrap();
        let shared = Arc::new(Shared {
            account: Account::of(moto),
            network: Network::claim(),
            dir: dir.to_owned(),
            story: Mutex::new(Arc::new(|_| Power::On)),
            stop: AtomicBool::new(false),
            slots: Mutex::default(),
            peak: AtomicUsize::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while !own.stop.load(Ordering::SeqCst) {
                own.look();
                std::thread::park_timeout(LOOK);
            }
            own.slots().values_mut().filter_map(|slot| slot.machine.take()).for_each(Machine::kill);
        });
        Some(Self { shared, thread: Some(thread) })
    }

    /// The host, as machines see it.
    pub fn host(&self) -> Ipv4Addr {
        self.shared.network.host()
    }

    pub fn account(&self) -> &Account {
        &self.shared.account
    }

    /// From now on this decides what becomes of a machine that is about to be switched on.
    pub fn story(&self, story: impl Fn(&mut Boot) -> Power + Send + Sync + 'static) {
        *self.shared.story.lock().unwrap() = Arc::new(story);
    }

    /// In the order in which their instances were seen.
    pub fn machines(&self) -> Vec<Seen> {
        let slots = self.shared.slots();
        let seen = |(id, slot): (&String, &Slot)| Seen { number: slot.number, id: id.clone(), fate: slot.fate.clone() };
        let mut machines: Vec<Seen> = slots.iter().map(seen).collect();
        machines.sort_by_key(|machine| machine.number);
        machines
    }

    /// How many instances of pools there were at once, at most.
    pub fn peak(&self) -> usize {
        self.shared.peak.load(Ordering::SeqCst)
    }

    /// What a machine has said.
    pub fn console(&self, id: &str) -> String {
        std::fs::read_to_string(machine::console(&self.shared.dir, id)).unwrap_or_default()
    }

    /// Takes it away without a word.
    pub fn vanish(&self, id: &str) {
        let mut slots = self.shared.slots();
        let slot = slots.get_mut(id).unwrap();
        slot.fate = Fate::Vanished;
        slot.machine.take().expect("a machine that runs").kill();
        self.shared.account.terminate(id).unwrap();
    }

    /// Attempts that the client there has not forgotten.
    pub fn attempts(&self, id: &str) -> usize {
        self.shared.slots()[id].machine.as_ref().expect("a machine that runs").attempts()
    }

    /// Tells it that it will be taken away.
    pub fn spot_notice(&self, id: &str) {
        self.with(id, Machine::notice);
    }

    pub fn cut_network(&self, id: &str) {
        self.with(id, Machine::cut_network);
    }

    pub fn heal(&self, id: &str) {
        self.with(id, Machine::heal);
    }

    /// Breaks the connections of a machine that was given a [`Breakage`].
    pub fn cut_line(&self, id: &str) {
        self.with(id, Machine::cut_line);
    }

    fn with(&self, id: &str, act: impl FnOnce(&Machine)) {
        act(self.shared.slots()[id].machine.as_ref().expect("a machine that runs"));
    }
}

impl Drop for Hypervisor {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            thread.thread().unpark();
            let ended = thread.join();
            assert!(ended.is_ok() || std::thread::panicking(), "the hypervisor broke");
        }
    }
}

impl Shared {
    fn slots(&self) -> MutexGuard<'_, BTreeMap<String, Slot>> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Does what moto says, and tells it what happened.
    fn look(&self) {
        // moto may be on its way out, as the test is.
        let Ok(instances) = self.account.instances() else { return };
        let mut slots = self.slots();
        let shall_run = |instance: &Hired| matches!(instance.state.as_str(), "pending" | "running");
        let of_pools = || instances.iter().filter(|instance| instance.is_of_a_pool);
        self.peak.fetch_max(of_pools().filter(|instance| shall_run(instance)).count(), Ordering::SeqCst);
        for instance in of_pools() {
            let number = slots.len() + 1;
            let slot = slots.entry(instance.id.clone());
            let slot = slot.or_insert_with(|| Slot { number, fate: Fate::Off, machine: None });
            let shall_run = shall_run(instance);
            if shall_run && slot.fate == Fate::Off {
                self.switch_on(&instance.id, slot);
            } else if !shall_run && matches!(slot.fate, Fate::Off | Fate::Running) {
                let machine = slot.machine.take();
                slot.fate = Fate::Ended { at_work: machine.as_ref().map(Machine::at_work).unwrap_or_default() };
                machine.into_iter().for_each(Machine::kill);
            }
        }
        for (id, slot) in slots.iter_mut() {
            if let Some(machine) = slot.machine.take_if(Machine::has_ended) {
                machine.unplug();
                slot.fate = Fate::ShutDown;
                let _ = self.account.terminate(id);
            }
        }
    }

    fn switch_on(&self, id: &str, slot: &mut Slot) {
        let Ok(user_data) = self.account.user_data(id) else { return };
        let user_data = String::from_utf8(user_data).unwrap();
        let mut boot = Boot { number: slot.number, user_data, breakage: None };
        let story = Arc::clone(&self.story.lock().unwrap());
        if story(&mut boot) == Power::Off {
            return;
        }
        let here = self.network.host();
        let breakage = boot.breakage.map(|breakage| (breakage, here, port_at(here, &boot.user_data)));
        let host = if breakage.is_some() { self.network.host_aside() } else { here };
        let ends = self.network.ends(slot.number - 1, host);
        let user_data = boot.user_data.as_bytes();
        slot.machine = Some(Machine::boot(&Spec { id, dir: &self.dir, ends, user_data, breakage }));
        slot.fate = Fate::Running;
    }
}

/// Where the user data expects the server.
fn port_at(host: Ipv4Addr, user_data: &str) -> u16 {
    let after = user_data.split(&format!("https://{host}:")).nth(1).expect("an address of the server");
    after.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}
