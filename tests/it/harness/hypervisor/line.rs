//! A line between a machine and its server that breaks at a chosen moment. It stands inside the machine's network under the
//! server's address, so that the server still sees the machine's own.
//!
//! What passes is TLS, so the moments are told by bytes, and by the records that go round them.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::door::Door;
use super::network::Inside;

/// Of a TLS record, which the first of its bytes says (RFC 8446, section 5.1).
const APPLICATION_DATA: u8 = 23;
/// The client's Finished is the first such record it sends, and what it asks the second.
const ASKED: usize = 2;

/// How a line treats the machine's connections to its server, which are counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Breakage {
    /// This connection breaks when the server has sent so many bytes.
    After { connection: usize, bytes: u64 },
    /// What the server answers to the first question on this connection is lost; the connection stays.
    Answer { connection: usize },
}

/// A line; dropping it closes what is open.
pub(super) struct Line(Door);

impl Line {
    /// Between `here` and `there`, on one port.
    pub fn lay(inside: &Inside, here: Ipv4Addr, there: Ipv4Addr, port: u16, breakage: Breakage) -> Self {
        let listener = inside.run(|| TcpListener::bind((here, port)).unwrap());
        let inside = inside.try_clone();
        Self(Door::open(listener, move |number, near| {
            let Ok(far) = inside.run(|| TcpStream::connect((there, port))) else { return };
            pass(number, &near, &far, breakage);
        }))
    }

    /// Breaks the connections that are there.
    pub fn cut(&self) {
        self.0.cut();
    }
}

fn pass(number: usize, near: &TcpStream, far: &TcpStream, breakage: Breakage) {
    let asked = &AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut records = Records::default();
            pump(near, far, |bytes| {
                if records.count(bytes) >= ASKED {
                    asked.store(true, Ordering::SeqCst);
                }
                Some(bytes.len())
            });
        });
        let mut left = match breakage {
            Breakage::After { connection, bytes } if connection == number => bytes,
            _ => u64::MAX,
        };
        let is_deaf = matches!(breakage, Breakage::Answer { connection } if connection == number);
        pump(far, near, |bytes| {
            if is_deaf && asked.load(Ordering::SeqCst) {
                return Some(0);
            }
            left = left.checked_sub(bytes.len() as u64)?;
            Some(bytes.len())
        });
    });
}

/// Passes on of each piece as much as `through` lets pass, until either side ends or it says no.
fn pump(mut from: &TcpStream, mut to: &TcpStream, mut through: impl FnMut(&[u8]) -> Option<usize>) {
    let mut piece = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from.read(&mut piece) {
        let Some(passed) = through(&piece[..read]) else { break };
        if to.write_all(&piece[..passed]).is_err() {
            break;
        }
    }
    let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
}

/// Counts the records of application data in a stream.
#[derive(Default)]
struct Records {
    header: Vec<u8>,
    /// Of the record that is under way.
    left: usize,
    seen: usize,
}

impl Records {
    /// Takes what comes next; says how many began so far.
    fn count(&mut self, mut bytes: &[u8]) -> usize {
        while let [next, rest @ ..] = bytes {
            if self.left > 0 {
                let skipped = self.left.min(bytes.len());
                self.left -= skipped;
                bytes = &bytes[skipped..];
                continue;
            }
            self.header.push(*next);
            bytes = rest;
            if let [kind, _, _, high, low] = self.header[..] {
                self.left = usize::from(u16::from_be_bytes([high, low]));
                self.seen += usize::from(kind == APPLICATION_DATA);
                self.header.clear();
            }
        }
        self.seen
    }
}
