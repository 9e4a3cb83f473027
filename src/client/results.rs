//! What an attempt left, as a zip, and its log.
//!
//! Small results are packed in memory at each request: one hop to a blocking thread, and the length is known. Larger
//! ones are packed once into a file beside the attempt, so that a broken transfer goes on where it was. Where the disk
//! does not take that file they are packed while they are sent, so that they leave and make room.

use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Cursor, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use domain::AssignmentId;
use futures_util::stream::BoxStream;
use futures_util::{Stream, StreamExt};
use tokio::sync::Mutex;
use zip::ZipWriter;
use zip::result::ZipError;

use super::Client;
use super::disk::Trouble;
use crate::files::zip::{PackError, Source, pack, pack_file, stream};

/// Results of up to this many bytes are packed in memory.
const IN_MEMORY: u64 = 1024 * 1024;
/// Results that are packed into files at once.
const AT_ONCE: usize = 4;

#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    #[error(transparent)]
    Pack(#[from] PackError),
    #[error("the file {} cannot be read or written", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("packing broke off")]
    BrokenOff,
}

impl ResultsError {
    /// What is wrong with the disk, if that is the cause.
    fn trouble(&self) -> Option<Trouble> {
        match self {
            Self::File { source, .. } | Self::Pack(PackError::Write(ZipError::Io(source))) => Trouble::of(source),
            _ => None,
        }
    }
}

/// The zip of an attempt that has ended.
pub enum Results {
    Memory(Bytes),
    File {
        file: File,
        bytes: u64,
    },
    /// Its length is not known yet.
    Stream(BoxStream<'static, io::Result<Bytes>>),
}

/// Lets an assignment's results be packed by one at a time, and bounds how many are packed at once.
#[derive(Debug, Default)]
pub(super) struct Packing([Arc<Mutex<()>>; AT_ONCE]);

impl Packing {
    fn of(&self, assignment: AssignmentId) -> Arc<Mutex<()>> {
        let mut hasher = DefaultHasher::new();
        assignment.hash(&mut hasher);
        Arc::clone(&self.0[hasher.finish() as usize % AT_ONCE])
    }
}

impl Client {
    /// The results of an attempt that has ended.
    ///
    /// # Errors
    /// See [`ResultsError`]; too large results are an error of packing.
    pub async fn results(&self, assignment: AssignmentId) -> Result<Results, ResultsError> {
        let source = self.source(assignment, Some(self.settings.max_result_bytes.min(IN_MEMORY)));
        let packed = blocking(move || in_memory(&source)).await;
        match packed {
            Err(ResultsError::Pack(PackError::TooLarge { .. })) => {}
            packed => return packed,
        }
        let packed = self.results_in_file(assignment).await;
        let Some(trouble) = packed.as_ref().err().and_then(ResultsError::trouble) else { return packed };
        self.disk_in_trouble(Some(trouble));
        let source = self.source(assignment, Some(self.settings.max_result_bytes));
        Ok(Results::Stream(stream(source).boxed()))
    }

    async fn results_in_file(&self, assignment: AssignmentId) -> Result<Results, ResultsError> {
        // Goes with the blocking work: it is not let go of when the caller is gone.
        let turn = self.packing.of(assignment).lock_owned().await;
        let source = self.source(assignment, Some(self.settings.max_result_bytes));
        let path = self.journal.result(assignment);
        blocking(move || {
            let _turn = turn;
            in_file(&source, &path)
        })
        .await
    }

    fn source(&self, assignment: AssignmentId, limit: Option<u64>) -> Source {
        let (dir, log) = (self.journal.work(assignment), Some(self.journal.log(assignment)));
        Source { dir, log, limit, ..Source::default() }
    }

    /// What an attempt has left so far, also while it runs.
    pub fn partial_results(&self, assignment: AssignmentId) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
        stream(self.source(assignment, None))
    }

    /// What an attempt has written to stdout and stderr, or the last `tail` bytes of it, and how many bytes that are now.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn log(&self, assignment: AssignmentId, tail: Option<u64>) -> Result<Option<(File, u64)>, ResultsError> {
        let path = self.journal.log(assignment);
        let failed = |source| ResultsError::File { path: path.clone(), source };
        let mut file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let all = file.metadata().map_err(failed)?.len();
        let wanted = tail.unwrap_or(all).min(all);
        file.seek(SeekFrom::Start(all - wanted)).map_err(failed)?;
        Ok(Some((file, wanted)))
    }
}

fn in_memory(source: &Source) -> Result<Results, ResultsError> {
    let (_, zip) = pack(source, ZipWriter::new(Cursor::new(Vec::new())))?;
    Ok(Results::Memory(zip.into_inner().into()))
}

/// Opens the packed results, after they were packed if they were not yet.
fn in_file(source: &Source, path: &Path) -> Result<Results, ResultsError> {
    let opened = |file: File| -> io::Result<Results> {
        let bytes = file.metadata()?.len();
        Ok(Results::File { file, bytes })
    };
    let failed = |source| ResultsError::File { path: path.to_owned(), source };
    match File::open(path) {
        Ok(file) => return opened(file).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(failed(error)),
    }
    let unfinished = path.with_extension("part");
    let file = File::options().create(true).truncate(true).read(true).write(true).open(&unfinished).map_err(failed)?;
    let copy = file.try_clone().map_err(failed)?;
    if let Err(error) = pack_file(source, copy) {
        // What is left of it takes room that others need.
        let _ = std::fs::remove_file(&unfinished);
        return Err(error.into());
    }
    std::fs::rename(&unfinished, path).map_err(failed)?;
    opened(file).map_err(failed)
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ResultsError> + Send + 'static,
) -> Result<T, ResultsError> {
    tokio::task::spawn_blocking(work).await.unwrap_or(Err(ResultsError::BrokenOff))
}
