//! Whoever repeats a hand-in under its key gets the job that it made before.

use crate::harness::{Bed, Form, ServerNode};

fn form(user: i64, content: &str) -> Form {
    Form::new(user).field("idempotency_key", "2026-11-25/7").script("true").file("in.txt", content)
}

/// The two files of one payload are left: those of repeats are removed beside the answer.
async fn one_payload(server: &ServerNode) {
    server
        .until("there is one payload", async || {
            let files = server.files("payloads");
            if files.len() == 2 { Ok(()) } else { Err(format!("{files:?}")) }
        })
        .await;
}

#[tokio::test]
async fn a_repeat_is_answered_with_the_same_job_also_after_a_restart() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    let id = server.submit(form(1, "a")).await;
    assert_eq!(server.submit(form(1, "a")).await, id);
    one_payload(&server).await;
    server.kill();
    server.start();
    assert_eq!(server.submit(form(1, "a")).await, id);
    one_payload(&server).await;
    assert_eq!(server.job(id).await.0["idempotency_key"], "2026-11-25/7");
    assert_ne!(server.submit(form(2, "a")).await, id, "another user's key is another");
}

#[tokio::test]
async fn repeats_at_once_make_one_job() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let ids = futures_util::future::join_all((0..10).map(|_| server.submit(form(1, "a")))).await;
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    one_payload(&server).await;
}

#[tokio::test]
async fn other_content_under_a_key_is_refused_and_leaves_nothing() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let id = server.submit(form(1, "a")).await;
    for other in [form(1, "b"), form(1, "a").field("priority", "3"), form(1, "a").file("more", "x")] {
        let problem = server.upload(other).await.problem(409);
        assert_eq!((&problem["code"], &problem["field"]), (&"idempotency-key-taken".into(), &"idempotency_key".into()));
        assert!(problem["detail"].as_str().unwrap().contains(&format!("job {id}")), "{problem}");
    }
    one_payload(&server).await;
    let problem = server.upload(Form::new(1).field("idempotency_key", "two words").script("true")).await.problem(400);
    assert_eq!(problem["field"], "idempotency_key");
}
