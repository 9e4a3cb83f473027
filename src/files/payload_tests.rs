use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use tempfile::TempDir;

use super::*;
use crate::files::names::NameFault;
use crate::files::upload::{Fault, Part, Upload};

fn body(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body = Vec::new();
    for (name, content) in files {
        body.extend_from_slice(
            format!("--xyz\r\nContent-Disposition: form-data; name=file; filename=\"{name}\"\r\n\r\n").as_bytes(),
        );
        body.extend_from_slice(content);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(b"--xyz--\r\n");
    body
}

fn upload(body: &[u8]) -> Upload {
    let chunks: Vec<io::Result<Bytes>> = body.chunks(10_000).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    Upload::new("multipart/form-data; boundary=xyz", stream::iter(chunks), u64::MAX).unwrap()
}

async fn receive(payload: &mut Payload, mut upload: Upload) -> Result<(), UploadError> {
    while let Some(part) = upload.next().await? {
        if let Part::File(file) = part {
            payload.receive(file).await?;
        }
    }
    Ok(())
}

/// Removal runs on another thread.
async fn is_empty_soon(directory: &Path) -> bool {
    let deadline = Instant::now() + Duration::from_secs(10);
    while Instant::now() < deadline {
        if fs::read_dir(directory).unwrap().next().is_none() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

#[tokio::test]
async fn small_and_large_files_lie_whole_under_their_names() {
    let dir = TempDir::new().unwrap();
    let large = vec![7; 3_000_000];
    let middle = vec![8; SMALL + 1];
    let files: [(&str, &[u8]); 5] = [
        ("run.sh", b"exit 0"),
        ("data/deep/large", &large),
        ("data/middle", &middle),
        ("empty", b""),
        ("data/z", b"z"),
    ];
    for durable in [true, false] {
        let parent = dir.path().join(format!("new/{durable}"));
        let mut payload = if durable { Payload::durable(&parent, "key") } else { Payload::volatile(&parent, "key") };
        receive(&mut payload, upload(&body(&files))).await.unwrap();
        assert_eq!((payload.files(), payload.directory()), (5, parent.join("key").as_path()));
        let stored = payload.finish().await.unwrap();
        assert_eq!(stored.bytes(), files.iter().map(|(_, content)| content.len() as u64).sum::<u64>());
        stored.keep();
        for (name, content) in files {
            let path = parent.join("key").join(name);
            assert!(fs::read(&path).unwrap() == content, "{name}");
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        }
        assert_eq!(fs::metadata(parent.join("key")).unwrap().mode() & 0o777, 0o700);
    }
}

#[tokio::test]
async fn many_small_files_are_written_on_the_way() {
    let dir = TempDir::new().unwrap();
    let names: Vec<_> = (0..3_000).map(|number| format!("d{}/{number}", number % 7)).collect();
    let files: Vec<(&str, &[u8])> = names.iter().map(|name| (name.as_str(), name.as_bytes())).collect();
    let mut payload = Payload::volatile(dir.path(), "key");
    receive(&mut payload, upload(&body(&files))).await.unwrap();
    assert!(payload.waiting.len() < WAITING_FILES);
    payload.finish().await.unwrap().keep();
    for name in &names {
        assert_eq!(fs::read(dir.path().join("key").join(name)).unwrap(), name.as_bytes());
    }
}

#[tokio::test]
async fn names_that_exclude_each_other_leave_nothing() {
    let dir = TempDir::new().unwrap();
    let large = vec![7; 2_000_000];
    let cases: [(&str, &str, NameFault); 3] = [
        ("a", "a/b", NameFault::FileAndDirectory),
        ("a/b", "a", NameFault::FileAndDirectory),
        ("a", "a", NameFault::Twice),
    ];
    for (first, second, fault) in cases {
        let mut payload = Payload::durable(dir.path(), "key");
        let error = receive(&mut payload, upload(&body(&[(first, &large), (second, b"")]))).await.unwrap_err();
        assert!(matches!(&error, UploadError::Name(error) if error.fault() == fault), "{error:?}");
        assert!(dir.path().join("key").exists());
        drop(payload);
        assert!(is_empty_soon(dir.path()).await);
    }
}

#[tokio::test]
async fn a_refused_small_upload_never_touches_the_disk() {
    let dir = TempDir::new().unwrap();
    let mut payload = Payload::durable(dir.path(), "key");
    receive(&mut payload, upload(&body(&[("a", b"a"), ("../b", b"")]))).await.unwrap_err();
    assert!(fs::read_dir(dir.path()).unwrap().next().is_none());
}

#[tokio::test]
async fn a_cut_upload_and_a_caller_that_is_gone_leave_nothing() {
    let dir = TempDir::new().unwrap();
    let whole = body(&[("a", &vec![7; 5_000_000])]);
    let mut payload = Payload::durable(dir.path(), "cut");
    receive(&mut payload, upload(&whole[..4_000_000])).await.unwrap_err();
    drop(payload);

    let mut payload = Payload::durable(dir.path(), "gone");
    let chunks: Vec<io::Result<Bytes>> = vec![Ok(Bytes::copy_from_slice(&whole[..4_000_000]))];
    let (said, mut heard) = tokio::sync::mpsc::channel::<()>(1);
    let endless = stream::iter(chunks).chain(Box::pin(stream::once(async move {
        said.send(()).await.unwrap();
        std::future::pending().await
    })));
    let upload = Upload::new("multipart/form-data; boundary=xyz", endless, u64::MAX).unwrap();
    tokio::select! {
        _ = receive(&mut payload, upload) => unreachable!(),
        _ = heard.recv() => {}
    }
    drop(payload);
    assert!(is_empty_soon(dir.path()).await);
}

#[tokio::test]
async fn a_finished_payload_that_nobody_keeps_is_removed() {
    let dir = TempDir::new().unwrap();
    let mut payload = Payload::durable(dir.path(), "key");
    receive(&mut payload, upload(&body(&[("a/b", b"a")]))).await.unwrap();
    let stored = payload.finish().await.unwrap();
    assert!(dir.path().join("key/a/b").exists());
    drop(stored);
    assert!(is_empty_soon(dir.path()).await);
}

#[tokio::test]
async fn a_directory_that_is_somebody_elses_is_an_error_and_stays() {
    let dir = TempDir::new().unwrap();
    fs::create_dir(dir.path().join("key")).unwrap();
    let mut payload = Payload::durable(dir.path(), "key");
    receive(&mut payload, upload(&body(&[("a", b"a")]))).await.unwrap();
    let error = payload.finish().await.unwrap_err();
    assert_eq!(error.fault(), Fault::Ours);
    tokio::task::yield_now().await;
    assert!(dir.path().join("key").exists());
}

#[test]
fn a_full_disk_is_told_from_a_broken_one() {
    let error = |errno: i32| UploadError::store("/x".into(), io::Error::from_raw_os_error(errno)).fault();
    assert_eq!(error(nix::libc::ENOSPC), Fault::Full);
    assert_eq!(error(nix::libc::EDQUOT), Fault::Full);
    assert_eq!(error(nix::libc::EIO), Fault::Ours);
}
