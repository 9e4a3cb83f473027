use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{Cursor, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use futures_util::StreamExt;
use proptest::prelude::*;
use tempfile::TempDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::links::stays_inside;
use super::*;
use crate::files::durable::tests::{as_nobody, roomy};

fn source(dir: &Path) -> Source {
    Source { dir: dir.to_owned(), ..Source::default() }
}

/// Packs and reads back; a link's content is its target.
fn packed(source: &Source) -> BTreeMap<String, Vec<u8>> {
    let (_, bytes) = pack(source, ZipWriter::new(Cursor::new(Vec::new()))).unwrap();
    contents(bytes.into_inner())
}

fn contents(bytes: Vec<u8>) -> BTreeMap<String, Vec<u8>> {
    let mut archive = ZipArchive::new(Cursor::new(bytes)).unwrap();
    (0..archive.len())
        .map(|index| {
            let mut entry = archive.by_index(index).unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.name().unwrap().into_owned(), bytes)
        })
        .collect()
}

fn skipped(entries: &BTreeMap<String, Vec<u8>>) -> Vec<&str> {
    entries.get(".orchestrator.skipped").map_or(Vec::new(), |list| std::str::from_utf8(list).unwrap().lines().collect())
}

/// A directory with one of everything that is kept.
fn plain_job(dir: &Path) {
    fs::create_dir_all(dir.join("sub/empty")).unwrap();
    fs::write(dir.join("run.sh"), "exit 0\n").unwrap();
    fs::write(dir.join("sub/in put 蛋.txt"), "words ".repeat(50_000)).unwrap();
    let mut noise = vec![0; 200_000];
    getrandom::fill(&mut noise).unwrap();
    fs::write(dir.join("sub/noise"), noise).unwrap();
    fs::write(dir.join("nothing"), "").unwrap();
    symlink("sub/noise", dir.join("link")).unwrap();
}

#[test]
fn a_packed_directory_holds_what_was_there_in_order() {
    let dir = TempDir::new().unwrap();
    plain_job(dir.path());
    let entries = packed(&source(dir.path()));
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    assert_eq!(names, ["link", "nothing", "run.sh", "sub/", "sub/empty/", "sub/in put 蛋.txt", "sub/noise"]);
    assert_eq!(entries["link"], b"sub/noise");
    assert_eq!(entries["sub/noise"], fs::read(dir.path().join("sub/noise")).unwrap());
    let again = pack(&source(dir.path()), ZipWriter::new(Cursor::new(Vec::new()))).unwrap();
    let bytes = pack(&source(dir.path()), ZipWriter::new(Cursor::new(Vec::new()))).unwrap();
    assert!(again.1.into_inner() == bytes.1.into_inner());
    assert_eq!(bytes.0, Packed { entries: 7, bytes: 500_007, skipped: 0 });
}

#[test]
fn what_packing_does_not_shrink_is_stored() {
    let dir = TempDir::new().unwrap();
    plain_job(dir.path());
    let (_, bytes) = pack(&source(dir.path()), ZipWriter::new(Cursor::new(Vec::new()))).unwrap();
    let mut archive = ZipArchive::new(bytes).unwrap();
    let mut method = |name: &str| archive.by_name(name).unwrap().compression();
    assert_eq!(method("sub/noise"), CompressionMethod::Stored);
    assert_eq!(method("run.sh"), CompressionMethod::Stored);
    assert_eq!(method("sub/in put 蛋.txt"), CompressionMethod::Deflated);
}

#[test]
fn what_cannot_be_carried_is_left_out_and_listed() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir_all(job.join("sub")).unwrap();
    fs::write(job.join("kept"), "kept").unwrap();
    let _socket = UnixListener::bind(job.join("socket")).unwrap();
    nix::unistd::mkfifo(&job.join("sub/fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    fs::write(job.join(OsStr::from_bytes(b"latin\xe9\n")), "").unwrap();
    fs::write(job.join(".orchestrator.log"), "mine").unwrap();
    symlink("/etc/passwd", job.join("absolute")).unwrap();
    symlink("../../secret", job.join("sub/out")).unwrap();
    symlink("missing", job.join("dangling")).unwrap();
    let entries = packed(&source(&job));
    let names: Vec<_> = entries.keys().map(String::as_str).collect();
    assert_eq!(names, [".orchestrator.skipped", "dangling", "kept", "sub/"]);
    assert_eq!(
        skipped(&entries),
        [
            ".orchestrator.log\tits name is reserved",
            "absolute\tit is a link that leads out",
            "latin\\xe9\\n\tits name is not UTF-8",
            "socket\tit is a socket",
            "sub/fifo\tit is a FIFO",
            "sub/out\tit is a link that leads out",
        ]
    );
}

#[test]
fn files_and_directories_that_may_not_be_read_are_listed() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    let mut list = Vec::new();
    as_nobody(&job, || {
        fs::create_dir(job.join("closed")).unwrap();
        fs::write(job.join("secret"), "").unwrap();
        for name in ["closed", "secret"] {
            fs::set_permissions(job.join(name), fs::Permissions::from_mode(0o000)).unwrap();
        }
        list = skipped(&packed(&source(&job))).into_iter().map(str::to_owned).collect();
    });
    assert_eq!(list, ["closed\tit may not be read", "secret\tit may not be read"]);
}

#[test]
fn the_end_of_the_log_goes_in_and_what_is_excluded_does_not() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    fs::write(job.join("marker"), "").unwrap();
    let log = dir.path().join("log");
    fs::write(&log, "x".repeat(2 << 20) + "the end").unwrap();
    let with_log = Source { log: Some(log), exclude: vec!["marker".into()], ..source(&job) };
    let entries = packed(&with_log);
    assert_eq!(entries.keys().collect::<Vec<_>>(), [".orchestrator.log"]);
    assert_eq!(entries[".orchestrator.log"].len(), 1 << 20);
    assert!(entries[".orchestrator.log"].ends_with(b"the end"));
    let none = Source { log: Some(dir.path().join("none")), ..source(&job) };
    assert_eq!(packed(&none).keys().collect::<Vec<_>>(), ["marker"]);
}

#[test]
fn results_over_the_limit_are_refused() {
    let dir = TempDir::new().unwrap();
    fs::write(dir.path().join("a"), "12345").unwrap();
    fs::write(dir.path().join("b"), "12345").unwrap();
    let limited = |limit| {
        let source = Source { limit: Some(limit), ..source(dir.path()) };
        pack(&source, ZipWriter::new(Cursor::new(Vec::new()))).map(|(packed, _)| packed.bytes)
    };
    assert_eq!(limited(10).unwrap(), 10);
    assert!(matches!(limited(9), Err(PackError::TooLarge { limit: 9 })));
    assert!(matches!(
        pack(&source(&dir.path().join("none")), ZipWriter::new(Cursor::new(Vec::new()))),
        Err(PackError::Open { .. })
    ));
}

#[test]
fn a_tree_that_is_too_deep_is_listed() {
    let dir = TempDir::new().unwrap();
    let deep = (0..200).fold(dir.path().to_owned(), |path, _| path.join("d"));
    fs::create_dir_all(deep).unwrap();
    let entries = packed(&source(dir.path()));
    assert_eq!(entries.len(), 127 + 1);
    assert!(skipped(&entries)[0].ends_with("it is more than 128 directories deep"));
}

/// Python's zipfile and Info-ZIP read it without complaint.
fn others_agree(zip: &Path, entries: usize) {
    let script =
        "import sys, zipfile\nz = zipfile.ZipFile(sys.argv[1])\nassert z.testzip() is None\nprint(len(z.namelist()))";
    let python = Command::new("python3").args(["-c", script]).arg(zip).output().unwrap();
    assert!(python.status.success(), "{}", String::from_utf8_lossy(&python.stderr));
    assert_eq!(String::from_utf8_lossy(&python.stdout).trim(), entries.to_string());
    // Not on every machine; Python's is the one that must agree.
    if let Ok(unzip) = Command::new("unzip").arg("-tqq").arg(zip).output() {
        assert!(
            unzip.status.success(),
            "{}{}",
            String::from_utf8_lossy(&unzip.stdout),
            String::from_utf8_lossy(&unzip.stderr)
        );
    }
}

async fn streamed(dir: &Path) -> Vec<u8> {
    let chunks: Vec<_> = stream(source(dir)).collect().await;
    chunks.into_iter().flat_map(Result::unwrap).collect()
}

#[tokio::test]
async fn a_file_and_a_stream_are_zips_that_others_read() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    plain_job(&job);
    let (file, stream) = (dir.path().join("file.zip"), dir.path().join("stream.zip"));
    let (_, length) = pack_file(&source(&job), File::create(&file).unwrap()).unwrap();
    assert_eq!(length, fs::metadata(&file).unwrap().len());
    fs::write(&stream, streamed(&job).await).unwrap();
    others_agree(&file, 7);
    others_agree(&stream, 7);
    assert_eq!(contents(fs::read(&file).unwrap()), contents(fs::read(&stream).unwrap()));
}

#[tokio::test]
async fn an_error_breaks_a_stream_off_and_a_gone_reader_ends_it() {
    let dir = TempDir::new().unwrap();
    let chunks: Vec<_> = stream(source(&dir.path().join("none"))).collect().await;
    assert!(matches!(chunks.as_slice(), [Err(error)] if error.kind() == std::io::ErrorKind::NotFound));

    let mut noise = vec![0; 8 << 20];
    getrandom::fill(&mut noise).unwrap();
    fs::write(dir.path().join("noise"), noise).unwrap();
    let mut reading = Box::pin(stream(source(dir.path())));
    assert!(reading.next().await.unwrap().is_ok());
    // The runtime's end waits for its blocking threads: this test would hang.
    drop(reading);
}

#[test]
fn a_window_that_is_left_and_entered_again_writes_what_a_file_would() {
    let dir = TempDir::new().unwrap();
    for number in 0..40_u8 {
        fs::write(dir.path().join(format!("{number}")), vec![number; 100_000 + usize::from(number)]).unwrap();
    }
    let mut noise = vec![0; 5 << 20];
    getrandom::fill(&mut noise).unwrap();
    fs::write(dir.path().join("noise"), noise).unwrap();
    let zip = TempDir::new().unwrap();
    let path = zip.path().join("zip");
    let (_, length) = pack_file(&source(dir.path()), File::create(&path).unwrap()).unwrap();
    let (_, bytes) = pack(&source(dir.path()), ZipWriter::new(Cursor::new(Vec::new()))).unwrap();
    assert!(fs::read(&path).unwrap() == bytes.into_inner());
    assert_eq!(length, fs::metadata(&path).unwrap().len());
}

#[test]
fn a_hundred_thousand_files_are_packed() {
    let dir = roomy();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    for number in 0..100_000 {
        fs::write(job.join(number.to_string()), "x").unwrap();
    }
    let zip = dir.path().join("zip");
    let (packed, _) = pack_file(&source(&job), File::create(&zip).unwrap()).unwrap();
    assert_eq!(packed, Packed { entries: 100_000, bytes: 100_000, skipped: 0 });
    others_agree(&zip, 100_000);
}

#[test]
#[ignore = "writes and reads 5 GB"]
fn a_file_of_more_than_4_gib_is_packed() {
    let dir = TempDir::new().unwrap();
    let job = dir.path().join("job");
    fs::create_dir(&job).unwrap();
    File::create(job.join("sparse")).unwrap().set_len(5_000_000_000).unwrap();
    let zip = dir.path().join("zip");
    let (_, file) = pack(&source(&job), ZipWriter::new_stream(File::create(&zip).unwrap())).unwrap();
    drop(file);
    others_agree(&zip, 1);
}

#[tokio::test]
async fn one_entry_is_read_up_to_its_limit() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("zip");
    let mut zip = ZipWriter::new(File::create(&path).unwrap());
    zip.start_file(".orchestrator.exit", SimpleFileOptions::default()).unwrap();
    zip.write_all(b"137\n").unwrap();
    zip.finish().unwrap();
    assert_eq!(read_entry(&path, ".orchestrator.exit", 4).await.unwrap().as_deref(), Some(&b"137\n"[..]));
    assert_eq!(read_entry(&path, "missing", 4).await.unwrap(), None);
    assert_eq!(names_beginning(&path, ".orchestrator.e").await.unwrap(), [".orchestrator.exit"]);
    assert!(names_beginning(&path, "missing").await.unwrap().is_empty());
    let error = read_entry(&path, ".orchestrator.exit", 3).await.unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::FileTooLarge);
    fs::write(&path, "no zip").unwrap();
    assert!(read_entry(&path, "missing", 4).await.is_err());
}

#[test]
fn what_was_packed_unpacks_the_same() {
    let dir = TempDir::new().unwrap();
    let (job, out, zip) = (dir.path().join("job"), dir.path().join("out/deep"), dir.path().join("zip"));
    fs::create_dir(&job).unwrap();
    plain_job(&job);
    pack_file(&source(&job), File::create(&zip).unwrap()).unwrap();
    unpack(&zip, &out).unwrap();
    assert_eq!(packed(&source(&job)), packed(&source(&out)));
    assert_eq!(fs::read_link(out.join("link")).unwrap(), Path::new("sub/noise"));
    assert_eq!(unpack(&zip, &out).unwrap_err().kind(), std::io::ErrorKind::AlreadyExists);
}

enum Entry {
    File(&'static str),
    Link(&'static str, &'static str),
}

fn hostile(path: &Path, entries: &[Entry]) {
    let mut zip = ZipWriter::new(File::create(path).unwrap());
    for entry in entries {
        match entry {
            Entry::File(name) => {
                zip.start_file(name, SimpleFileOptions::default()).unwrap();
                zip.write_all(b"evil").unwrap();
            }
            Entry::Link(name, target) => zip.add_symlink(name, target, SimpleFileOptions::default()).unwrap(),
        }
    }
    zip.finish().unwrap();
}

#[test]
fn a_hostile_zip_does_not_leave_its_directory() {
    use Entry::{File as F, Link as L};
    let cases: [&[Entry]; 8] = [
        &[F("../evil")],
        &[F("a/../../evil")],
        &[F("/evil")],
        &[F("a//evil")],
        &[L("out", "../")],
        &[L("out", "/tmp")],
        &[L("a/b/up", "../.."), L("a/b/evil", "up/../..")],
        &[L("out", "."), F("out/../../evil")],
    ];
    for (number, entries) in cases.iter().enumerate() {
        let dir = TempDir::new().unwrap();
        let (zip, out) = (dir.path().join("zip"), dir.path().join("outer/out"));
        hostile(&zip, entries);
        let error = unpack(&zip, &out).unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::InvalidData, "case {number}: {error}");
        assert_eq!(fs::read_dir(dir.path().join("outer")).unwrap().count(), 1, "case {number}");
    }
}

#[test]
fn nothing_is_unpacked_through_a_link() {
    let dir = TempDir::new().unwrap();
    let (zip, out) = (dir.path().join("zip"), dir.path().join("out"));
    fs::create_dir_all(dir.path().join("elsewhere")).unwrap();
    fs::create_dir(&out).unwrap();
    symlink(dir.path().join("elsewhere"), out.join("there")).unwrap();
    hostile(&zip, &[Entry::File("there/evil")]);
    assert!(unpack(&zip, &out).is_err());
    assert_eq!(fs::read_dir(dir.path().join("elsewhere")).unwrap().count(), 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Links that are kept never lead out together, whichever way they are walked: tried on the real file system.
    #[test]
    fn kept_links_never_lead_out(targets in prop::collection::vec(r"(\.\./|\./|d/|l[0-3]/){1,5}", 4)) {
        let dir = TempDir::new().unwrap();
        let top = fs::canonicalize(dir.path()).unwrap().join("a/top");
        fs::create_dir_all(top.join("d/d/d")).unwrap();
        for (number, target) in targets.iter().enumerate() {
            let depth = number % 3;
            let place = top.join("d/".repeat(depth)).join(format!("l{number}"));
            if stays_inside(target, depth) {
                symlink(target, &place).unwrap();
                if let Ok(real) = fs::canonicalize(&place) {
                    prop_assert!(real.starts_with(&top), "{} leads to {}", place.display(), real.display());
                }
            }
        }
    }
}
