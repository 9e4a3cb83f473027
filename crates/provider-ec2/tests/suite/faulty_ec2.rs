//! What stands between the product and moto, and makes EC2 of it: the client token's idempotency as AWS documents it, and
//! whatever can go wrong.
//!
//! Owns its own threads, one for each connection, so that it serves a test whatever the test waits for. Needs nothing but
//! the standard library and knows nothing of the product: it reads the Query protocol as it goes over the wire. Without
//! a fault it hands every call on as it came.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

/// One call, as it was asked.
#[derive(Debug, Clone)]
pub struct Call {
    /// Such as `RunInstances`.
    pub operation: String,
    /// Which call of this operation it is, from 1.
    pub time: usize,
    /// The parameters, such as `InstanceType` and `TagSpecification.1.Tag.1.Key`.
    pub fields: BTreeMap<String, String>,
}

/// What goes wrong with one call.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Nothing.
    None,
    /// It is refused with this code, and not done.
    Refuse(&'static str),
    /// The connection breaks before anything is done.
    LoseCall,
    /// It is done, and the connection breaks before the answer.
    LoseAnswer,
    /// It is done, and the answer never comes.
    Silence,
    /// It is not done; this is the body of the answer.
    Answer(String),
    /// It is done with other parameters than it has.
    Change(&'static str, &'static str),
    /// The answer knows nothing of any instance, as soon after a launch.
    Forget,
}

type Story = dyn Fn(&Call) -> Fault + Send + Sync;

/// A running proxy. Dropping it closes its door and its connections.
pub struct FaultyEc2 {
    /// Such as `http://127.0.0.1:39211`.
    pub url: String,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    /// Such as `127.0.0.1:5555`.
    target: String,
    story: Mutex<Arc<Story>>,
    stop: AtomicBool,
    calls: Mutex<Vec<Call>>,
    open: Mutex<Vec<TcpStream>>,
    launches: Mutex<Launches>,
}

/// What the token's idempotency needs to remember.
#[derive(Default)]
struct Launches {
    /// By token: the parameters, and the answer that they had.
    by_token: BTreeMap<String, (BTreeMap<String, String>, Vec<u8>)>,
    /// Ids of instances that were told to end.
    ended: BTreeSet<String>,
}

impl FaultyEc2 {
    /// Before moto at `target` (`http://ADDRESS`), or before nothing if no call shall get there.
    pub fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let shared = Arc::new(Shared {
            target: target.trim_start_matches("http://").to_owned(),
            story: Mutex::new(Arc::new(|_| Fault::None)),
            stop: AtomicBool::new(false),
            calls: Mutex::default(),
            open: Mutex::default(),
            launches: Mutex::default(),
        });
        let own = Arc::clone(&shared);
        let thread = std::thread::spawn(move || {
            while let Ok((stream, _)) = listener.accept() {
                if own.stop.load(Ordering::SeqCst) {
                    return;
                }
                own.open.lock().unwrap().push(stream.try_clone().unwrap());
                let shared = Arc::clone(&own);
                std::thread::spawn(move || shared.serve(stream));
            }
        });
        Self { url, shared, thread: Some(thread) }
    }

    /// From now on this goes wrong.
    pub fn story(&self, story: impl Fn(&Call) -> Fault + Send + Sync + 'static) {
        *self.shared.story.lock().unwrap() = Arc::new(story);
    }

    /// All calls of an operation so far, in order.
    pub fn calls(&self, operation: &str) -> Vec<Call> {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().filter(|call| call.operation == operation).cloned().collect()
    }
}

impl Drop for FaultyEc2 {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::SeqCst);
        for stream in self.shared.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        let _ = TcpStream::connect(self.url.trim_start_matches("http://"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Shared {
    /// One call, for each has a connection of its own.
    fn serve(&self, mut stream: TcpStream) {
        let Some((head, body)) = read_message(&mut stream) else { return };
        let mut fields = parse_form(&body);
        let call = self.note(&fields);
        let story = Arc::clone(&self.story.lock().unwrap());
        let answer = match story(&call) {
            Fault::None => self.hand_on(&head, &fields),
            Fault::Refuse(code) => refusal(code),
            Fault::LoseCall => Vec::new(),
            Fault::LoseAnswer => {
                self.hand_on(&head, &fields);
                Vec::new()
            }
            Fault::Silence => {
                self.hand_on(&head, &fields);
                // Until the other side gives up.
                let _ = stream.read(&mut [0]);
                Vec::new()
            }
            Fault::Answer(body) => answer(200, &body),
            Fault::Change(field, value) => {
                fields.insert(field.to_owned(), value.to_owned());
                self.hand_on(&head, &fields)
            }
            Fault::Forget => answer(200, "<DescribeInstancesResponse><reservationSet/></DescribeInstancesResponse>"),
        };
        let _ = stream.write_all(&answer);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn note(&self, fields: &BTreeMap<String, String>) -> Call {
        let operation = fields.get("Action").cloned().unwrap_or_default();
        let mut calls = self.calls.lock().unwrap();
        let time = calls.iter().filter(|call| call.operation == operation).count() + 1;
        let call = Call { operation, time, fields: fields.clone() };
        calls.push(call.clone());
        call
    }

    /// What moto answers; for a launch with a token, what AWS would
    /// (<https://docs.aws.amazon.com/ec2/latest/devguide/ec2-api-idempotency.html>).
    fn hand_on(&self, head: &str, fields: &BTreeMap<String, String>) -> Vec<u8> {
        let is = |name: &str, value: &str| fields.get(name).is_some_and(|have| have == value);
        let mut launches = self.launches.lock().unwrap();
        if is("Action", "TerminateInstances") {
            let answer = self.ask_moto(head, fields);
            if is_success(&answer) {
                let ids = fields.iter().filter(|(name, _)| name.starts_with("InstanceId"));
                launches.ended.extend(ids.map(|(_, id)| id.clone()));
            }
            return answer;
        }
        let token = fields.get("ClientToken").filter(|_| is("Action", "RunInstances") && !is("DryRun", "true"));
        let Some(token) = token else {
            drop(launches);
            return self.ask_moto(head, fields);
        };
        if let Some((parameters, answer)) = launches.by_token.get(token) {
            return match instance_of(answer) {
                _ if parameters != fields => refusal("IdempotentParameterMismatch"),
                Some(id) if launches.ended.contains(&id) => refusal("IdempotentInstanceTerminated"),
                _ => answer.clone(),
            };
        }
        // The lock is held: a repeat that comes meanwhile waits for the first.
        let answer = self.ask_moto(head, fields);
        if is_success(&answer) {
            launches.by_token.insert(token.clone(), (fields.clone(), answer.clone()));
        }
        answer
    }

    fn ask_moto(&self, head: &str, fields: &BTreeMap<String, String>) -> Vec<u8> {
        let body = fields.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value)));
        let body = body.collect::<Vec<_>>().join("&");
        let kept = head.lines().filter(|line| {
            let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
            !line.is_empty() && name != "content-length" && name != "connection"
        });
        let head = kept.collect::<Vec<_>>().join("\r\n");
        let length = body.len();
        let message = format!("{head}\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}");
        let mut answer = Vec::new();
        let mut moto = TcpStream::connect(&self.target).unwrap();
        moto.write_all(message.as_bytes()).unwrap();
        moto.read_to_end(&mut answer).unwrap();
        answer
    }
}

/// The head and the body of a request.
fn read_message(stream: &mut TcpStream) -> Option<(String, String)> {
    let mut got = Vec::new();
    loop {
        if let Some(end) = got.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&got[..end]).into_owned();
            if got.len() >= end + 4 + content_length(&head) {
                return Some((head, String::from_utf8_lossy(&got[end + 4..]).into_owned()));
            }
        }
        let mut some = [0; 8192];
        let read = stream.read(&mut some).ok().filter(|read| *read > 0)?;
        got.extend_from_slice(&some[..read]);
    }
}

fn content_length(head: &str) -> usize {
    let line = head.lines().find(|line| line.to_ascii_lowercase().starts_with("content-length:"));
    line.and_then(|line| line.split(':').nth(1)?.trim().parse().ok()).unwrap_or_default()
}

fn parse_form(body: &str) -> BTreeMap<String, String> {
    let pairs = body.split('&').filter_map(|pair| pair.split_once('='));
    pairs.map(|(name, value)| (decode(name), decode(value))).collect()
}

fn decode(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).unwrap()
}

fn encode(text: &str) -> String {
    let byte = |byte: u8| {
        if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(byte).collect()
}

fn is_success(answer: &[u8]) -> bool {
    answer.get(9..12) == Some(b"200")
}

fn instance_of(answer: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(answer);
    let id = text.split("<instanceId>").nth(1)?.split('<').next()?;
    Some(id.to_owned())
}

/// As EC2 refuses: the status by the kind of the code.
fn refusal(code: &str) -> Vec<u8> {
    let status = match code {
        "RequestLimitExceeded" | "Unavailable" | "ServiceUnavailable" => 503,
        "UnauthorizedOperation" | "AuthFailure" => 403,
        code if code.starts_with("Insufficient") && code != "InsufficientFreeAddressesInSubnet" => 500,
        code if code.starts_with("Internal") => 500,
        _ => 400,
    };
    let error = format!("<Error><Code>{code}</Code><Message>told so by a test</Message></Error>");
    answer(status, &format!("<Response><Errors>{error}</Errors></Response>"))
}

fn answer(status: u16, body: &str) -> Vec<u8> {
    let length = body.len();
    let head =
        format!("HTTP/1.1 {status} Told\r\ncontent-type: text/xml\r\nconnection: close\r\nx-amzn-requestid: req-1");
    format!("{head}\r\ncontent-length: {length}\r\n\r\n{body}").into_bytes()
}
