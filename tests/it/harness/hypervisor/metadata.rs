//! What an instance is told about itself at 169.254.169.254: by IMDSv2, so for a token only.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::super::door::Door;
use super::network::Inside;

pub(super) const ADDRESS: &str = "169.254.169.254";
const TOKEN: &str = "AQAEAtest";

/// The service of one machine.
pub(super) struct Metadata {
    is_noticed: Arc<AtomicBool>,
    _door: Door,
}

impl Metadata {
    pub fn serve(inside: &Inside, id: &str) -> Self {
        let listener = inside.run(|| TcpListener::bind((ADDRESS, 80)).unwrap());
        let is_noticed = Arc::new(AtomicBool::new(false));
        let (noticed, id) = (Arc::clone(&is_noticed), id.to_owned());
        let door = Door::open(listener, move |_, mut stream| {
            let Some(head) = head(&stream) else { return };
            let (status, body) = answer(&head, &id, noticed.load(Ordering::SeqCst));
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status}\r\ncontent-type: text/plain\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        });
        Self { is_noticed, _door: door }
    }

    /// From now on the machine is told that it is taken away.
    pub fn notice(&self) {
        self.is_noticed.store(true, Ordering::SeqCst);
    }
}

fn head(stream: &std::net::TcpStream) -> Option<Vec<String>> {
    let lines = BufReader::new(stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
    let head: Vec<String> = lines.collect();
    (!head.is_empty()).then_some(head)
}

/// As <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-instance-termination-notices.html> has it.
fn answer(head: &[String], id: &str, is_noticed: bool) -> (&'static str, String) {
    let is_known = head.iter().any(|line| line.eq_ignore_ascii_case(&format!("x-aws-ec2-metadata-token: {TOKEN}")));
    let action = r#"{"action":"terminate","time":"2099-01-01T00:00:00Z"}"#;
    match head[0].trim_end_matches(" HTTP/1.1") {
        "PUT /latest/api/token" => ("200 OK", TOKEN.to_owned()),
        _ if !is_known => ("401 Unauthorized", String::new()),
        "GET /latest/meta-data/spot/instance-action" if is_noticed => ("200 OK", action.to_owned()),
        "GET /latest/meta-data/instance-id" => ("200 OK", id.to_owned()),
        _ => ("404 Not Found", String::new()),
    }
}
