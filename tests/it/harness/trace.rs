//! What a process asked of the kernel, by strace: the only witness of what is on the disk before an answer.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

pub struct Trace {
    strace: Child,
    /// Kept open: strace tells of each new thread, and would end at a closed pipe.
    _messages: BufReader<ChildStderr>,
    file: PathBuf,
}

/// One call that has succeeded, in the order of its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Call {
    /// fsync or fdatasync of this path.
    Synced(PathBuf),
    /// The beginning of what was written to a socket.
    Sent(String),
}

impl Trace {
    /// Watches every thread of the process `pid`, from when this returns.
    pub fn of(pid: u32, directory: &Path) -> Self {
        let file = directory.join("trace");
        let mut strace = Command::new("strace")
            .args(["-f", "-yy", "-s", "40", "-e", "trace=fsync,fdatasync,sendto,write,writev", "-o"])
            .arg(&file)
            .args(["-p", &pid.to_string()])
            .stderr(Stdio::piped())
            .spawn()
            .expect("strace: `cargo xtask test` installs it");
        let mut messages = BufReader::new(strace.stderr.take().unwrap());
        let mut attached = String::new();
        messages.read_line(&mut attached).unwrap();
        assert!(attached.contains("attached"), "strace says {attached}");
        Self { strace, _messages: messages, file }
    }

    /// Stops watching.
    pub fn calls(mut self) -> Vec<Call> {
        kill(Pid::from_raw(self.strace.id().cast_signed()), Signal::SIGINT).unwrap();
        self.strace.wait().unwrap();
        let text = std::fs::read_to_string(&self.file).unwrap();
        let mut begun = std::collections::HashMap::new();
        let mut calls = Vec::new();
        for line in text.lines() {
            let Some((thread, event)) = line.split_once(' ') else { continue };
            let event = event.trim_start();
            if event.ends_with("<unfinished ...>") {
                begun.insert(thread, event);
            } else if event.starts_with("<... ") {
                calls.extend(begun.remove(thread).filter(|_| succeeded(event)).and_then(call));
            } else if succeeded(event) {
                calls.extend(call(event));
            }
        }
        calls
    }
}

fn succeeded(event: &str) -> bool {
    event.rsplit_once(" = ").is_some_and(|(_, result)| !result.starts_with('-'))
}

fn call(event: &str) -> Option<Call> {
    let (name, rest) = event.split_once('(')?;
    let (_, described) = rest.split_once('<')?;
    if name == "fsync" || name == "fdatasync" {
        return Some(Call::Synced(described.split_once('>')?.0.into()));
    }
    let (socket, content) = described.split_once(">, ")?;
    socket.starts_with("TCP").then(|| Call::Sent(content.to_owned()))
}
