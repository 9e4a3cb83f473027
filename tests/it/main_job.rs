//! A job goes from upload to results.

use crate::harness::{Bed, Form, Gate, unzip};

#[tokio::test]
async fn a_job_goes_from_upload_to_results() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    // A job that is over within some milliseconds may be told as ended at once.
    let gate = Gate::new(&bed, "gate");
    let form = Form::new(7)
        .script(&format!("mkdir -p deep/er\ncat 'in put.txt' > deep/er/out.txt\necho said\n{}", gate.wait()))
        .file("in put.txt", "given");
    let id = server.submit(form).await;
    server.reached(id, "Running").await;
    gate.open();
    let job = server.ended(id).await;
    assert_eq!(job.path(), ["Queued", "Processing", "Submitted", "Running", "Completed"], "{:#}", job.0);
    let files = unzip(&server.download(id).await.body);
    assert_eq!(files["deep/er/out.txt"], b"given");
    assert_eq!(files["in put.txt"], b"given");
    assert_eq!(files[".orchestrator.log"], b"said\n");
    assert!(files.contains_key("run.sh"));
}
