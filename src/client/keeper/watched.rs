//! A descriptor that the runtime watches: the launcher's socket, a keeper's process descriptor.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

#[derive(Debug)]
pub(super) struct Watched(AsyncFd<OwnedFd>);

impl Watched {
    /// Must be called inside the runtime.
    pub(super) fn new(fd: OwnedFd, interest: Interest) -> io::Result<Self> {
        #[expect(
            unsafe_code,
            reason = "the safe constructors are deprecated: they cannot know that the descriptor is owned"
        )]
        // SAFETY: an OwnedFd owns its descriptor, which is neither replaced nor closed before the AsyncFd is dropped.
        let watched = unsafe { AsyncFd::register_with_interest(fd, interest) };
        Ok(Self(watched?))
    }

    /// Does `attempt` whenever the descriptor may be ready, until it does not say that it would block.
    pub(super) async fn when<T>(
        &self,
        interest: Interest,
        mut attempt: impl FnMut(BorrowedFd<'_>) -> io::Result<T>,
    ) -> io::Result<T> {
        self.0.async_io(interest, |fd| attempt(fd.as_fd())).await
    }
}

impl AsFd for Watched {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.get_ref().as_fd()
    }
}
