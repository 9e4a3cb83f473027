//! A script ends by its wall time at the latest: the job's own, and never more than its service allows.

use crate::harness::{Bed, Form, Job, example};

fn is_over_time(job: &Job, limit: &str) {
    assert_eq!((job.status(), &job.0["outcome"]["kind"]), ("Failed", &"limit".into()), "{:#}", job.0);
    assert!(job.0["outcome"]["text"].as_str().unwrap().contains(limit), "{:#}", job.0);
}

#[tokio::test]
async fn a_script_ends_at_the_wall_time_that_its_job_asked_for() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "2", "--kill-grace-seconds", "1"]);
    let server = bed.server(&[&client]);
    let id =
        server.submit(Form::new(1).field("walltime", "1").script("echo here > out.txt\nsleep 60 & sleep 60")).await;
    let job = server.ended(id).await;
    is_over_time(&job, "wall time 1 s");
    assert_eq!(job.0["walltime"], 1);
    let left = server.get(&format!("/download_partial/{id}")).await;
    assert_eq!(crate::harness::unzip(&left.body)["out.txt"], b"here\n", "what it had made is there");
}

#[tokio::test]
async fn a_service_bounds_every_job_and_refuses_to_be_asked_for_more() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "2", "--kill-grace-seconds", "1"]);
    let server = bed.server_with(&example(&[&client], "walltime_seconds = 1"), &[]);
    is_over_time(&server.ended(server.submit(Form::new(1).script("sleep 60")).await).await, "wall time 1 s");
    for wrong in ["2", "0", "-1", "long"] {
        let problem = server.upload(Form::new(1).field("walltime", wrong).script("true")).await.problem(400);
        assert_eq!((&problem["field"], &problem["value"]), (&"walltime".into(), &wrong.into()), "{problem}");
    }
    let id = server.submit(Form::new(1).field("walltime", "1").script("true")).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
}
