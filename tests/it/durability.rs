//! What is acknowledged is on the disk before: seen in the order of the server's own system calls.

use std::path::Path;

use domain::AssignmentId;

use crate::harness::{Bed, Call, Form, Trace, example};

fn position(calls: &[Call], what: &str, is: impl Fn(&Call) -> bool) -> usize {
    calls.iter().position(is).unwrap_or_else(|| panic!("never: {what}\n{calls:#?}"))
}

fn synced(calls: &[Call], path: &Path) -> usize {
    position(calls, &format!("fsync of {}", path.display()), |call| *call == Call::Synced(path.to_owned()))
}

#[tokio::test]
async fn files_directories_and_row_are_synced_before_the_201() {
    let bed = Bed::new();
    let server = bed.server_with(&example(&[], ""), &[]);
    let trace = Trace::of(server.process.as_ref().unwrap().pid(), bed.path());
    server.submit(Form::new(1).script("true").file("sub dir/input.txt", "given")).await;
    // An answer arrives before strace has seen its call end: once it lets another one through, it has.
    server.get("/health").await;
    let calls = trace.calls();

    let answered = position(&calls, "201", |call| matches!(call, Call::Sent(text) if text.contains("201 Created")));
    let script = server.files("payloads").into_iter().find(|path| path.ends_with("run.sh")).unwrap();
    let payload = script.parent().unwrap();
    let row = server.dir.join("orchestrator.sqlite-wal");
    let [script, input, sub_dir, directory, parent] = [
        script.as_path(),
        &payload.join("sub dir/input.txt"),
        &payload.join("sub dir"),
        payload,
        payload.parent().unwrap(),
    ]
    .map(|path| synced(&calls, path));
    let row = synced(&calls[..answered], &row);
    assert!(script.max(input) < sub_dir, "contents before names: {calls:#?}");
    assert!(sub_dir < directory && directory < parent && parent < row && row < answered, "{calls:#?}");
}

#[tokio::test]
async fn results_and_their_name_are_synced_before_the_job_is_completed() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let trace = Trace::of(server.process.as_ref().unwrap().pid(), bed.path());
    let id = server.submit(Form::new(1).script("echo done > out.txt")).await;
    server.ended(id).await;
    // An answer arrives before strace has seen its call end: once it lets another one through, it has.
    server.get("/health").await;
    let calls = trace.calls();

    let results =
        server.files("results").into_iter().find(|path| path.extension().is_some_and(|end| end == "zip")).unwrap();
    let name = results.file_stem().unwrap().to_str().unwrap();
    assert!(name.parse::<AssignmentId>().is_ok(), "{name}");
    // It may have been synced under the name it is written under.
    let written = position(
        &calls,
        "fsync of the results",
        |call| matches!(call, Call::Synced(path) if path.to_str().is_some_and(|path| path.contains(name))),
    );
    let directory = synced(&calls, results.parent().unwrap());
    let row = server.dir.join("orchestrator.sqlite-wal");
    let told = position(
        &calls,
        "the answer that it has ended",
        |call| matches!(call, Call::Sent(text) if text.contains("200 OK")),
    );
    let rows_between = calls[directory..told].iter().filter(|call| **call == Call::Synced(row.clone())).count();
    assert!(written < directory && directory < told && rows_between > 0, "{calls:#?}");
}
