//! The files of a job that is about to be submitted: what they are called, and their bytes as a stream.
//!
//! Everything is looked at before the first byte is sent, so that a wrong name costs no upload; contents are read while
//! they are sent, so that memory stays flat.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use reqwest::Body;
use reqwest::multipart::{Form, Part};
use tokio::io::AsyncReadExt;
use tokio_util::io::ReaderStream;

/// The script that every job needs.
const SCRIPT: &str = "run.sh";
const PIECE_BYTES: usize = 256 * 1024;
/// An upload of which nothing moved for this long has failed.
const STALL: Duration = Duration::from_secs(120);

#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    #[error("{} cannot be read", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{} is neither a file nor a directory; leave it out", .0.display())]
    Kind(PathBuf),
    #[error("{} is a link to a directory; name the directory itself", .0.display())]
    LinkedDirectory(PathBuf),
    #[error("{} has no name that could be sent: names are UTF-8 without control characters; rename it", .0.display())]
    Name(PathBuf),
    #[error("{} and {} would both be called {name}; rename one", first.display(), second.display())]
    Twice { name: String, first: PathBuf, second: PathBuf },
    #[error(
        "there is no {SCRIPT} among the files; a job is the script of that name and what it needs, unless its service has a \
         script of its own (`job-orchestrator services` says which do)"
    )]
    NoScript,
}

/// Files by the names they have in the job.
#[derive(Debug, Default)]
pub struct Payload {
    files: BTreeMap<String, (PathBuf, u64)>,
}

impl Payload {
    /// Takes `files` under the relative paths they are given by (an absolute one, or one with `..`, under its last
    /// part), directories with all that is below them, and all that is below `dir` named from there.
    ///
    /// # Errors
    /// Something that cannot be sent.
    pub fn collect(files: &[PathBuf], dir: Option<&Path>) -> Result<Self, PayloadError> {
        let mut payload = Self::default();
        for path in files {
            payload.add(path, given_name(path)?)?;
        }
        if let Some(dir) = dir {
            payload.add_directory(dir, "")?;
        }
        Ok(payload)
    }

    /// Whether it brings its own run.sh.
    pub fn has_script(&self) -> bool {
        self.files.contains_key(SCRIPT)
    }

    /// Of all contents together.
    pub fn bytes(&self) -> u64 {
        self.files.values().map(|(_, bytes)| bytes).sum()
    }

    /// Adds a part for each file. `moved` is told how many bytes were read since it was told last.
    pub fn into_parts(self, mut form: Form, moved: impl Fn(u64) + Clone + Send + Sync + 'static) -> Form {
        for (name, (path, bytes)) in self.files {
            let part = Part::stream_with_length(contents(path, bytes, moved.clone()), bytes).file_name(name);
            form = form.part("file", part);
        }
        form
    }

    fn add(&mut self, path: &Path, name: String) -> Result<(), PayloadError> {
        let metadata = fs::metadata(path).map_err(|source| PayloadError::Read { path: path.to_owned(), source })?;
        if metadata.is_dir() {
            return self.add_directory(path, &name);
        }
        if !metadata.is_file() {
            return Err(PayloadError::Kind(path.to_owned()));
        }
        match self.files.insert(name.clone(), (path.to_owned(), metadata.len())) {
            None => Ok(()),
            Some((first, _)) => Err(PayloadError::Twice { name, first, second: path.to_owned() }),
        }
    }

    fn add_directory(&mut self, dir: &Path, name: &str) -> Result<(), PayloadError> {
        let failed = |source| PayloadError::Read { path: dir.to_owned(), source };
        for entry in fs::read_dir(dir).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let path = entry.path();
            // A link could lead back up, and the walk would never end.
            if entry.file_type().map_err(failed)?.is_symlink() && path.is_dir() {
                return Err(PayloadError::LinkedDirectory(path));
            }
            let own = part_name(entry.file_name().to_str(), &path)?;
            let name = if name.is_empty() { own } else { format!("{name}/{own}") };
            self.add(&path, name)?;
        }
        Ok(())
    }
}

/// Resolves when `moved` has not changed for [`STALL`], which it returns.
pub async fn stalled(moved: Arc<AtomicU64>) -> Duration {
    let mut before = moved.load(Ordering::Relaxed);
    loop {
        tokio::time::sleep(STALL).await;
        let now = moved.load(Ordering::Relaxed);
        if now == before {
            return STALL;
        }
        before = now;
    }
}

/// The name in the job of a path on the command line; empty for the current directory.
fn given_name(path: &Path) -> Result<String, PayloadError> {
    let mut parts = Vec::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => parts.push(part_name(part.to_str(), path)?),
            Component::CurDir => {}
            Component::RootDir | Component::ParentDir | Component::Prefix(_) => {
                return part_name(path.file_name().and_then(|name| name.to_str()), path);
            }
        }
    }
    Ok(parts.join("/"))
}

fn part_name(name: Option<&str>, path: &Path) -> Result<String, PayloadError> {
    match name {
        Some(name) if !name.chars().any(char::is_control) => Ok(name.to_owned()),
        _ => Err(PayloadError::Name(path.to_owned())),
    }
}

/// Opened when its turn comes, and read no further than it was long when it was looked at.
fn contents(path: PathBuf, bytes: u64, moved: impl Fn(u64) + Send + Sync + 'static) -> Body {
    let opened = async move {
        let file = tokio::fs::File::open(path).await?;
        Ok::<_, io::Error>(ReaderStream::with_capacity(file.take(bytes), PIECE_BYTES))
    };
    let pieces = stream::once(opened).try_flatten();
    Body::wrap_stream(pieces.inspect(move |piece| {
        if let Ok(piece) = piece {
            moved(piece.len() as u64);
        }
    }))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    /// A directory with `run.sh`, `data/in.txt` and `data/deep/er.txt`.
    fn job() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("data/deep")).unwrap();
        for (name, text) in [("run.sh", "true"), ("data/in.txt", "12345"), ("data/deep/er.txt", "")] {
            fs::write(dir.path().join(name), text).unwrap();
        }
        dir
    }

    fn names(payload: &Payload) -> Vec<&str> {
        payload.files.keys().map(String::as_str).collect()
    }

    #[test]
    fn directory_is_sent_with_its_sub_paths() {
        let dir = job();
        let payload = Payload::collect(&[], Some(dir.path())).unwrap();
        assert_eq!(names(&payload), ["data/deep/er.txt", "data/in.txt", "run.sh"]);
        assert_eq!(payload.bytes(), 9);
    }

    #[test]
    fn absolute_paths_are_named_by_their_last_part() {
        let dir = job();
        let files = [dir.path().join("run.sh"), dir.path().join("data")];
        assert_eq!(names(&Payload::collect(&files, None).unwrap()), ["data/deep/er.txt", "data/in.txt", "run.sh"]);
    }

    #[test]
    fn relative_paths_keep_what_was_written() {
        let table = [("a/b.txt", "a/b.txt"), ("./a/./b", "a/b"), (".", ""), ("../a/b", "b"), ("/x/b", "b")];
        for (path, name) in table {
            assert_eq!(given_name(Path::new(path)).unwrap(), name, "{path}");
        }
    }

    #[test]
    fn what_cannot_be_sent_is_refused_before_anything_is_sent() {
        let dir = job();
        let file = |name: &str| dir.path().join(name);
        assert!(!Payload::collect(&[file("data")], None).unwrap().has_script());
        assert!(matches!(Payload::collect(&[file("none")], None), Err(PayloadError::Read { .. })));
        let twice = Payload::collect(&[file("run.sh")], Some(dir.path()));
        assert!(matches!(twice, Err(PayloadError::Twice { .. })));
        assert!(matches!(given_name(Path::new("a\nb")), Err(PayloadError::Name(_))));
        assert!(matches!(given_name(Path::new("..")), Err(PayloadError::Name(_))));
        symlink(dir.path(), file("data/up")).unwrap();
        assert!(matches!(Payload::collect(&[], Some(dir.path())), Err(PayloadError::LinkedDirectory(_))));
    }

    #[test]
    fn links_to_files_are_sent_as_files() {
        let dir = job();
        symlink("in.txt", dir.path().join("data/link")).unwrap();
        let payload = Payload::collect(&[], Some(dir.path())).unwrap();
        assert_eq!(payload.files["data/link"].1, 5);
    }
}
