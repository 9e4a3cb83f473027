//! moto's server as a process of the test's own.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// The longest that moto may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(60);

/// moto's server, which takes a type, an image or a key pair only if it knows it.
pub struct Moto {
    child: Child,
    pub url: String,
}

impl Moto {
    pub fn start(args: &[&str]) -> Self {
        let python =
            std::env::var_os("TEST_PYTHON").expect("TEST_PYTHON names no interpreter: run this by `cargo xtask test`");
        let mut command = Command::new(python);
        command.args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).args(args);
        for strict in ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "MOTO_ENABLE_AMI_VALIDATION"] {
            command.env(strict, "true");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (found, told) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        // To the end, so that moto never waits for its log to be read.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        // Made before the wait, so that it is ended also if that fails.
        let mut moto = Self { child, url: String::new() };
        moto.url = told.recv_timeout(PATIENCE).expect("moto does not say where it listens");
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
