//! A server and a client in release mode, and load on them over plain sockets.

use std::error::Error;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::process::{self, Process};

pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

const SLOTS: u32 = 8;

/// Beside the build, which is on a disk; the system's temporary directory may be in memory.
pub fn bench_root() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// In milliseconds.
pub fn at(sorted: &[Duration], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)].as_secs_f64() * 1e3
}

pub struct World {
    pub server: Process,
    pub client: Process,
    pub upload: Vec<u8>,
}

impl World {
    pub fn start(dir: &Path) -> Outcome<Self> {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let at = |name: &str| dir.join(name).display().to_string();
        let args = format!("client --listen 127.0.0.1:0 --slots {SLOTS} --data-dir {}", at("client"));
        let client = Process::start(process::command(&words(&args), &[]), &dir.join("client.log"));
        let config = format!(
            "[service.example]\nclients = [\"http://{}\"]\nruns_per_user = 1000\nmax_runs = 1000\n",
            client.address
        );
        std::fs::write(dir.join("config.toml"), config)?;
        let args = format!("server --listen 127.0.0.1:0 --data-dir {} --config {}", at("server"), at("config.toml"));
        let server = Process::start(process::command(&words(&args), &[]), &dir.join("server.log"));
        Ok(Self { server, client, upload: upload_request() })
    }
}

fn upload_request() -> Vec<u8> {
    let part = |headers: &str, content: &str| {
        format!("--b7f3\r\nContent-Disposition: form-data; {headers}\r\n\r\n{content}\r\n")
    };
    let body = [
        part("name=\"file\"; filename=\"run.sh\"", "exit 0\n"),
        part("name=\"user_id\"", "1"),
        part("name=\"service\"", "example"),
        "--b7f3--\r\n".to_owned(),
    ]
    .concat();
    let head = format!(
        "POST /upload HTTP/1.1\r\nhost: bench\r\ncontent-type: multipart/form-data; boundary=b7f3\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    [head, body].concat().into_bytes()
}

/// One keep-alive connection, spoken to byte by byte.
pub struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    pub fn open(address: &str) -> Outcome<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    pub fn upload(&mut self, request: &[u8]) -> Outcome<u64> {
        self.stream.get_mut().write_all(request)?;
        let (status, body) = self.answer()?;
        let body = String::from_utf8(body)?;
        let id = body.split_once("\"id\":").and_then(|(_, rest)| rest.split([',', '}']).next()?.trim().parse().ok());
        id.filter(|_| status == 201).ok_or_else(|| format!("upload answered {status}: {body}").into())
    }

    /// Waits for the job's end and downloads its zip.
    pub fn results(&mut self, id: u64) -> Outcome<()> {
        self.get(&format!("/api/v1/jobs/{id}?wait_seconds=60"))?;
        let zip = self.get(&format!("/download/{id}"))?;
        if zip.starts_with(b"PK") { Ok(()) } else { Err(format!("job {id} has no zip").into()) }
    }

    pub fn get(&mut self, path: &str) -> Outcome<Vec<u8>> {
        write!(self.stream.get_mut(), "GET {path} HTTP/1.1\r\nhost: bench\r\n\r\n")?;
        match self.answer()? {
            (200, body) => Ok(body),
            (status, body) => Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }

    /// A call with a JSON body.
    pub fn post(&mut self, path: &str, body: &Value) -> Outcome<Value> {
        let body = body.to_string();
        let head = format!("POST {path} HTTP/1.1\r\nhost: bench\r\ncontent-type: application/json\r\ncontent-length: ");
        write!(self.stream.get_mut(), "{head}{}\r\n\r\n{body}", body.len())?;
        match self.answer()? {
            (200, body) => Ok(serde_json::from_slice(&body)?),
            (status, body) => Err(format!("{path} answered {status}: {}", String::from_utf8_lossy(&body)).into()),
        }
    }

    fn answer(&mut self) -> Outcome<(u16, Vec<u8>)> {
        let mut line = String::new();
        self.stream.read_line(&mut line)?;
        let status = line.split(' ').nth(1).unwrap_or_default().parse()?;
        let mut length = 0;
        loop {
            line.clear();
            self.stream.read_line(&mut line)?;
            let Some((name, value)) = line.trim_end().split_once(':') else { break };
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            }
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body)?;
        Ok((status, body))
    }
}
