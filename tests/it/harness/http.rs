//! Requests as a web application makes them, byte for byte where a test needs it.

use std::collections::BTreeMap;
use std::io::Read;

use reqwest::StatusCode;
use serde_json::Value;

/// A multipart body made by hand, so that hostile names and headers can be sent as they are.
#[derive(Clone, Default)]
pub struct Form {
    body: Vec<u8>,
}

pub const BOUNDARY: &str = "test-boundary-7f3a";

impl Form {
    /// A form with a user and a service.
    pub fn new(user: i64) -> Self {
        Self::default().field("user_id", &user.to_string()).field("service", "example")
    }

    pub fn field(self, name: &str, value: &str) -> Self {
        self.part(&format!("Content-Disposition: form-data; name=\"{name}\""), value.as_bytes())
    }

    /// A file under `name`, quoted as browsers do.
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        let quoted = name.replace('"', "%22");
        self.part(&format!("Content-Disposition: form-data; name=\"file\"; filename=\"{quoted}\""), content.as_ref())
    }

    pub fn script(self, body: &str) -> Self {
        self.file("run.sh", format!("#!/bin/bash\n{body}\n"))
    }

    pub fn part(mut self, headers: &str, content: &[u8]) -> Self {
        self.body.extend_from_slice(format!("--{BOUNDARY}\r\n{headers}\r\n\r\n").as_bytes());
        self.body.extend_from_slice(content);
        self.body.extend_from_slice(b"\r\n");
        self
    }

    /// The whole body with its last boundary.
    pub fn finished(mut self) -> Vec<u8> {
        self.body.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.body
    }

    pub fn content_type() -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }
}

/// An answer, read whole.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: reqwest::header::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    pub async fn read(response: reqwest::Response) -> Self {
        let (status, headers) = (response.status(), response.headers().clone());
        let body = response.bytes().await.map(|bytes| bytes.to_vec()).unwrap_or_default();
        Self { status, headers, body }
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("no JSON ({error}): {self:?}"))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap_or(""))
    }

    /// The problem document of a refusal with `status`.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", String::from_utf8_lossy(&self.body));
        assert_eq!(self.header("content-type"), "application/problem+json");
        self.json()
    }
}

/// A job as `GET /api/v1/jobs/{id}` shows it.
#[derive(Debug, Clone)]
pub struct Job(pub Value);

impl Job {
    pub fn status(&self) -> &str {
        self.0["status"].as_str().unwrap_or("")
    }

    /// The states it went through, oldest first.
    pub fn path(&self) -> Vec<&str> {
        let history = self.0["history"].as_array().map(Vec::as_slice).unwrap_or_default();
        history.iter().filter_map(|step| step["to"].as_str()).collect()
    }
}

/// The files of a zip by name; directories end with `/`.
pub fn unzip(bytes: &[u8]) -> BTreeMap<String, Vec<u8>> {
    let mut archive = zip::ZipArchive::new(std::io::Cursor::new(bytes)).unwrap();
    let mut files = BTreeMap::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        files.insert(entry.name().unwrap().into_owned(), content);
    }
    files
}
