//! Serving a stored file: whole, in part, or not at all because the caller has it.

use std::io::SeekFrom;

use poem::Body;
use poem::http::StatusCode;
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::problem::Problem;
use crate::server::operations::jobs::Results;

/// Of one read from the file.
const CHUNK: usize = 256 * 1024;
/// Up to this size a file is read in one go.
const AT_ONCE: u64 = 64 * 1024;

/// What a caller said about the part it wants and the copy it has.
#[derive(Debug, Default)]
pub struct Conditions {
    pub range: Option<String>,
    pub if_range: Option<String>,
    pub if_none_match: Option<String>,
}

/// A file that does not change.
pub struct Stored {
    pub file: tokio::fs::File,
    pub bytes: u64,
    /// Of no other content.
    pub etag: String,
}

impl From<Results> for Stored {
    fn from(results: Results) -> Self {
        Self { etag: format!("\"{}\"", results.assignment), bytes: results.bytes, file: results.file }
    }
}

/// The answer to a request for a stored file.
pub enum Served {
    Whole {
        body: Body,
        bytes: u64,
        etag: String,
    },
    Part {
        body: Body,
        bytes: u64,
        etag: String,
        content_range: String,
    },
    NotModified {
        etag: String,
    },
    /// The range lies behind the end; the value for Content-Range.
    Unsatisfiable {
        content_range: String,
    },
}

/// The bytes from `start` on, `length` of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Span {
    start: u64,
    length: u64,
}

pub async fn serve(stored: Stored, conditions: Conditions) -> Result<Served, Problem> {
    let (etag, total) = (stored.etag.clone(), stored.bytes);
    if conditions.if_none_match.as_deref().is_some_and(|known| matches(known, &etag)) {
        return Ok(Served::NotModified { etag });
    }
    let same = conditions.if_range.as_deref().is_none_or(|known| known == etag);
    let range = conditions.range.as_deref().filter(|_| same);
    match range.map_or(Wanted::Whole, |range| wanted(range, total)) {
        Wanted::Whole => {
            let body = read(stored, Span { start: 0, length: total }).await?;
            Ok(Served::Whole { body, bytes: total, etag })
        }
        Wanted::Unsatisfiable => Ok(Served::Unsatisfiable { content_range: format!("bytes */{total}") }),
        Wanted::Part(span) => {
            let content_range = format!("bytes {}-{}/{total}", span.start, span.start + span.length - 1);
            Ok(Served::Part { body: read(stored, span).await?, bytes: span.length, etag, content_range })
        }
    }
}

async fn read(stored: Stored, span: Span) -> Result<Body, Problem> {
    let mut file = stored.file;
    let failed = |error: std::io::Error| {
        tracing::error!(etag = stored.etag, %error, "a stored file cannot be read");
        Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "results-unreadable", "the results cannot be read")
    };
    if span.start > 0 {
        file.seek(SeekFrom::Start(span.start)).await.map_err(failed)?;
    }
    let mut taken = file.take(span.length);
    if span.length <= AT_ONCE {
        let mut bytes = Vec::with_capacity(usize::try_from(span.length).unwrap_or_default());
        taken.read_to_end(&mut bytes).await.map_err(failed)?;
        return Ok(Body::from_vec(bytes));
    }
    Ok(Body::from_bytes_stream(ReaderStream::with_capacity(taken, CHUNK)))
}

/// Whether an If-None-Match names `etag`; weak marks do not count when comparing there (RFC 9110, 13.1.2).
fn matches(header: &str, etag: &str) -> bool {
    header.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(|tag| tag == "*" || tag == etag)
}

/// What a Range header asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// It names no range that is served (several, another unit, nonsense): RFC 9110 lets the whole be sent.
    Whole,
    Part(Span),
    Unsatisfiable,
}

fn wanted(header: &str, total: u64) -> Wanted {
    match bounds(header, total) {
        None => Wanted::Whole,
        Some((start, end)) if start < end => Wanted::Part(Span { start, length: end - start }),
        Some(_) => Wanted::Unsatisfiable,
    }
}

/// The first byte of one range and the one after its last, which may leave nothing between them.
fn bounds(header: &str, total: u64) -> Option<(u64, u64)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.trim(), last.trim());
    if first.is_empty() {
        let suffix: u64 = last.parse().ok()?;
        return Some((total.saturating_sub(suffix), if suffix == 0 { 0 } else { total }));
    }
    let start: u64 = first.parse().ok()?;
    if last.is_empty() {
        return Some((start, total));
    }
    let last: u64 = last.parse().ok()?;
    (start <= last).then(|| (start, last.saturating_add(1).min(total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_read_as_rfc_9110_has_them() {
        let span = |start, length| Wanted::Part(Span { start, length });
        let cases = [
            ("bytes=0-0", span(0, 1)),
            ("bytes=0-", span(0, 10)),
            ("bytes=4-6", span(4, 3)),
            ("bytes=4-99", span(4, 6)),
            ("bytes=-3", span(7, 3)),
            ("bytes=-99", span(0, 10)),
            ("bytes=10-", Wanted::Unsatisfiable),
            ("bytes=-0", Wanted::Unsatisfiable),
            ("bytes=5-4", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("lines=0-1", Wanted::Whole),
            ("bytes=x-", Wanted::Whole),
        ];
        for (header, expected) in cases {
            assert_eq!(wanted(header, 10), expected, "{header}");
        }
    }

    #[test]
    fn an_etag_matches_in_a_list_weak_or_as_a_star() {
        for header in ["\"a\"", "\"b\", \"a\"", "W/\"a\"", "*"] {
            assert!(matches(header, "\"a\""), "{header}");
        }
        assert!(!matches("\"b\"", "\"a\""));
    }
}
