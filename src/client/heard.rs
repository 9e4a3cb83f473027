//! What the server has shown to have heard of this client, and when that was sent.
//!
//! A request proves nothing about when its sender made it, for it may have been on its way for long. A number that the
//! client gave out and the server names does: the page was sent before the server received it, and the server counts a
//! silence from the first unanswered call after the last page it received. So the client, which counts from the sending
//! of that page, is always ahead of the server, whatever dies or is delayed on the way. [`keeper::contact`] hands the
//! moment to the keepers.
//!
//! [`keeper::contact`]: super::keeper::contact

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::keeper::contact::{self, BootTime};
use super::record::BootId;

/// Pages whose time is remembered; the server asks for one at a time.
const PAGES: usize = 64;
/// Keepers are told at most this often, or of this part of the shortest lease.
const TELL_EVERY: Duration = Duration::from_secs(1);
const TELL_PART: u32 = 16;

#[derive(Debug)]
pub struct Heard {
    file: PathBuf,
    boot: BootId,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    last_page: u64,
    sent: VecDeque<Page>,
    contact: Option<BootTime>,
    told: Option<BootTime>,
}

#[derive(Debug, Clone, Copy)]
struct Page {
    number: u64,
    at: BootTime,
    /// The number of the newest event that it tells of.
    last: u64,
}

impl Heard {
    /// Keepers are told in `file`.
    #[must_use]
    pub fn new(file: PathBuf, boot: BootId) -> Self {
        Self { file, boot, state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The number of a page that is about to be sent, with which everything up to the event `last` is told.
    ///
    /// # Errors
    /// The kernel's clock.
    pub fn number_page(&self, last: u64) -> io::Result<u64> {
        let at = BootTime::now()?;
        let mut state = self.state();
        state.last_page += 1;
        let number = state.last_page;
        if state.sent.len() == PAGES {
            state.sent.pop_front();
        }
        state.sent.push_back(Page { number, at, last });
        Ok(number)
    }

    /// The server names the last page that it has received. Says up to which event it has heard everything; `None` for
    /// a page that was not sent, or long ago.
    pub fn received(&self, page: u64) -> Option<u64> {
        let mut state = self.state();
        let page = state.sent.iter().find(|sent| sent.number == page).copied()?;
        state.contact = state.contact.max(Some(page.at));
        Some(page.last)
    }

    /// Tells keepers of the last contact, where that is due by the shortest `lease`, or `at_once`. A small write in place,
    /// not worth a thread.
    ///
    /// # Errors
    /// The file system's: keepers then believe what they were told last, and stop early rather than late.
    pub fn tell_keepers(&self, lease: Duration, at_once: bool) -> io::Result<()> {
        let mut state = self.state();
        let Some(contact) = state.contact else { return Ok(()) };
        let is_due = state.told.is_none_or(|told| contact >= told.after(TELL_EVERY.min(lease / TELL_PART)));
        if is_due || (at_once && state.told != Some(contact)) {
            contact::write(&self.file, &self.boot, contact)?;
            state.told = Some(contact);
        }
        Ok(())
    }
}
