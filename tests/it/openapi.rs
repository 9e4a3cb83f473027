//! The document is true, checked in, and its pages need nobody else.
//!
//! That every answer is one the document tells of is shown by all tests: see `harness::document`.

use serde_json::Value;

use crate::harness::{Bed, document};

#[tokio::test]
async fn the_document_is_the_one_that_is_checked_in() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let mut told = server.get("/openapi.json").await.json();
    assert_eq!(told, server.get("/api-docs/openapi.json").await.json());
    told.sort_all_objects();
    let text = format!("{told:#}\n");
    if std::env::var_os("UPDATE_OPENAPI").is_some() {
        std::fs::write(document::path(), &text).unwrap();
    }
    let kept = std::fs::read_to_string(document::path()).unwrap_or_default();
    assert!(kept == text, "docs/openapi.json is not what the server tells: look at the change, then UPDATE_OPENAPI=1");
}

#[tokio::test]
async fn the_pages_of_the_document_name_no_other_host() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    for path in ["/swagger-ui/", "/swagger/"] {
        let page = server.get(path).await;
        assert_eq!(page.status, 200, "{path}");
        assert!(page.header("content-type").starts_with("text/html"), "{path}: {:?}", page.headers);
        let text = String::from_utf8(page.body).unwrap();
        assert!(text.contains("/upload") && text.contains("get_results"), "{path} does not show the calls");
        let foreign = ["src=\"http", "href=\"http", "src=\"//", "href=\"//", "url(http", "url(//", "@import"];
        let found: Vec<_> = foreign.iter().filter(|mark| text.contains(**mark)).collect();
        assert!(found.is_empty(), "{path} has {found:?}");
    }
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_too() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    for path in ["/download/abc", "/api/v1/jobs/abc", "/api/v1/jobs/1?wait_seconds=soon", "/download_partial/1.5"] {
        assert!(says_what_to_do(&server.get(path).await.problem(400)), "{path}");
    }
    assert!(says_what_to_do(&server.get("/nowhere").await.problem(404)));
    assert!(says_what_to_do(&server.post("/download/1").await.problem(405)));
    assert_eq!(server.get("/").await.json()["message"], "pong");
    assert_eq!(server.get("/health").await.json()["status"], "ok");
}

fn says_what_to_do(problem: &Value) -> bool {
    ["title", "detail", "code", "remedy"]
        .iter()
        .all(|field| problem[field].as_str().is_some_and(|text| !text.is_empty()))
}
