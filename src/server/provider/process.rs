//! Instances that are processes of this program on the server's machine: for the demonstration, for tests, and for a
//! machine that shall run jobs itself only while there are some.
//!
//! Each has a directory of its own. They outlive the server, as machines do: what is there is read off the disk and off
//! the locks that clients hold.

use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::pool::instance::RefusalKind;
use domain::pool::{Event, InstanceId, Listed, ProviderId, Tag};
use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::{Order, refused};
use crate::files::durable;
use crate::runtime::lock;
use crate::runtime::{OnEnd, Tasks, Wake, chain};

const TAG: &str = "tag.json";
const INVITATION: &str = "invitation.json";
const CLIENT: &str = "client";
const LOG: &str = "client.log";

/// Local processes.
#[derive(Debug)]
pub struct ProcessProvider {
    root: PathBuf,
    program: PathBuf,
    tasks: Tasks,
    /// Something ended.
    ended: Wake,
    /// Processes that this server started and that have not ended.
    children: Arc<Mutex<BTreeMap<ProviderId, Pid>>>,
}

impl ProcessProvider {
    /// `root` has their directories. `program` is this binary. `ended` is woken when one ends.
    #[must_use]
    pub fn new(root: PathBuf, program: PathBuf, tasks: Tasks, ended: Wake) -> Self {
        Self { root, program, tasks, ended, children: Arc::default() }
    }

    fn children(&self) -> MutexGuard<'_, BTreeMap<ProviderId, Pid>> {
        self.children.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dir(&self, provider: &ProviderId) -> PathBuf {
        self.root.join(provider.as_str())
    }

    pub(super) fn launch(&self, order: &Order) -> Event {
        let token = format!("process-{}", order.tag.token());
        let launched = token.parse().map_err(io::Error::other).and_then(|provider: ProviderId| {
            if !self.is_running(&provider) {
                self.start(&provider, order)?;
            }
            Ok(provider)
        });
        match launched {
            Ok(provider) => Event::Launched(provider),
            Err(error) => {
                tracing::warn!(instance.id = %order.tag.instance, error = chain(&error), "not launched");
                refused(RefusalKind::Other, error.to_string())
            }
        }
    }

    fn start(&self, provider: &ProviderId, order: &Order) -> io::Result<()> {
        let dir = self.dir(provider);
        std::fs::create_dir_all(&dir)?;
        std::fs::write(dir.join(TAG), serde_json::to_vec(&order.tag)?)?;
        write_secret(&dir, INVITATION, &order.parameters)?;
        let log = OpenOptions::new().create(true).append(true).open(dir.join(LOG))?;
        let mut command = Command::new(&self.program);
        command.arg("client").arg("--join").arg(dir.join(INVITATION)).arg("--data-dir").arg(dir.join(CLIENT));
        command.args(["--listen", "127.0.0.1:0"]);
        // Its own group: an interrupt from a terminal is for the server.
        command.process_group(0).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let child = command.spawn()?;
        self.follow(provider.clone(), child);
        Ok(())
    }

    fn follow(&self, provider: ProviderId, mut child: Child) {
        let Some(pid) = child.id() else { return };
        self.children().insert(provider.clone(), Pid::from_raw(pid.cast_signed()));
        let (children, ended, stop) = (self.children.clone(), self.ended.clone(), self.tasks.stop().clone());
        self.tasks.spawn("instance", OnEnd::Done, async move {
            tokio::select! {
                _status = child.wait() => {
                    children.lock().unwrap_or_else(PoisonError::into_inner).remove(&provider);
                    ended.wake();
                }
                // It goes on without us.
                () = stop.cancelled() => {}
            }
        });
    }

    /// A client of an earlier server is told by its lock.
    fn pid(&self, provider: &ProviderId) -> Option<Pid> {
        let known = self.children().get(provider).copied();
        known.or_else(|| lock::holder_pid(&self.dir(provider).join(CLIENT)).map(Pid::from_raw))
    }

    fn is_running(&self, provider: &ProviderId) -> bool {
        self.pid(provider).is_some()
    }

    /// Tells processes from before where this server is; `invitation` has none for what is not a live instance's.
    ///
    /// # Errors
    /// A file cannot be written.
    pub fn invite_again(&self, invitation: impl Fn(InstanceId) -> Option<Vec<u8>>) -> io::Result<()> {
        for Listed { provider, tag, .. } in self.list()? {
            if let Some(invitation) = tag.and_then(|tag| invitation(tag.instance)) {
                write_secret(&self.dir(&provider), INVITATION, &invitation)?;
            }
        }
        Ok(())
    }

    pub(super) fn list(&self) -> io::Result<Vec<Listed>> {
        let entries = match std::fs::read_dir(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut listed = Vec::new();
        for entry in entries {
            let entry = entry?;
            let Some(provider) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let tag: Option<Tag> =
                std::fs::read(entry.path().join(TAG)).ok().and_then(|text| serde_json::from_slice(&text).ok());
            let is_ended = !self.is_running(&provider);
            listed.push(Listed { provider, tag, is_ended });
        }
        Ok(listed)
    }

    pub(super) fn terminate(&self, instances: &[ProviderId]) {
        for provider in instances {
            let Some(pid) = self.pid(provider) else { continue };
            match kill(pid, Signal::SIGTERM) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => tracing::error!(provider.id = %provider, %error, "instance is not ended; repeating"),
            }
        }
    }

    /// Removes what is left of those that are gone.
    ///
    /// # Errors
    /// The disk refuses.
    pub(super) fn tidy(&self, is_live: impl Fn(InstanceId) -> bool) -> io::Result<()> {
        for Listed { provider, tag, is_ended } in self.list()? {
            // Without its tag it is being made.
            if is_ended && tag.is_some_and(|tag| !is_live(tag.instance)) {
                std::fs::remove_dir_all(self.dir(&provider))?;
            }
        }
        Ok(())
    }
}

/// For this user's eyes only, and never half of it.
fn write_secret(dir: &Path, name: &str, content: &[u8]) -> io::Result<()> {
    let (path, new) = (dir.join(name), dir.join(format!("{name}.new")));
    let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
    io::Write::write_all(&mut file, content)?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    durable::fsync_dir(dir)
}
