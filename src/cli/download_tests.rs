//! Downloads against a server that breaks off.

use super::super::scripted::{json, serve};
use super::*;

fn whole(etag: &str, length: usize, sent: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\netag: {etag}\r\n\r\n{sent}")
}

/// The file that comes of it, and the requests that were made.
fn download(answers: Vec<String>) -> (anyhow::Result<String>, Vec<String>) {
    let (url, requests) = serve(answers);
    let dir = tempfile::tempdir().unwrap();
    let target = dir.path().join("results.zip");
    let api = Api::new(url).unwrap();
    let fetched = remote::block_on(fetch(&api, 7, false, &Destination::Zip(target.clone())));
    let result = fetched.map(|_| fs::read_to_string(&target).unwrap());
    let left = fs::read_dir(dir.path()).unwrap().count();
    assert_eq!(left, usize::from(result.is_ok()), "a draft was left behind");
    (result, requests.join().unwrap())
}

#[test]
fn broken_download_goes_on_where_it_broke() {
    let rest =
        "HTTP/1.1 206 Partial Content\r\ncontent-length: 6\r\ncontent-range: bytes 4-9/10\r\netag: \"a\"\r\n\r\n456789";
    let (result, requests) = download(vec![whole("\"a\"", 10, "0123"), rest.to_owned()]);
    assert_eq!(result.unwrap(), "0123456789");
    assert!(requests[0].starts_with("get /api/v1/jobs/7/results "), "{}", requests[0]);
    assert!(
        requests[1].contains("\nrange: bytes=4-\r") && requests[1].contains("\nif-range: \"a\""),
        "{}",
        requests[1]
    );
}

#[test]
fn changed_results_start_over() {
    let (result, _) = download(vec![whole("\"a\"", 10, "0123"), whole("\"b\"", 6, "abcdef")]);
    assert_eq!(result.unwrap(), "abcdef");
}

#[test]
fn broken_download_without_etag_fails_and_leaves_nothing() {
    let answer = "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n0123".to_owned();
    let (result, requests) = download(vec![answer]);
    assert!(result.is_err());
    assert_eq!(requests.len(), 1);
}

#[test]
fn refusal_reads_as_a_sentence_with_its_remedy() {
    let body = r#"{"type":"about:blank","title":"Not Found","status":404,"detail":"there is no job 7","code":"no-such-job",
        "field":"id","value":"7","remedy":"use the id that the upload answered"}"#;
    let (result, _) = download(vec![json("404 Not Found", body)]);
    let message = format!("{:#}", result.unwrap_err());
    assert_eq!(message, "there is no job 7 (id = 7); use the id that the upload answered");
}
