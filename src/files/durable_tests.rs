use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

use futures_util::stream;
use tempfile::TempDir;

use super::*;

/// Root may do everything; what an ordinary user meets is seen with another file system user, which only this thread has.
pub(in crate::files) fn as_nobody(directory: &Path, act: impl FnOnce()) {
    let (nobody, root) = (nix::unistd::Uid::from_raw(65534), nix::unistd::Uid::from_raw(0));
    if !nix::unistd::geteuid().is_root() {
        return act();
    }
    for entry in [directory, parent(directory)] {
        std::os::unix::fs::chown(entry, Some(65534), None).unwrap();
    }
    nix::unistd::setfsuid(nobody);
    act();
    nix::unistd::setfsuid(root);
}

/// In memory, where there is such a place: making 100,000 files on a disk takes longer than what is tested.
pub(in crate::files) fn roomy() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn body(chunks: &[&'static str]) -> impl Stream<Item = io::Result<Bytes>> + Send + use<> {
    stream::iter(chunks.iter().map(|chunk| Ok(Bytes::from_static(chunk.as_bytes()))).collect::<Vec<_>>())
}

#[test]
fn a_written_file_replaces_the_older_one_and_leaves_nothing_beside_it() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("state");
    write_file(&path, b"old").unwrap();
    write_file(&path, b"new").unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"new");
    assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
    assert_eq!(names(dir.path()), ["state"]);
    assert!(write_file(&dir.path().join("missing/state"), b"").is_err());
}

#[test]
fn missing_directories_are_made_and_a_file_in_the_way_is_an_error() {
    let dir = TempDir::new().unwrap();
    let deep = dir.path().join("a/b/c");
    create_dirs(&deep).unwrap();
    create_dirs(&deep).unwrap();
    assert_eq!(fs::metadata(&deep).unwrap().mode() & 0o777, 0o700);
    fs::write(deep.join("file"), "").unwrap();
    assert!(create_dirs(&deep.join("file")).is_err());
    assert!(create_dirs(&deep.join("file/below")).is_err());
}

const ANYTHING: fn(&fs::File) -> io::Result<()> = |_| Ok(());

#[tokio::test]
async fn a_stored_body_is_whole_or_not_there() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result");
    assert_eq!(store_stream(&path, body(&["ab", "", "cd"]), 4, ANYTHING).await.unwrap(), 4);
    assert_eq!(fs::read(&path).unwrap(), b"abcd");
    fs::remove_file(&path).unwrap();

    let error = store_stream(&path, body(&["ab", "cde"]), 4, ANYTHING).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
    let broken = body(&["ab"]).chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]));
    let error = store_stream(&path, broken, 9, ANYTHING).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    let refused = |_: &fs::File| Err(io::ErrorKind::InvalidData.into());
    let error = store_stream(&path, body(&["ab"]), 9, refused).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    assert_eq!(names(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_store_that_is_given_up_leaves_nothing() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result");
    let (said, mut heard) = tokio::sync::mpsc::channel::<()>(1);
    let endless = body(&["ab"]).chain(stream::once(async move {
        said.send(()).await.unwrap();
        std::future::pending().await
    }));
    tokio::select! {
        _ = store_stream(&path, endless, 9, ANYTHING) => unreachable!(),
        _ = heard.recv() => {}
    }
    assert_eq!(names(dir.path()), [""; 0]);
}

#[tokio::test]
async fn a_body_larger_than_the_buffer_comes_out_as_it_went_in() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("result");
    let chunks: Vec<Bytes> = (0..700_u32).map(|number| Bytes::from(number.to_le_bytes().repeat(1500))).collect();
    let expected = chunks.concat();
    let bytes = store_stream(&path, stream::iter(chunks.into_iter().map(Ok)), u64::MAX, ANYTHING).await.unwrap();
    assert_eq!(bytes, expected.len() as u64);
    assert!(fs::read(&path).unwrap() == expected);
}

#[test]
fn what_is_not_there_is_removed_already() {
    let dir = TempDir::new().unwrap();
    remove_tree(&dir.path().join("missing")).unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    remove_tree(&dir.path().join("file")).unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_link_is_removed_and_never_what_it_points_to() {
    let dir = TempDir::new().unwrap();
    fs::create_dir_all(dir.path().join("kept/inner")).unwrap();
    fs::write(dir.path().join("kept/file"), "").unwrap();
    fs::create_dir_all(dir.path().join("job/sub")).unwrap();
    symlink(dir.path().join("kept"), dir.path().join("job/out")).unwrap();
    symlink("../../kept", dir.path().join("job/sub/out")).unwrap();
    symlink("kept", dir.path().join("link")).unwrap();
    remove_tree(&dir.path().join("job")).unwrap();
    remove_tree(&dir.path().join("link")).unwrap();
    assert_eq!(names(dir.path()), ["kept"]);
    assert_eq!(names(&dir.path().join("kept")), ["file", "inner"]);
}

#[test]
fn directories_without_permissions_are_removed() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    as_nobody(&job, || {
        for mode in [0o000, 0o100, 0o400, 0o500, 0o300] {
            let inner = job.join(format!("closed-{mode:o}/inner/deeper"));
            fs::create_dir_all(&inner).unwrap();
            fs::write(inner.join("file"), "").unwrap();
            for directory in [inner.as_path(), parent(&inner), parent(parent(&inner))] {
                fs::set_permissions(directory, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        fs::set_permissions(&job, fs::Permissions::from_mode(0o000)).unwrap();
        remove_tree(&job).unwrap();
    });
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_tree_deeper_than_any_path_is_removed() {
    let dir = roomy();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    for number in (1..60).step_by(2) {
        fs::write(job.join(format!(".{number}")), "in the way").unwrap();
        fs::create_dir_all(job.join(format!(".{}/in the way", number + 1))).unwrap();
    }
    let mut at = std::os::fd::OwnedFd::from(File::open(&job).unwrap());
    for _ in 0..5_000 {
        rustix::fs::mkdirat(&at, "deep", rustix::fs::Mode::RWXU).unwrap();
        at = rustix::fs::openat(&at, "deep", rustix::fs::OFlags::DIRECTORY, rustix::fs::Mode::empty()).unwrap();
    }
    remove_tree(&job).unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn a_hundred_thousand_files_are_removed() {
    let dir = roomy();
    let job = dir.path().join("job");
    fs::create_dir_all(job.join("sub")).unwrap();
    for number in 0..50_000 {
        File::create(job.join(number.to_string())).unwrap();
        File::create(job.join(format!("sub/{number}"))).unwrap();
    }
    remove_tree(&job).unwrap();
    assert_eq!(names(dir.path()), [""; 0]);
}

#[test]
fn an_unfinished_file_tells_whether_this_process_writes_it() {
    let dir = roomy();
    let unfinished = Unfinished::beside(&dir.path().join("a.zip")).unwrap();
    unfinished.create().unwrap();
    let name = fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().file_name();
    assert_eq!(unnamed(&name), Some(Unnamed::Ours), "{name:?}");
    for (name, expected) in [
        (".a.zip.0123456789abcdef-0.part", Some(Unnamed::Abandoned)),
        (".a.zip.1-0.part", Some(Unnamed::Abandoned)),
        ("a.zip", None),
        (".hidden", None),
        ("a.part", None),
    ] {
        assert_eq!(unnamed(name.as_ref()), expected, "{name}");
    }
}

#[tokio::test]
async fn what_is_moved_away_is_out_of_sight_and_removed_in_batches() {
    let dir = roomy();
    let trash = dir.path().join("trash");
    let one = dir.path().join("one");
    let missing = dir.path().join("missing");
    let failed = move_away(vec![one.clone()], &trash).await.unwrap();
    assert_eq!(failed.len(), 1, "without a trash directory nothing is said to be gone");
    fs::create_dir(&trash).unwrap();
    for _ in 0..2 {
        fs::create_dir_all(one.join("deep")).unwrap();
        let failed = move_away(vec![one.clone(), missing.clone()], &trash).await.unwrap();
        assert!(failed.is_empty() && !one.exists(), "{failed:?}");
    }
    fs::write(dir.path().join("file"), "x").unwrap();
    move_away(vec![dir.path().join("file")], &trash).await.unwrap();
    assert_eq!(super::names(&trash, 9).await.unwrap().len(), 3);
    assert_eq!(remove_entries(&trash, 2).await.unwrap(), 2);
    assert_eq!(remove_entries(&trash, 2).await.unwrap(), 1);
    assert_eq!(super::names(&trash, 9).await.unwrap().len(), 0);
    assert_eq!(super::names(&missing, 9).await.unwrap().len(), 0);
}
