//! Jobs in boxes, all the way from an upload to its results, over the restarts of their client.

use crate::harness::caller::{Caller, form, new_id, recorded, spec, wait_for_file};
use crate::harness::{Bed, Form, Record, command_without, example, unzip, without_boxes};
use domain::End;
use job_orchestrator::protocol::Submission;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::process::Stdio;

#[tokio::test]
async fn results_of_a_boxed_job_are_its_own_files_and_nothing_else() {
    let bed = Bed::new();
    let client = bed.isolated_client("client", &[]);
    let server = bed.server(&[&client]);
    let secret = bed.path().join("client/secret");
    std::fs::write(&secret, "of the client\n").unwrap();
    let script = format!(
        "mkdir out; echo done > out/file; ln -s {0} link; ln {0} hard; ln -s /etc/passwd passwd; ln -s out dir
        mkfifo fifo; chmod 000 out/file; mkdir closed; echo in > closed/in; chmod 000 closed; cat {0}; exit 0",
        secret.display()
    );
    let id = server.submit(Form::new(1).script(&script)).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
    let files = unzip(&server.download(id).await.body);
    assert_eq!(files["out/file"], b"done\n");
    assert_eq!(files["closed/in"], b"in\n");
    for name in ["link", "hard", "passwd", "fifo"] {
        assert!(!files.contains_key(name), "{name}");
    }
    assert!(files.values().all(|content| !String::from_utf8_lossy(content).contains("of the client")));
}

#[tokio::test]
async fn boxed_jobs_have_users_of_their_own_over_restarts_and_none_is_anothers() {
    let bed = Bed::new();
    let mut client = bed.isolated_client("client", &[]);
    let caller = Caller::new(&client);
    let script = "id -u > uid; until [ -e go ]; do sleep 0.01; done; exit 3";
    let mut jobs = vec![caller.start(script).await, caller.start(script).await];
    for id in &jobs {
        wait_for_file(caller.dir(*id).join("work/uid")).await;
    }
    client.kill();
    client.start();
    let caller = Caller::new(&client);
    jobs.push(caller.start(script).await);
    wait_for_file(caller.dir(jobs[2]).join("work/uid")).await;
    let users: Vec<u32> = jobs
        .iter()
        .map(|id| std::fs::read_to_string(caller.dir(*id).join("work/uid")).unwrap().trim().parse().unwrap())
        .collect();
    assert!(users[0] != users[1] && users[1] != users[2] && users[0] != users[2], "{users:?}");
    for (id, user) in jobs.iter().zip(users) {
        assert!(user > 65_535, "{user}");
        assert_eq!(recorded(&caller.dir(*id)).user, Some(user));
        std::fs::write(caller.dir(*id).join("work/go"), "").unwrap();
        assert_eq!(caller.end(*id).await, End::Exit(3));
        // Out of reach for whoever has the user next.
        let work = caller.dir(*id).join("work").metadata().unwrap();
        assert_eq!((work.uid(), work.mode() & 0o777), (0, 0o700));
    }
}

#[tokio::test]
async fn boxed_job_whose_directory_was_wiped_is_ended_before_anybody_is_served() {
    let bed = Bed::new();
    let mut client = bed.isolated_client("client", &[]);
    let caller = Caller::new(&client);
    let id = caller.start("echo > ready; sleep 1000").await;
    wait_for_file(caller.dir(id).join("work/ready")).await;
    assert!(!client.processes_of_jobs().is_empty());
    client.kill();
    std::fs::remove_dir_all(&client.dir).unwrap();
    client.start();
    assert_eq!(client.processes_of_jobs(), Vec::<String>::new());
}

/// The same jobs on the same machine, once in a box and once not: what a server sees of them is the same.
#[tokio::test]
async fn client_without_isolation_runs_jobs_as_itself() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let record = Record::new(&bed);
    let id = server.submit(Form::new(1).script(&record.around("job", "id -u > uid"))).await;
    assert_eq!(server.ended(id).await.status(), "Completed");
    let own = nix::unistd::getuid().to_string() + "\n";
    assert_eq!(unzip(&server.download(id).await.body)["uid"], own.as_bytes());
}

#[tokio::test]
async fn job_of_a_service_without_a_network_has_its_own_loopback_only() {
    let bed = Bed::new();
    let client = bed.isolated_client("client", &[]);
    let server = bed.server_with(&example(&[&client], "network = \"none\""), &[]);
    let port = client.url.rsplit(':').next().unwrap();
    let script = format!(
        "exec 2>&1; (exec 3<>/dev/tcp/127.0.0.1/{port}) && exit 8
        python3 -c 'import socket
listener = socket.create_server((\"127.0.0.1\", 5000)); socket.create_connection((\"127.0.0.1\", 5000))' || exit 9
        [ $(grep -c : /proc/net/dev) = 1 ]"
    );
    let id = server.submit(Form::new(1).script(&script)).await;
    let job = server.ended(id).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
}

#[tokio::test]
async fn job_does_not_reach_its_client_also_when_that_is_gone() {
    let bed = Bed::new();
    let mut client = bed.isolated_client("client", &[]);
    let caller = Caller::new(&client);
    let port = client.url.rsplit(':').next().unwrap().to_owned();
    let script = format!(
        "(exec 3<>/dev/tcp/127.0.0.1/{port}) 2>/dev/null && exit 8
        echo > ready; until [ -e go ]; do sleep 0.01; done
        python3 -c 'import socket; socket.create_server((\"127.0.0.1\", {port}))' && exit 9
        exit 3"
    );
    let id = caller.start(&script).await;
    wait_for_file(caller.dir(id).join("work/ready")).await;
    client.kill();
    std::fs::write(caller.dir(id).join("work/go"), "").unwrap();
    client.start();
    assert_eq!(Caller::new(&client).end(id).await, End::Exit(3));
}

#[tokio::test]
async fn client_that_can_make_no_box_refuses_scripts_that_are_not_trusted_and_says_what_to_do() {
    let bed = Bed::new();
    let client = without_boxes(|| bed.isolated_client("client", &[]));
    let caller = Caller::new(&client);
    let id = new_id();
    let refused = caller.submit(id, form(id, 1).script("echo > ran")).await;
    let told = String::from_utf8_lossy(&refused.body).into_owned();
    assert_eq!((refused.status.as_u16(), &refused.json()["code"]), (403, &"untrusted".into()), "{told}");
    for remedy in ["as root", "untrusted = false", "--no-isolation", "client check"] {
        assert!(told.contains(remedy), "{told}");
    }
    assert_eq!(client.attempts(), Vec::<std::path::PathBuf>::new());
    let trusted = Submission { trusted: true, ..spec(new_id()) };
    assert_eq!(caller.end(caller.start_as(&trusted, "exit 3").await).await, End::Exit(3));
}

#[tokio::test]
async fn remedy_reaches_who_asks_the_server_why_the_job_waits() {
    let bed = Bed::new();
    let client = without_boxes(|| bed.isolated_client("client", &[]));
    let server = bed.server(&[&client]);
    let id = server.submit(Form::new(1).script("true")).await;
    server
        .until("the job's reason names the remedy", async || {
            let job = server.job(id).await;
            let told = job.0.to_string();
            if told.contains("untrusted = false") { Ok(()) } else { Err(told) }
        })
        .await;
}

/// Root in most containers cannot mount.
#[test]
fn client_without_mounts_is_told_when_its_jobs_could_not_reach_their_files() {
    let bed = Bed::new();
    let closed = bed.path().join("closed");
    std::fs::DirBuilder::new().mode(0o700).create(&closed).unwrap();
    let data = closed.join("client");
    let args = ["client", "--listen", "127.0.0.1:0", "--data-dir", data.to_str().unwrap()].map(str::to_owned);
    let output = command_without("-sys_admin", &args, &[]).stderr(Stdio::piped()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success());
    assert!(told.contains(&format!("chmod o+x {}", closed.display())), "{told}");
}
