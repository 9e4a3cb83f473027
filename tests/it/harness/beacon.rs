//! Scripts on machines that share no folder with the test: they tell it by the network what they are at, and wait there until
//! they may go on.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};

use super::door::Door;

/// Listens everywhere, for as long as the test goes on.
pub struct Beacon {
    host: Ipv4Addr,
    port: u16,
    shared: Arc<Shared>,
    _door: Door,
}

#[derive(Default)]
struct Shared {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Default)]
struct Told {
    /// What scripts said, in order.
    lines: Vec<String>,
    open: BTreeSet<String>,
}

impl Beacon {
    /// `host` is this machine's address as scripts reach it.
    pub fn at(host: Ipv4Addr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let door = Door::open(listener, move |_, mut stream| {
            let mut line = String::new();
            if BufReader::new(&stream).read_line(&mut line).is_err() {
                return;
            }
            let name = line.trim().to_owned();
            let mut told = own.told.lock().unwrap();
            told.lines.push(name.clone());
            let told = own.changed.wait_while(told, |told| !told.open.contains(&name)).unwrap();
            drop(told);
            let _ = stream.write_all(b"go\n");
        });
        Self { host, port, shared, _door: door }
    }

    /// Tells that it is at `name`, and waits until that is open. Fails when the test is gone.
    pub fn wait(&self, name: &str) -> String {
        let Self { host, port, .. } = self;
        format!("exec 3<>/dev/tcp/{host}/{port} && echo {name} >&3 && read -r _ <&3 || exit 77")
    }

    /// Lets all go on that wait there, and those that come.
    pub fn open(&self, name: &str) {
        self.shared.told.lock().unwrap().open.insert(name.to_owned());
        self.shared.changed.notify_all();
    }

    /// How many came there.
    pub fn times(&self, name: &str) -> usize {
        self.shared.told.lock().unwrap().lines.iter().filter(|line| *line == name).count()
    }
}
