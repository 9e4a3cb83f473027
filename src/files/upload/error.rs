//! Why an upload was not taken: the caller's half (what, where, remedy) and the log's (source).

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use crate::files::disposition::DispositionError;
use crate::files::names::NameError;

/// Why an upload was not taken. Nothing of it is left.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    #[error("the content type is {content_type}, not multipart/form-data with a boundary")]
    NotMultipart { content_type: String },
    #[error("the upload has more than {limit} bytes")]
    TooLarge { limit: u64 },
    #[error("nothing arrived for {} s", after.as_secs_f32())]
    Stalled { after: Duration },
    /// The body ended, or its connection did, before the closing boundary.
    #[error("the upload was cut off before its closing boundary")]
    Cut { source: Option<io::Error> },
    #[error("the body is not well-formed multipart")]
    Malformed { source: multer::Error },
    #[error("the header of a part has more than 64 KiB")]
    LongHeader,
    #[error("a part has neither a name nor a file name")]
    Unnamed,
    #[error("the Content-Disposition {header} cannot be read: {source}")]
    Disposition { header: String, source: DispositionError },
    #[error("the field {field} has more than {} KiB", limit / 1024)]
    LongField { field: String, limit: usize },
    #[error("the field {field} is not UTF-8 text")]
    NotText { field: String },
    #[error(transparent)]
    Name(#[from] NameError),
    /// No room, or the quota of the disk is used up.
    #[error("no room for the upload at {}", path.display())]
    Full { path: PathBuf, source: io::Error },
    /// The disk takes no writing.
    #[error("the disk of {} is read-only", path.display())]
    ReadOnly { path: PathBuf, source: io::Error },
    #[error("the upload cannot be stored at {}", path.display())]
    Store { path: PathBuf, source: io::Error },
}

/// Whose fault an [`UploadError`] is, one for each way to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not multipart/form-data (415).
    ContentType,
    /// Too large (413).
    Size,
    /// Stopped arriving (408).
    Stalled,
    /// Something in it is wrong (400).
    Content,
    /// No room here (507).
    Full,
    /// The disk here fails or takes no writing (503).
    Ours,
}

impl UploadError {
    pub(in crate::files) fn store(path: PathBuf, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::Full { path, source },
            io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path, source },
            _ => Self::Store { path, source },
        }
    }

    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::NotMultipart { .. } => Fault::ContentType,
            Self::TooLarge { .. } => Fault::Size,
            Self::Stalled { .. } => Fault::Stalled,
            Self::Full { .. } => Fault::Full,
            Self::ReadOnly { .. } | Self::Store { .. } => Fault::Ours,
            _ => Fault::Content,
        }
    }

    /// A stable word for it.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotMultipart { .. } => "not-multipart",
            Self::TooLarge { .. } => "too-large",
            Self::Stalled { .. } => "stalled",
            Self::Cut { .. } => "cut-off",
            Self::Malformed { .. } | Self::LongHeader | Self::Unnamed | Self::Disposition { .. } => "bad-multipart",
            Self::LongField { .. } | Self::NotText { .. } => "bad-field",
            Self::Name(_) => "bad-file-name",
            Self::Full { .. } => "storage-full",
            Self::ReadOnly { .. } => "storage-read-only",
            Self::Store { .. } => "storage-failing",
        }
    }

    /// The field at fault and its value, as far as there is one; both escaped and shortened.
    #[must_use]
    pub fn subject(&self) -> Option<(&str, &str)> {
        match self {
            Self::NotMultipart { content_type } => Some(("Content-Type", content_type)),
            Self::Disposition { header, .. } => Some(("Content-Disposition", header)),
            Self::LongField { field, .. } | Self::NotText { field } => Some((field, "")),
            Self::Name(error) => Some(("file", error.name())),
            _ => None,
        }
    }

    /// What the caller can do.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::NotMultipart { .. } => "send multipart/form-data, as curl -F does",
            Self::TooLarge { .. } => "send less, or ask the operator to raise the limit",
            Self::Stalled { .. } | Self::Cut { .. } => "send it again",
            Self::Malformed { .. } => "send multipart/form-data with a boundary that is in none of the files",
            Self::LongHeader => "send a Content-Disposition and at most a few short headers with each part",
            Self::Unnamed => "give each part a name, and each file a filename",
            Self::Disposition { .. } => "send form-data; name=\"file\"; filename=\"run.sh\"",
            Self::LongField { .. } => "send long text as a file",
            Self::NotText { .. } => "send the field as UTF-8",
            Self::Name(error) => error.fault().remedy(),
            Self::Full { .. } => "try again later; the operator has to make room",
            Self::ReadOnly { .. } => "try again later; the operator has to make the disk writable",
            Self::Store { .. } => "try again later; the operator finds in the log what failed",
        }
    }
}
