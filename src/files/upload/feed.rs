//! What multer reads from: the body, counted, one chunk at a time.
//!
//! On every call multer takes all that its stream offers before it looks at what it has. So the feed first says that
//! nothing is there: multer then works on what it holds, and gets one chunk only when it asks again. That keeps memory
//! flat for a body of many small parts, and lets a header be bounded: what passes while multer waits for one is counted.
//! The last chunk is not, since multer may not have looked at it yet, and a chunk may be mostly data.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{Stream, future};

use super::error::UploadError;

/// Bytes that may pass before a part's header is whole, and two chunks more.
const MAX_HEADER: u64 = 64 * 1024;
/// What is read of a refused body so that its caller gets to see the answer.
const DRAIN_BYTES: u64 = 64 * 1024 * 1024;
const DRAIN_TIME: Duration = Duration::from_secs(2);

type BodyStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// The body, shared by multer, which reads it, and the upload, which explains and drains it.
#[derive(Clone)]
pub(super) struct Source(Arc<Mutex<State>>);

struct State {
    body: BodyStream,
    limit: u64,
    total: u64,
    /// Bytes since multer began to look for a header, up to the last chunk; none while it reads a part's data.
    header: Option<u64>,
    last_chunk: u64,
    /// Whether multer shall first work on what it has.
    hold: bool,
    ended: bool,
}

impl Source {
    pub(super) fn new<S>(body: S, limit: u64) -> Self
    where
        S: Stream<Item = io::Result<Bytes>> + Send + 'static,
    {
        let body = Box::pin(body);
        let state = State { body, limit, total: 0, header: None, last_chunk: 0, hold: true, ended: false };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Called before multer is asked for the next part.
    pub(super) fn expect_header(&self) {
        self.with(|state| (state.header, state.last_chunk, state.hold) = (Some(0), 0, true));
    }

    /// Called before multer is asked for more of a part.
    pub(super) fn expect_data(&self) {
        self.with(|state| (state.header, state.hold) = (None, true));
    }

    /// What multer's error means. More of a body that is too large is read first.
    pub(super) async fn refuse(&self, error: multer::Error) -> UploadError {
        let error = self.explain(error);
        if let UploadError::TooLarge { .. } = &error {
            self.drain().await;
        }
        error
    }

    /// Judged by how far the body came, too.
    fn explain(&self, error: multer::Error) -> UploadError {
        let ended = self.with(|state| state.ended);
        match error {
            multer::Error::StreamReadFailed(source) => match source.downcast::<UploadError>() {
                Ok(error) => *error,
                Err(source) => UploadError::Cut { source: Some(io::Error::other(source)) },
            },
            multer::Error::IncompleteStream | multer::Error::IncompleteFieldData { .. } if ended => {
                UploadError::Cut { source: None }
            }
            error => UploadError::Malformed { source: error },
        }
    }

    /// Reads on for a bounded while and throws it away.
    pub(super) async fn drain(&self) {
        let mut drained = 0;
        let reading = future::poll_fn(|context| {
            loop {
                match self.with(|state| state.body.as_mut().poll_next(context)) {
                    Poll::Ready(Some(Ok(bytes))) if drained < DRAIN_BYTES => drained += bytes.len() as u64,
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending => return Poll::Pending,
                }
            }
        });
        // Whoever sends for longer is not waited for.
        let _ = tokio::time::timeout(DRAIN_TIME, reading).await;
    }

    /// One task reads an upload, so nobody ever waits here.
    fn with<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Bytes, UploadError>>> {
        if std::mem::take(&mut self.hold) {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.header.is_some_and(|bytes| bytes > MAX_HEADER) {
            return Poll::Ready(Some(Err(UploadError::LongHeader)));
        }
        let chunk = std::task::ready!(self.body.as_mut().poll_next(context));
        self.hold = true;
        Poll::Ready(match chunk {
            Some(Ok(bytes)) => Some(self.count(bytes)),
            Some(Err(source)) => {
                self.ended = true;
                Some(Err(UploadError::Cut { source: Some(source) }))
            }
            None => {
                self.ended = true;
                None
            }
        })
    }

    fn count(&mut self, bytes: Bytes) -> Result<Bytes, UploadError> {
        self.total += bytes.len() as u64;
        if self.total > self.limit {
            return Err(UploadError::TooLarge { limit: self.limit });
        }
        self.header = self.header.map(|header| header + self.last_chunk);
        self.last_chunk = bytes.len() as u64;
        Ok(bytes)
    }
}

/// The stream that multer owns.
pub(super) struct Feed(Source);

impl Feed {
    pub(super) fn new(source: Source) -> Self {
        Self(source)
    }
}

impl Stream for Feed {
    type Item = Result<Bytes, UploadError>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.0.with(|state| state.poll(context))
    }
}
