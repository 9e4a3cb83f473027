//! The client's side of the launcher: keeps one running, hands it requests, passes its answers on.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use domain::AssignmentId;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, recv, send, socketpair};
use tokio::io::Interest;
use tokio::process::{Child, Command};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use super::watched::Watched;
use super::{Answer, Liveness, MESSAGE_MAX, SUBCOMMAND, Start};
use crate::runtime::{OnEnd, Tasks, chain, crash};

/// Requests that wait for the launcher; who comes later waits with the request in hand.
const WAITING_MAX: usize = 256;
/// Requests that the launcher has and did not answer: so few that they, and their answers, always fit into the socket's
/// buffers, and neither end ever waits for the other to read.
const ASKED_MAX: usize = 32;
/// Between the death of a launcher and the start of the next one.
const AGAIN_AFTER: Duration = Duration::from_millis(200);
/// For the launcher to end once its client let go of it.
const END_PATIENCE: Duration = Duration::from_secs(2);

#[derive(Debug, thiserror::Error)]
pub enum LauncherError {
    #[error("cannot take the launcher's lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("cannot start the launcher")]
    Spawn(#[source] io::Error),
    #[error("cannot speak to the launcher")]
    Socket(#[source] io::Error),
    #[error("the launcher could not start a keeper: {0}")]
    Refused(String),
    #[error("the client is stopping")]
    Stopping,
}

type Reply = oneshot::Sender<Result<(), LauncherError>>;

/// Has keepers made. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Launcher(mpsc::Sender<(Start, Reply)>);

impl Launcher {
    /// Starts `program` as the launcher. Waits until no launcher of an earlier client on this `lock_path` is left, so
    /// that afterwards [`Liveness::NeverStarted`] is the truth for every attempt that is found.
    ///
    /// # Errors
    /// The lock cannot be taken or the program not be started.
    pub async fn start(program: &Path, lock_path: &Path, tasks: &Tasks) -> Result<Self, LauncherError> {
        let lock = take_lock(lock_path.to_owned()).await?;
        let process = Process::spawn(program, &lock)?;
        let (requests, waiting) = mpsc::channel(WAITING_MAX);
        let driver = Driver { program: program.to_owned(), lock, waiting, asked: HashMap::new() };
        let stop = tasks.stop().clone();
        tasks.spawn("launcher", OnEnd::Fatal, driver.run(process, stop));
        Ok(Self(requests))
    }

    /// Has a keeper started; it may have ended again when this returns.
    ///
    /// # Errors
    /// There is no keeper and there will be none: run.sh was not started.
    pub async fn launch(&self, start: Start) -> Result<(), LauncherError> {
        let (reply, answered) = oneshot::channel();
        self.0.send((start, reply)).await.map_err(|_| LauncherError::Stopping)?;
        answered.await.map_err(|_| LauncherError::Stopping)?
    }
}

/// The lock is let go of when its holder ends, which it does once it sees its client gone.
async fn take_lock(path: PathBuf) -> Result<File, LauncherError> {
    let failed = |path, source| LauncherError::Lock { path, source };
    let taken = tokio::task::spawn_blocking({
        let path = path.clone();
        move || {
            let lock = File::options().create(true).append(true).open(path)?;
            lock.lock()?;
            Ok(lock)
        }
    });
    taken.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|source| failed(path, source))
}

/// A running launcher.
struct Process {
    child: Child,
    socket: Watched,
}

impl Process {
    fn spawn(program: &Path, lock: &File) -> Result<Self, LauncherError> {
        let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
            .map_err(|errno| LauncherError::Socket(errno.into()))?;
        let lock = lock.try_clone().map_err(LauncherError::Spawn)?;
        let child = Command::new(program)
            .arg0("job-orchestrator")
            .arg(SUBCOMMAND)
            .env_clear()
            .envs(crash::inherited())
            .stdin(Stdio::from(theirs))
            .stdout(Stdio::from(lock))
            .spawn()
            .map_err(LauncherError::Spawn)?;
        Ok(Self {
            child,
            socket: Watched::new(ours, Interest::READABLE | Interest::WRITABLE).map_err(LauncherError::Socket)?,
        })
    }

    /// Lets it end, which it does when it sees its client gone. Its keepers go on.
    async fn end(self) {
        let Self { mut child, socket } = self;
        drop(socket);
        if tokio::time::timeout(END_PATIENCE, child.wait()).await.is_err() {
            tracing::warn!("the launcher does not end");
        }
    }

    async fn send(&self, message: &[u8]) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        self.socket.when(Interest::WRITABLE, |fd| Ok(send(fd.as_raw_fd(), message, flags).map(drop)?)).await
    }

    /// The length of the next message in `buffer`; 0 is the launcher's end.
    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        self.socket.when(Interest::READABLE, |fd| Ok(recv(fd.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT)?)).await
    }
}

struct Driver {
    program: PathBuf,
    lock: File,
    waiting: mpsc::Receiver<(Start, Reply)>,
    /// Sent to the launcher and not answered yet.
    asked: HashMap<AssignmentId, (Start, Reply)>,
}

impl Driver {
    /// Serves requests until `stop`; a launcher that dies before is replaced.
    async fn run(mut self, mut process: Process, stop: CancellationToken) {
        loop {
            let error = match stop.run_until_cancelled(self.serve(&process)).await {
                None | Some(Ok(())) => return process.end().await,
                Some(Err(error)) => error,
            };
            tracing::error!(error = chain(&error), "the launcher is gone; starting another");
            // Reaped by tokio if it is still on its way out.
            drop(process.child);
            process = loop {
                if stop.run_until_cancelled(tokio::time::sleep(AGAIN_AFTER)).await.is_none() {
                    return;
                }
                match Process::spawn(&self.program, &self.lock) {
                    Ok(process) => break process,
                    Err(error) => tracing::error!(error = chain(&error), "no launcher"),
                }
            };
            self.settle();
        }
    }

    /// Until nobody can ask any more, or the launcher fails.
    async fn serve(&mut self, process: &Process) -> io::Result<()> {
        let again: Vec<_> = self.asked.values().map(|(start, _)| start.clone()).collect();
        for start in again {
            process.send(&serde_json::to_vec(&start)?).await?;
        }
        let mut buffer = vec![0; MESSAGE_MAX];
        loop {
            tokio::select! {
                request = self.waiting.recv(), if self.asked.len() < ASKED_MAX => {
                    let Some((start, reply)) = request else { return Ok(()) };
                    let message = serde_json::to_vec(&start)?;
                    self.asked.insert(start.submission.assignment, (start, reply));
                    process.send(&message).await?;
                    crash::CrashPoint::KeeperAsked.passed();
                }
                length = process.receive(&mut buffer) => match length? {
                    0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                    length => self.answered(serde_json::from_slice(&buffer[..length])?),
                },
            }
        }
    }

    fn answered(&mut self, answer: Answer) {
        if let Some((_, reply)) = self.asked.remove(&answer.assignment) {
            // Who asked may have gone.
            let _ = reply.send(answer.error.map_or(Ok(()), |error| Err(LauncherError::Refused(error))));
        }
    }

    /// After a launcher's death: what it had started is answered, the rest stays to be asked again.
    fn settle(&mut self) {
        let asked = std::mem::take(&mut self.asked);
        for (assignment, (start, reply)) in asked {
            match Liveness::of(&start.dir) {
                Ok(Liveness::NeverStarted) => {
                    self.asked.insert(assignment, (start, reply));
                }
                Ok(Liveness::Alive(_) | Liveness::Gone) => drop(reply.send(Ok(()))),
                Err(error) => drop(reply.send(Err(LauncherError::Socket(error)))),
            }
        }
    }
}
