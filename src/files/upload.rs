//! A multipart upload, read part by part from a stream of bytes, with a bound on everything a caller can stretch.
//!
//! multer splits the stream; it buffers headers and whatever a ready stream offers without bound, so it is fed through
//! `feed::Feed`, one chunk at a time and only when it cannot go on without. Knows no HTTP framework: the edge hands in
//! the content type's text and the body, and answers by [`UploadError::fault`].

use std::io;
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use multer::Multipart;

use self::feed::{Feed, Source};
use super::disposition::Disposition;
use super::names::{RelativePath, shown};

mod error;
mod feed;

pub use super::payload::{Payload, Stored};
pub use error::{Fault, UploadError};

/// Longest text field, in bytes.
const MAX_TEXT: usize = 64 * 1024;
/// Longest wait for the next bytes, and for the whole header of a part.
const STALL: Duration = Duration::from_secs(60);
/// Longest boundary, in bytes (RFC 2046 has 70; some clients make longer ones).
const MAX_BOUNDARY: usize = 200;

/// An upload that is being read.
pub struct Upload {
    multipart: Multipart<'static>,
    source: Source,
    stall: Duration,
    /// Beginning of the names of text fields that may be longer, and how long, in bytes.
    longer: Option<(&'static str, usize)>,
}

/// One part of an upload.
#[derive(Debug)]
pub enum Part {
    /// A text field, at most 64 KiB unless more was allowed.
    Field { name: String, text: String },
    /// A file, whose bytes are still to come: they have to be read before the next part is asked for.
    File(FilePart),
}

/// A file of an upload, its bytes still to come.
pub struct FilePart {
    path: RelativePath,
    body: Body,
}

impl std::fmt::Debug for FilePart {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FilePart").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Upload {
    /// Opens an upload of at most `limit` bytes, counted with headers and boundaries.
    ///
    /// # Errors
    /// [`UploadError::NotMultipart`] if the content type is another one, or has no usable boundary.
    pub fn new<S>(content_type: &str, body: S, limit: u64) -> Result<Self, UploadError>
    where
        S: Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static,
    {
        let boundary = multer::parse_boundary(content_type)
            .ok()
            .filter(|boundary| (1..=MAX_BOUNDARY).contains(&boundary.len()))
            .ok_or_else(|| UploadError::NotMultipart { content_type: shown(content_type) })?;
        let source = Source::new(body, limit);
        let multipart = Multipart::new(Feed::new(source.clone()), boundary);
        Ok(Self { multipart, source, stall: STALL, longer: None })
    }

    /// Waits this long for the next bytes instead of 60 s.
    #[must_use]
    pub fn stalls_after(mut self, stall: Duration) -> Self {
        self.stall = stall;
        self
    }

    /// Allows text fields whose names begin with `prefix` up to `bytes` bytes.
    #[must_use]
    pub fn with_longer(mut self, prefix: &'static str, bytes: usize) -> Self {
        self.longer = Some((prefix, bytes));
        self
    }

    /// The next part, or none after the closing boundary.
    ///
    /// # Errors
    /// See [`UploadError`]. After one the upload is over; if the body was too large, some more of it was read and thrown
    /// away, so that a caller that still sends sees the answer.
    pub async fn next(&mut self) -> Result<Option<Part>, UploadError> {
        self.source.expect_header();
        let field = match tokio::time::timeout(self.stall, self.multipart.next_field()).await {
            Err(_) => return Err(UploadError::Stalled { after: self.stall }),
            Ok(Err(error)) => return Err(self.source.refuse(error).await),
            Ok(Ok(None)) => return Ok(None),
            Ok(Ok(Some(field))) => field,
        };
        let header = field.headers().get("content-disposition").ok_or(UploadError::Unnamed)?.as_bytes();
        let disposition = Disposition::parse(header)
            .map_err(|source| UploadError::Disposition { header: shown(&String::from_utf8_lossy(header)), source })?;
        let body = Body { field: Box::new(field), source: self.source.clone(), stall: self.stall };
        match disposition {
            Disposition { file_name: Some(name), .. } => {
                Ok(Some(Part::File(FilePart { path: RelativePath::parse(&name)?, body })))
            }
            Disposition { name: Some(name), .. } => {
                let longer = self.longer.filter(|(prefix, _)| name.starts_with(prefix));
                let text = body.text(&name, longer.map_or(MAX_TEXT, |(_, bytes)| bytes)).await?;
                Ok(Some(Part::Field { name, text }))
            }
            Disposition { .. } => Err(UploadError::Unnamed),
        }
    }
}

impl Upload {
    /// Reads on for a bounded while after a failure of our own disk, so that a caller that still sends sees the answer.
    pub async fn drain_after(&self, error: &UploadError) {
        if matches!(error.fault(), Fault::Full | Fault::Ours) {
            self.source.drain().await;
        }
    }
}

impl FilePart {
    #[must_use]
    pub fn path(&self) -> &RelativePath {
        &self.path
    }

    /// The next bytes of the file, or none at its end.
    ///
    /// # Errors
    /// See [`UploadError`].
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        self.body.chunk().await
    }
}

/// The bytes of one part.
struct Body {
    field: Box<multer::Field<'static>>,
    source: Source,
    stall: Duration,
}

impl Body {
    async fn chunk(&mut self) -> Result<Option<Bytes>, UploadError> {
        self.source.expect_data();
        match tokio::time::timeout(self.stall, self.field.chunk()).await {
            Err(_) => Err(UploadError::Stalled { after: self.stall }),
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(self.source.refuse(error).await),
        }
    }

    async fn text(mut self, field: &str, limit: usize) -> Result<String, UploadError> {
        let mut text = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            text.extend_from_slice(&chunk);
            if text.len() > limit {
                return Err(UploadError::LongField { field: shown(field), limit });
            }
        }
        String::from_utf8(text).map_err(|_| UploadError::NotText { field: shown(field) })
    }
}

#[cfg(test)]
#[path = "upload_tests.rs"]
mod tests;
