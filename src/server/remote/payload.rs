//! A job's files as a multipart body.
//!
//! Small payloads are read at once and sent from memory, so that the usual job costs one hop to a blocking thread;
//! anything larger streams from its files with flat memory.

use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use domain::AssignmentId;
use futures_util::{Stream, StreamExt, stream};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

use crate::files::names::PARAMETERS;
use crate::protocol::{MARKER_PREFIX, PARAMETERS_FILE, Submission};

/// Payloads up to this size are read into memory, in bytes.
const IN_MEMORY: u64 = 256 * 1024;
const CHUNK: usize = 256 * 1024;

/// The files below one payload directory, listed.
#[derive(Debug)]
pub struct Payload {
    files: Vec<File>,
    has_parameters: bool,
}

#[derive(Debug)]
struct File {
    /// As the uploader named it, with `/` between segments.
    name: String,
    bytes: u64,
    content: Content,
}

#[derive(Debug)]
enum Content {
    Memory(Bytes),
    Path(PathBuf),
}

impl Payload {
    /// Lists the directory, and reads it if it is small. The directory was written by this server alone.
    ///
    /// # Errors
    /// It cannot be listed or read.
    pub async fn open(directory: PathBuf) -> io::Result<Self> {
        tokio::task::spawn_blocking(move || {
            let mut files = Vec::new();
            list(&directory, "", &mut files)?;
            let kept = files.iter_mut().find(|file| file.name == PARAMETERS);
            let has_parameters = kept.is_some();
            if let Some(parameters) = kept {
                PARAMETERS_FILE.clone_into(&mut parameters.name);
            }
            files.sort_by(|a, b| a.name.cmp(&b.name));
            if files.iter().map(|file| file.bytes).sum::<u64>() <= IN_MEMORY {
                for file in &mut files {
                    if let Content::Path(path) = &file.content {
                        let content = Bytes::from(std::fs::read(path)?);
                        file.bytes = content.len() as u64;
                        file.content = Content::Memory(content);
                    }
                }
            }
            Ok(Self { files, has_parameters })
        })
        .await
        .map_err(io::Error::other)?
    }

    /// Whether values for a script of the operator's are in it.
    #[must_use]
    pub fn has_parameters(&self) -> bool {
        self.has_parameters
    }

    /// Of all files together.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    pub(super) fn with_spec(self, submission: &Submission) -> Result<Multipart, serde_json::Error> {
        let spec = serde_json::to_vec(submission)?;
        let mut multipart = Multipart::new(submission.assignment);
        multipart.text("Content-Disposition: form-data; name=\"spec\"\r\nContent-Type: application/json", &spec);
        multipart.files(self.files);
        Ok(multipart)
    }

    pub(super) fn with_marker(self, assignment: AssignmentId) -> Multipart {
        let mut multipart = Multipart::new(assignment);
        multipart.text(&file_header(&format!("{MARKER_PREFIX}{assignment}")), b"");
        multipart.files(self.files);
        multipart
    }
}

fn list(directory: &Path, prefix: &str, files: &mut Vec<File>) -> io::Result<()> {
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        let Ok(segment) = entry.file_name().into_string() else { continue };
        let name = if prefix.is_empty() { segment } else { format!("{prefix}/{segment}") };
        let kind = entry.file_type()?;
        if kind.is_dir() {
            list(&entry.path(), &name, files)?;
        } else if kind.is_file() {
            files.push(File { name, bytes: entry.metadata()?.len(), content: Content::Path(entry.path()) });
        }
    }
    Ok(())
}

fn file_header(name: &str) -> String {
    let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
    format!(
        "Content-Disposition: form-data; name=\"file\"; filename=\"{quoted}\"\r\nContent-Type: application/octet-stream"
    )
}

/// A multipart body whose length is known before it is sent.
pub(super) struct Multipart {
    boundary: String,
    length: u64,
    pieces: Vec<Piece>,
}

enum Piece {
    Memory(Bytes),
    File { path: PathBuf, bytes: u64 },
}

impl Multipart {
    /// The assignment is random and unknown to whoever wrote the files, so no file can hold the boundary.
    fn new(assignment: AssignmentId) -> Self {
        Self { boundary: format!("job-orchestrator-{assignment}"), length: 0, pieces: Vec::new() }
    }

    fn text(&mut self, headers: &str, content: &[u8]) {
        self.memory(format!("--{}\r\n{headers}\r\n\r\n", self.boundary).into_bytes().into());
        self.memory(Bytes::copy_from_slice(content));
        self.memory(Bytes::from_static(b"\r\n"));
    }

    fn files(&mut self, files: Vec<File>) {
        for file in files {
            self.memory(format!("--{}\r\n{}\r\n\r\n", self.boundary, file_header(&file.name)).into_bytes().into());
            match file.content {
                Content::Memory(content) => self.memory(content),
                Content::Path(path) => {
                    self.length += file.bytes;
                    self.pieces.push(Piece::File { path, bytes: file.bytes });
                }
            }
            self.memory(Bytes::from_static(b"\r\n"));
        }
        self.memory(format!("--{}--\r\n", self.boundary).into_bytes().into());
    }

    fn memory(&mut self, bytes: Bytes) {
        self.length += bytes.len() as u64;
        self.pieces.push(Piece::Memory(bytes));
    }

    pub(super) fn content_type(&self) -> String {
        format!("multipart/form-data; boundary={}", self.boundary)
    }

    pub(super) fn content_length(&self) -> u64 {
        self.length
    }

    pub(super) fn into_body(self) -> reqwest::Body {
        let all_in_memory = self.pieces.iter().all(|piece| matches!(piece, Piece::Memory(_)));
        if all_in_memory {
            let mut whole = Vec::with_capacity(usize::try_from(self.length).unwrap_or_default());
            for piece in &self.pieces {
                if let Piece::Memory(bytes) = piece {
                    whole.extend_from_slice(bytes);
                }
            }
            return whole.into();
        }
        reqwest::Body::wrap_stream(stream::iter(self.pieces).flat_map(|piece| match piece {
            Piece::Memory(bytes) => stream::once(async { Ok(bytes) }).left_stream(),
            Piece::File { path, bytes } => file_stream(path, bytes).right_stream(),
        }))
    }
}

/// Exactly `bytes` bytes of a file; a file that became shorter breaks the body off, which the client sees as cut.
fn file_stream(path: PathBuf, bytes: u64) -> impl Stream<Item = io::Result<Bytes>> + Send {
    stream::once(async move {
        let file = tokio::fs::File::open(path).await?;
        Ok::<_, io::Error>(ReaderStream::with_capacity(file.take(bytes), CHUNK))
    })
    .flat_map(|opened| match opened {
        Ok(stream) => stream.left_stream(),
        Err(error) => stream::once(async { Err(error) }).right_stream(),
    })
}
