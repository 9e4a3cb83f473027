//! What moto is asked by whoever is no client of it: plain questions in the Query protocol, which nobody signs.

use std::io::{Read, Write};
use std::net::TcpStream;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const VERSION: &str = "2016-11-15";
/// moto reads the region off it, and nothing else.
const SCOPE: &str =
    "AWS4-HMAC-SHA256 Credential=moto/20260101/eu-west-1/ec2/aws4_request, SignedHeaders=host, Signature=0";
const POOL_TAG: &str = "<key>job-orchestrator:pool</key>";

/// The account that moto is.
#[derive(Debug, Clone)]
pub struct Account(String);

/// An instance of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hired {
    pub id: String,
    /// Such as `running`.
    pub state: String,
    /// Whether it has the tag of a pool.
    pub is_of_a_pool: bool,
}

impl Account {
    /// `moto` is such as `http://127.0.0.1:5555`.
    pub fn of(moto: &str) -> Self {
        Self(moto.trim_start_matches("http://").to_owned())
    }

    /// All instances, also those that ended.
    pub fn instances(&self) -> std::io::Result<Vec<Hired>> {
        let text = self.ask("DescribeInstances", &[])?;
        // Each is the one instance of its reservation.
        Ok(text.split("<reservationId>").skip(1).filter_map(hired).collect())
    }

    pub fn user_data(&self, id: &str) -> std::io::Result<Vec<u8>> {
        let text = self.ask("DescribeInstanceAttribute", &[("InstanceId", id), ("Attribute", "userData")])?;
        let value = text.split("<userData>").nth(1).and_then(|rest| within(rest, "<value>", "</value>"));
        STANDARD.decode(value.unwrap_or_default().trim()).map_err(std::io::Error::other)
    }

    pub fn terminate(&self, id: &str) -> std::io::Result<()> {
        self.ask("TerminateInstances", &[("InstanceId.1", id)]).map(drop)
    }

    /// Somebody else's instance, without a tag; its id.
    pub fn hire_unmarked(&self) -> std::io::Result<String> {
        let text = self.ask(
            "RunInstances",
            &[("ImageId", "ami-12c6146b"), ("InstanceType", "c7i.large"), ("MinCount", "1"), ("MaxCount", "1")],
        )?;
        within(&text, "<instanceId>", "</instanceId>").map(str::to_owned).ok_or_else(|| std::io::Error::other(text))
    }

    fn ask(&self, operation: &str, fields: &[(&str, &str)]) -> std::io::Result<String> {
        let fields = fields.iter().map(|(name, value)| format!("&{name}={value}"));
        let body = format!("Action={operation}&Version={VERSION}{}", fields.collect::<Vec<_>>().concat());
        let mut stream = TcpStream::connect(&self.0)?;
        write!(
            stream,
            "POST / HTTP/1.1\r\nhost: {}\r\nauthorization: {SCOPE}\r\ncontent-type: application/x-www-form-urlencoded\r\n\
             connection: close\r\ncontent-length: {}\r\n\r\n{body}",
            self.0,
            body.len()
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        if answer.starts_with("HTTP/1.1 200") { Ok(answer) } else { Err(std::io::Error::other(answer)) }
    }
}

fn hired(text: &str) -> Option<Hired> {
    let state = within(text, "<instanceState>", "</instanceState>")?;
    Some(Hired {
        id: within(text, "<instanceId>", "</instanceId>")?.to_owned(),
        state: within(state, "<name>", "</name>")?.to_owned(),
        is_of_a_pool: text.contains(POOL_TAG),
    })
}

fn within<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    text.split_once(before)?.1.split_once(after).map(|(found, _)| found)
}
