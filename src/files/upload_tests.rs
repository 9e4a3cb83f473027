use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::{StreamExt, stream};

use super::*;
use crate::files::disposition::DispositionError;
use crate::files::names::NameFault;

const TYPE: &str = "multipart/form-data; boundary=xyz";

fn chunked(body: impl Into<Vec<u8>>, size: usize) -> impl Stream<Item = io::Result<Bytes>> + Send + Unpin + 'static {
    let chunks: Vec<_> = body.into().chunks(size).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    stream::iter(chunks)
}

fn upload(body: impl Into<Vec<u8>>) -> Upload {
    Upload::new(TYPE, chunked(body, 16 * 1024), u64::MAX).unwrap()
}

fn part(disposition: &str, content: &str) -> String {
    format!("--xyz\r\nContent-Disposition: {disposition}\r\n\r\n{content}\r\n")
}

/// The names and contents of all parts.
async fn read(mut upload: Upload) -> Result<Vec<(String, String)>, UploadError> {
    let mut parts = Vec::new();
    while let Some(part) = upload.next().await? {
        parts.push(match part {
            Part::Field { name, text } => (name, text),
            Part::File(mut file) => {
                let mut content = Vec::new();
                while let Some(chunk) = file.chunk().await? {
                    content.extend_from_slice(&chunk);
                }
                (format!("file {}", file.path()), String::from_utf8(content).unwrap())
            }
        });
    }
    Ok(parts)
}

fn owned(parts: &[(&str, &str)]) -> Vec<(String, String)> {
    parts.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[tokio::test]
async fn parts_come_in_any_order_and_however_the_bytes_are_cut() {
    let body = part("form-data; name=\"file\"; filename=\"data/in put.txt\"", "a\r\n--xy not the end\r\n")
        + &part("form-data; name=\"user_id\"", "7")
        + &part("form-data; name=\"file\"; filename=\"run.sh\"", "")
        + "--xyz--\r\nepilogue";
    let expected =
        owned(&[("file data/in put.txt", "a\r\n--xy not the end\r\n"), ("user_id", "7"), ("file run.sh", "")]);
    for size in [1, 2, 3, 7, 64, 10_000] {
        let upload = Upload::new(TYPE, chunked(body.clone(), size), u64::MAX).unwrap();
        assert_eq!(read(upload).await.unwrap(), expected, "in chunks of {size}");
    }
}

#[tokio::test]
async fn names_that_multer_misreads_are_read() {
    let cases = [
        (r#"form-data; filename="a; name=user_id"; name="file""#, "file a; name=user_id"),
        ("form-data; name=file; filename*=UTF-8''na%C3%AFve.txt", "file naïve.txt"),
        ("form-data; NAME=file; FILENAME=x", "file x"),
        (r#"form-data; name="file"; filename="a%22b""#, r#"file a"b"#),
    ];
    for (disposition, name) in cases {
        let parts = read(upload(part(disposition, "x") + "--xyz--\r\n")).await.unwrap();
        assert_eq!(parts, owned(&[(name, "x")]));
    }
}

#[tokio::test]
async fn hostile_names_are_the_callers_fault_and_named() {
    let error = read(upload(part("form-data; name=\"file\"; filename=\"../x\"", "x"))).await.unwrap_err();
    assert!(matches!(&error, UploadError::Name(error) if error.fault() == NameFault::Dots));
    assert_eq!((error.fault(), error.code()), (Fault::Content, "bad-file-name"));
    assert_eq!(error.subject(), Some(("file", "\"../x\"")));

    let error = read(upload(part("form-data; filename=\"x", "x"))).await.unwrap_err();
    assert!(matches!(error, UploadError::Disposition { source: DispositionError::Unterminated, .. }));
    let error = read(upload(part("form-data", "x"))).await.unwrap_err();
    assert!(matches!(error, UploadError::Unnamed));
    let error = read(upload("--xyz\r\nContent-Type: text/plain\r\n\r\nx\r\n--xyz--\r\n")).await.unwrap_err();
    assert!(matches!(error, UploadError::Unnamed));
}

#[tokio::test]
async fn every_cut_of_a_body_is_told_from_its_end() {
    let body = part("form-data; name=\"user_id\"", "7") + &part("form-data; filename=run.sh", "exit 0") + "--xyz--";
    assert_eq!(read(upload(body.clone())).await.unwrap().len(), 2);
    for end in 0..body.len() {
        let error = read(upload(&body.as_bytes()[..end])).await.unwrap_err();
        assert!(matches!(error, UploadError::Cut { source: None }), "cut at {end}: {error:?}");
        assert_eq!(error.fault(), Fault::Content);
    }
}

#[tokio::test]
async fn a_broken_connection_is_a_cut_with_its_cause() {
    let body = chunked(part("form-data; filename=run.sh", "exit 0"), 10)
        .chain(stream::iter([Err(io::ErrorKind::ConnectionReset.into())]));
    let error = read(Upload::new(TYPE, body, u64::MAX).unwrap()).await.unwrap_err();
    assert!(
        matches!(error, UploadError::Cut { source: Some(source) } if source.kind() == io::ErrorKind::ConnectionReset)
    );
}

#[tokio::test]
async fn a_body_that_stops_arriving_is_given_up() {
    for start in ["--xyz\r\nContent-Dis", &part("form-data; filename=run.sh", "exit 0")] {
        let body = chunked(start, 16).chain(stream::pending());
        let upload = Upload::new(TYPE, body, u64::MAX).unwrap().stalls_after(Duration::from_millis(20));
        let error = read(upload).await.unwrap_err();
        assert_eq!(error.fault(), Fault::Stalled, "{error:?}");
    }
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_read_on_once_for_a_while() {
    // In a file, in a text field, and in a header: 64 KiB of limit are used up in each.
    let starts = ["form-data; filename=run.sh\r\n\r\n", "form-data; name=service\r\n\r\n", "form-data; name="];
    for start in starts {
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        let endless = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from(vec![b'x'; 16 * 1024]))
        });
        let body = chunked(format!("--xyz\r\nContent-Disposition: {start}"), 1_000).chain(endless);
        let error = read(Upload::new(TYPE, body, 60_000).unwrap()).await.unwrap_err();
        assert!(matches!(error, UploadError::TooLarge { limit: 60_000 }), "{start:?}: {error:?}");
        assert_eq!(error.fault(), Fault::Size);
        let bytes = taken.load(Ordering::Relaxed) * 16 * 1024;
        assert!((64_000_000..70_000_000).contains(&bytes), "{start:?}: {bytes} read");
    }
}

#[tokio::test]
async fn the_limit_is_for_the_whole_body_and_exact() {
    let body = part("form-data; filename=run.sh", "exit 0") + "--xyz--\r\n";
    let length = body.len() as u64;
    assert!(read(Upload::new(TYPE, chunked(body.clone(), 10), length).unwrap()).await.is_ok());
    let error = read(Upload::new(TYPE, chunked(body, 10), length - 3).unwrap()).await.unwrap_err();
    assert_eq!(error.fault(), Fault::Size);
}

#[tokio::test]
async fn a_header_of_100_mb_is_cut_off_after_64_kib() {
    for start in ["--xyz\r\nContent-Disposition: form-data; name=\"", "no boundary", "--xyz\r\nA: b\r\n"] {
        let taken = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&taken);
        let endless = stream::repeat_with(move || {
            counter.fetch_add(1, Ordering::Relaxed);
            Ok(Bytes::from_static(&[b'a'; 16 * 1024]))
        });
        let body = chunked(start, 100).chain(endless.take(6_400));
        let error = read(Upload::new(TYPE, body, u64::MAX).unwrap()).await.unwrap_err();
        assert!(matches!(error, UploadError::LongHeader), "{error:?}");
        assert!(taken.load(Ordering::Relaxed) <= 8, "{} chunks read", taken.load(Ordering::Relaxed));
    }
}

#[tokio::test]
async fn a_large_chunk_with_a_short_header_is_taken() {
    let body = part("form-data; filename=run.sh", &"x".repeat(500_000)) + "--xyz--";
    for first in [1, 5, 100, 400_000] {
        let (start, rest) = body.split_at(first);
        let chunks = chunked(start, first).chain(chunked(rest, 1_000_000));
        assert_eq!(
            read(Upload::new(TYPE, chunks, u64::MAX).unwrap()).await.unwrap().len(),
            1,
            "first chunk of {first}"
        );
    }
}

#[tokio::test]
async fn many_small_parts_are_not_read_ahead() {
    let taken = Arc::new(AtomicU64::new(0));
    let counter = Arc::clone(&taken);
    let one: Bytes = part("form-data; name=\"x\"", "1").repeat(100).into();
    let size = one.len() as u64;
    let body = stream::repeat_with(move || {
        counter.fetch_add(1, Ordering::Relaxed);
        Ok(one.clone())
    });
    let mut upload = Upload::new(TYPE, body, u64::MAX).unwrap();
    for _ in 0..1_000 {
        assert!(matches!(upload.next().await.unwrap(), Some(Part::Field { .. })));
    }
    let chunks = taken.load(Ordering::Relaxed);
    assert!(chunks <= 13, "{chunks} chunks of {size} bytes read for 10 of them");
}

#[tokio::test]
async fn a_boundary_of_plus_signs_works_until_a_file_holds_it() {
    let with = |content: &str| {
        let body = format!("--+++\r\nContent-Disposition: form-data; filename=a\r\n\r\n{content}\r\n--+++--\r\n");
        Upload::new("multipart/form-data; boundary=+++", chunked(body, 7), u64::MAX).unwrap()
    };
    assert_eq!(read(with("a--+++b")).await.unwrap(), owned(&[("file a", "a--+++b")]));
    let error = read(with("a\r\n--+++b")).await.unwrap_err();
    assert!(matches!(error, UploadError::Malformed { .. }), "{error:?}");
    assert!(error.remedy().contains("boundary"));
}

#[test]
fn other_content_types_are_told_apart() {
    let open =
        |content_type: &str| Upload::new(content_type, chunked("", 1), 1).map(drop).map_err(|error| error.fault());
    assert_eq!(open("multipart/form-data; boundary=\"a b\""), Ok(()));
    for wrong in
        ["", "application/json", "multipart/form-data", "multipart/mixed; boundary=x", "multipart/form-data; boundary="]
    {
        assert_eq!(open(wrong), Err(Fault::ContentType), "{wrong}");
    }
    assert_eq!(open(&format!("multipart/form-data; boundary={}", "x".repeat(201))), Err(Fault::ContentType));
}

#[tokio::test]
async fn text_fields_are_short_and_utf8() {
    let long = part("form-data; name=\"service\"", &"x".repeat(MAX_TEXT + 1)) + "--xyz--";
    assert!(matches!(read(upload(long)).await, Err(UploadError::LongField { field, .. }) if field == "\"service\""));
    let mut bytes = b"--xyz\r\nContent-Disposition: form-data; name=service\r\n\r\n\xff\r\n--xyz--".to_vec();
    bytes.push(b'\n');
    assert!(matches!(read(upload(bytes)).await, Err(UploadError::NotText { .. })));
}
