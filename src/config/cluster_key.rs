//! The file with the key that server and clients share: made here, checked here, never printed.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::settings::ClusterKey;

/// The shortest key, in characters: 128 bits in hexadecimal.
const MIN_CHARS: usize = 32;

/// Why a key file cannot be used. The texts name the remedy.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    #[error("it cannot be read; run job-orchestrator cluster-key {}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("everybody on this machine can read it; run chmod 600 {}", .0.display())]
    WorldReadable(PathBuf),
    #[error("its key has fewer than {MIN_CHARS} characters; remove it and run job-orchestrator cluster-key {}", .0.display())]
    Short(PathBuf),
    #[error(
        "its key has spaces or other characters than printable ASCII; remove it and run job-orchestrator cluster-key {}",
        .0.display()
    )]
    Characters(PathBuf),
    #[error("{} cannot be written", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the system gives no random bytes")]
    Random(#[source] getrandom::Error),
}

/// What [`make`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Made {
    New,
    /// A usable key was there and was left as it is.
    Kept,
}

/// Reads and checks a key. Spaces and line ends around it do not count.
///
/// # Errors
/// A file that cannot be read, that everybody can read, or that holds no usable key.
pub fn read(path: &Path) -> Result<ClusterKey, KeyError> {
    let failed = |source| KeyError::Read { path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode();
    if mode & 0o004 != 0 {
        return Err(KeyError::WorldReadable(path.to_owned()));
    }
    let text = fs::read_to_string(path).map_err(failed)?;
    let key = text.trim();
    if !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(KeyError::Characters(path.to_owned()));
    }
    if key.len() < MIN_CHARS {
        return Err(KeyError::Short(path.to_owned()));
    }
    Ok(ClusterKey(key.to_owned()))
}

/// Makes a key file that only its owner can read, unless a usable one is there. Of several processes at once one
/// makes it and the others keep it; none ever sees half a key.
///
/// # Errors
/// A file that is there and unusable, or a directory that cannot be written to.
pub fn make(path: &Path) -> Result<Made, KeyError> {
    if path.try_exists().map_err(|source| KeyError::Read { path: path.to_owned(), source })? {
        return read(path).map(|_| Made::Kept);
    }
    let failed = |source| KeyError::Write { path: path.to_owned(), source };
    let mut draft_name = path.as_os_str().to_owned();
    draft_name.push(format!(".{}", std::process::id()));
    let draft = PathBuf::from(draft_name);
    write_private(&draft, &random_key()?).map_err(failed)?;
    // A link, because unlike a rename it fails where another process was faster.
    let linked = fs::hard_link(&draft, path);
    fs::remove_file(&draft).map_err(failed)?;
    match linked {
        Ok(()) => Ok(Made::New),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => read(path).map(|_| Made::Kept),
        Err(error) => Err(failed(error)),
    }
}

/// 256 random bits in hexadecimal.
fn random_key() -> Result<String, KeyError> {
    let (mut first, mut second) = ([0; 16], [0; 16]);
    getrandom::fill(&mut first).map_err(KeyError::Random)?;
    getrandom::fill(&mut second).map_err(KeyError::Random)?;
    Ok(format!("{:032x}{:032x}", u128::from_ne_bytes(first), u128::from_ne_bytes(second)))
}

fn write_private(path: &Path, key: &str) -> io::Result<()> {
    let mut file: File = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    writeln!(file, "{key}")?;
    file.sync_all()
}
