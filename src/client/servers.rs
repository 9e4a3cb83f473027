//! Which server this client serves, and how that changes.
//!
//! One at a time: another one is taken once nothing of the first is left here. A server that was restored from a backup
//! has an id of its own, since what it believes may be old; it names the ids that it had before, and so takes its clients
//! along with all that runs there. Whoever still speaks under such a former id, the server that the backup was made of
//! for instance, is refused from then on.

use std::sync::{MutexGuard, PoisonError};

use super::Client;
use super::journal::{Identity, JournalError};

/// Former ids that are remembered, and the longest of them: a server has been restored that often at most.
const FORMER_MAX: usize = 64;
const ID_BYTES: usize = 64;

/// Why a server is not served.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    #[error("the client serves another server; it can change once it has no assignments left")]
    Other,
    #[error(transparent)]
    Journal(#[from] JournalError),
}

impl Client {
    fn identity(&self) -> MutexGuard<'_, Identity> {
        self.identity.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether `server` may give assignments to this client now, or hear of those that are here. One that names our
    /// server among its `former` ids is ours from then on.
    ///
    /// # Errors
    /// It may not, or what it is cannot be recorded.
    pub fn check_server(&self, server: &str, former: &[&str]) -> Result<(), ServerError> {
        let mut identity = self.identity();
        if identity.former.iter().any(|id| id == server) {
            return Err(ServerError::Other);
        }
        let is_ours = |id: &&str| identity.server.as_deref() == Some(*id);
        if former.iter().any(is_ours) && !is_ours(&server) {
            let named = former.iter().filter(|id| (1..=ID_BYTES).contains(&id.len()) && **id != server);
            let mut former: Vec<_> = named.map(|id| (*id).to_owned()).chain(identity.former.iter().cloned()).collect();
            former.sort_unstable();
            former.dedup();
            former.truncate(FORMER_MAX);
            tracing::info!(server.id = server, "our server was restored from a backup; serving it under its new id");
            let next = Identity { server: Some(server.to_owned()), former, ..identity.clone() };
            self.change_server(&mut identity, server, next)?;
        }
        if self.attempts().serves(server) { Ok(()) } else { Err(ServerError::Other) }
    }

    /// Takes `server` for ours where that may be, before the first of its assignments is admitted: otherwise nobody
    /// would know afterwards whose they are.
    pub(super) fn serve(&self, server: &str) -> Result<(), ServerError> {
        let mut identity = self.identity();
        if identity.server.as_deref() == Some(server) {
            return Ok(());
        }
        if !self.attempts().serves(server) {
            return Err(ServerError::Other);
        }
        tracing::info!(server.id = server, "serving this server from now on");
        let next = Identity { server: Some(server.to_owned()), ..identity.clone() };
        Ok(self.change_server(&mut identity, server, next)?)
    }

    /// Once per server, so not worth a thread.
    fn change_server(&self, identity: &mut Identity, server: &str, next: Identity) -> Result<(), JournalError> {
        self.journal.identify(&next).inspect_err(|error| self.disk_in_trouble(error.trouble()))?;
        self.attempts().serve(server);
        *identity = next;
        Ok(())
    }
}
