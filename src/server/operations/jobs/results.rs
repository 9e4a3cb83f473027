//! A job's zip: what it left in the end, or what is there now.

use std::io;
use std::path::PathBuf;
use std::pin::Pin;

use bytes::Bytes;
use domain::{AssignmentId, Status};
use futures_util::Stream;
use store::JobRow;
use tokio::fs::File;

use crate::files::names::PARAMETERS;
use crate::files::zip;
use crate::server::parts::Parts;
use crate::server::remote::{RemoteError, Speaker, Wire};

/// A stored zip, open for reading: it stays readable while retention removes it.
pub struct Results {
    pub file: File,
    pub bytes: u64,
    /// Names these bytes for ever: the results of one assignment never change.
    pub assignment: AssignmentId,
}

/// A zip that is made while it is read, so its length is not known.
pub type ZipStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Why there is no zip.
#[derive(Debug, thiserror::Error)]
pub enum ResultsError {
    /// The files were removed after MAX_AGE.
    #[error("the job's files were removed")]
    Cleaned,
    /// The job ended without leaving any, such as one that was killed in the queue.
    #[error("the job left no results")]
    None,
    #[error("the results at {path} cannot be read")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("the job's client does not answer")]
    Silent,
    #[error(transparent)]
    Remote(#[from] RemoteError),
}

/// The stored zip of an ended job.
///
/// # Errors
/// See [`ResultsError`].
pub async fn results(parts: &Parts, job: &JobRow) -> Result<Results, ResultsError> {
    if job.status() == Status::Cleaned {
        return Err(ResultsError::Cleaned);
    }
    let assignment = job.result().ok_or(ResultsError::None)?;
    let path = parts.places.result(assignment);
    let opened = async {
        let file = File::open(&path).await?;
        let bytes = file.metadata().await?.len();
        io::Result::Ok((file, bytes))
    };
    match opened.await {
        Ok((file, bytes)) => Ok(Results { file, bytes, assignment }),
        Err(source) if source.kind() == io::ErrorKind::NotFound && is_cleaned(parts, job).await => {
            Err(ResultsError::Cleaned)
        }
        Err(source) => Err(ResultsError::Read { path, source }),
    }
}

/// Whether the job was cleaned since it was read.
async fn is_cleaned(parts: &Parts, job: &JobRow) -> bool {
    let now = parts.store.job(job.id).await;
    now.is_ok_and(|job| job.is_some_and(|job| job.status() == Status::Cleaned))
}

/// What is there now of a job without stored results: from its client while one has it, else its own payload.
///
/// # Errors
/// See [`ResultsError`].
pub async fn partial(parts: &Parts, job: &JobRow) -> Result<ZipStream, ResultsError> {
    if job.status() == Status::Cleaned {
        return Err(ResultsError::Cleaned);
    }
    let Some(placement) = job.progress.state.placement().filter(|_| job.status() != Status::Processing) else {
        let dir = parts.places.payload(job.payload.as_str());
        let exclude = vec![PARAMETERS.to_owned()];
        return Ok(Box::pin(zip::stream(zip::Source { dir, exclude, ..zip::Source::default() })));
    };
    let speaker = parts.pool.member(&placement.client).and_then(|member| member.speaker());
    let zip = match speaker.ok_or(ResultsError::Silent)? {
        Speaker::Modern(client, _) => client.retrieve(placement.assignment, Wire::Partial).await?,
        Speaker::Predecessor(client) => client.retrieve_partial(job.client_number.ok_or(ResultsError::Silent)?).await?,
    };
    Ok(Box::pin(zip.into_stream()))
}
