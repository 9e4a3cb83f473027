//! A client that can be made to say anything: our protocol over bare TCP, healthy unless a test tells it otherwise.
//!
//! Owns its own threads, one for each connection, so that it serves a test whatever the test waits for. It runs nothing:
//! what it is given has ended well at once. Knows nothing of the product's types: it was written from what goes over
//! the wire.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const INCARNATION: &str = "0123456789abcdef";
/// Slots of a healthy one: more than any other client of a test, so that it is given work first.
const SLOTS: u32 = 64;

/// What was asked.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// Without the query.
    pub path: String,
    pub query: BTreeMap<String, String>,
    /// The assignment in the header or at the end of the path.
    pub assignment: String,
}

/// What is answered.
pub enum Reply {
    /// As a healthy client.
    Healthy,
    Json(u16, Value),
    /// These bytes, whatever they are, and the end of the connection.
    Raw(Vec<u8>),
    /// The first bytes, then one of the others every so often.
    Drip(Vec<u8>, Duration),
    /// The first bytes, then the second ones again and again for ever.
    Endless(Vec<u8>, Vec<u8>),
    /// Nothing, until the other side gives up.
    Silence,
}

type Story = dyn Fn(&Asked) -> Reply + Send + Sync;

/// A running fake. Dropping it closes its door and its connections.
pub struct Fake {
    /// Such as `http://127.0.0.1:39211`.
    pub url: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    story: Box<Story>,
    stop: AtomicBool,
    /// Assignments that were submitted, in order: the number of their end is their place from 1.
    held: Mutex<Vec<String>>,
    news: Condvar,
    asked: Mutex<Vec<Asked>>,
}

impl Fake {
    pub fn start(story: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            story: Box::new(story),
            stop: AtomicBool::new(false),
            held: Mutex::default(),
            news: Condvar::new(),
            asked: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if own.stop.load(Ordering::SeqCst) {
                    return;
                }
                let shared = Arc::clone(&own);
                std::thread::spawn(move || shared.serve(&stream));
            }
        });
        Self { url, shared, thread: Some(thread) }
    }

    /// How often `path` was asked for; what comes after its first segment does not count.
    pub fn times(&self, path: &str) -> usize {
        let asked = self.shared.asked.lock().unwrap();
        asked.iter().filter(|asked| asked.path == path || asked.path.starts_with(&format!("{path}/"))).count()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        self.shared.news.notify_all();
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// Requests of one connection, one after the other.
    fn serve(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(asked) = read_request(&mut reader) {
            self.asked.lock().unwrap().push(asked.clone());
            let goes_on = match (self.story)(&asked) {
                Reply::Healthy => self.healthy(&asked, stream),
                Reply::Json(status, value) => send(stream, &json_answer(status, &value)),
                Reply::Raw(bytes) => {
                    send(stream, &bytes);
                    false
                }
                Reply::Drip(bytes, pause) => self.drip(stream, &bytes, pause),
                Reply::Endless(first, again) => self.endless(stream, &first, &again),
                Reply::Silence => self.silence(stream),
            };
            if !goes_on || self.stop.load(Ordering::SeqCst) {
                return;
            }
        }
    }

    fn healthy(&self, asked: &Asked, stream: &TcpStream) -> bool {
        match asked.path.split('/').nth(1).unwrap_or_default() {
            "info" => send(stream, &json_answer(200, &info())),
            "events" => send(stream, &json_answer(200, &self.events(asked))),
            "submit" => {
                let mut held = self.held.lock().unwrap();
                if !held.contains(&asked.assignment) {
                    held.push(asked.assignment.clone());
                }
                drop(held);
                self.news.notify_all();
                send(stream, &json_answer(200, &json!({ "assignment": asked.assignment })))
            }
            "retrieve" | "retrieve_partial" => send(stream, &zip_answer(&asked.assignment, &small_zip())),
            "kill" => send(stream, &refusal(404, "no-such-assignment")),
            _ => send(stream, &refusal(404, "unknown")),
        }
    }

    fn events(&self, asked: &Asked) -> Value {
        let number = |name: &str| asked.query.get(name).and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        let full = asked.query.get("incarnation").map(String::as_str) != Some(INCARNATION);
        let after = if full { 0 } else { number("after") };
        let patience = Duration::from_millis(number("wait_ms") as u64);
        let held = self.held.lock().unwrap();
        let nothing_new = |held: &mut Vec<String>| held.len() <= after && !full && !self.stop.load(Ordering::SeqCst);
        let (held, _) = self.news.wait_timeout_while(held, patience, nothing_new).unwrap();
        let events: Vec<_> = (1..).zip(held.iter()).skip(after).map(|(seq, id)| ended(seq, id)).collect();
        page(full, &events)
    }

    fn drip(&self, stream: &TcpStream, bytes: &[u8], pause: Duration) -> bool {
        for byte in bytes {
            if self.stop.load(Ordering::SeqCst) || !send(stream, &[*byte]) {
                break;
            }
            #[expect(clippy::disallowed_methods, reason = "a slow client is what this plays")]
            std::thread::sleep(pause);
        }
        false
    }

    fn endless(&self, stream: &TcpStream, first: &[u8], again: &[u8]) -> bool {
        let mut goes_on = send(stream, first);
        while goes_on && !self.stop.load(Ordering::SeqCst) {
            goes_on = send(stream, again);
        }
        false
    }

    /// Until the other side closes.
    fn silence(&self, mut stream: &TcpStream) -> bool {
        let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
        let start = Instant::now();
        while !self.stop.load(Ordering::SeqCst) && start.elapsed() < super::PATIENCE {
            match stream.read(&mut [0; 1024]) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
        false
    }
}

pub fn info() -> Value {
    json!({
        "protocol": 1, "version": "fake", "slots": SLOTS, "labels": {},
        "journal": "fedcba9876543210", "incarnation": INCARNATION,
    })
}

pub fn page(full: bool, events: &[Value]) -> Value {
    json!({ "journal": "fedcba9876543210", "incarnation": INCARNATION, "full": full, "page": 1, "events": events })
}

pub fn ended(seq: u64, assignment: &str) -> Value {
    json!({
        "seq": seq, "assignment": assignment, "event": "ended", "end": { "kind": "exit", "value": 0 }, "duration_ms": 1,
    })
}

pub fn json_answer(status: u16, value: &Value) -> Vec<u8> {
    let body = value.to_string();
    let length = body.len();
    format!("HTTP/1.1 {status} Told\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}")
        .into_bytes()
}

pub fn refusal(status: u16, code: &str) -> Vec<u8> {
    json_answer(status, &json!({ "code": code, "message": "told so by a test" }))
}

/// The headers of a zip of `assignment` with this length, if one is told.
pub fn zip_headers(assignment: &str, length: Option<usize>) -> Vec<u8> {
    let length = length.map(|length| format!("content-length: {length}\r\n")).unwrap_or_default();
    let connection = if length.is_empty() { "connection: close\r\n" } else { "" };
    format!(
        "HTTP/1.1 200 OK\r\ncontent-type: application/zip\r\nx-orchestrator-assignment: {assignment}\r\n{length}{connection}\r\n"
    )
    .into_bytes()
}

pub fn zip_answer(assignment: &str, zip: &[u8]) -> Vec<u8> {
    [zip_headers(assignment, Some(zip.len())), zip.to_vec()].concat()
}

pub fn small_zip() -> Vec<u8> {
    let mut writer = ZipWriter::new(std::io::Cursor::new(Vec::new()));
    writer.start_file("of-the-fake.txt", SimpleFileOptions::default()).unwrap();
    writer.write_all(b"told by a fake").unwrap();
    writer.finish().unwrap().into_inner()
}

fn send(mut stream: &TcpStream, bytes: &[u8]) -> bool {
    stream.write_all(bytes).is_ok()
}

/// A request whose body was read and dropped.
fn read_request(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let target = words.nth(1)?.to_owned();
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let mut asked = Asked {
        path: path.to_owned(),
        query: pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
        assignment: last,
    };
    let mut length = 0_u64;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        let header = header.trim_end();
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or((header, ""));
        match name.to_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "x-orchestrator-assignment" => value.trim().clone_into(&mut asked.assignment),
            _ => {}
        }
    }
    std::io::copy(&mut reader.take(length), &mut std::io::sink()).ok()?;
    Some(asked)
}
