//! A wall clock may be set to anything at any moment: nothing is lost, hurried, held up or cleaned early by it.

use std::time::{Duration, Instant};

use domain::JobId;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc2822;

use crate::harness::{Bed, ClientNode, Form, Gate, Record, ServerNode, WallClock, example};

const DAY: i64 = 86_400;
/// A day ahead and back, and a day behind and back.
const COURSE: [i64; 4] = [DAY, 0, -DAY, 0];

fn client(bed: &Bed, name: &str, clock: &WallClock) -> ClientNode {
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
    bed.steady_client(name, &["--slots", "4"], &environment)
}

fn server(bed: &Bed, config: &str, clock: &WallClock) -> ServerNode {
    let environment = clock.environment();
    let environment: Vec<_> = environment.iter().map(|(key, value)| (*key, value.as_str())).collect();
    bed.steady_server(config, &environment)
}

/// Sets the clock, and sees that the process at `url` goes by it: it dates its answers, though never earlier than the
/// one before.
async fn set(server: &ServerNode, clock: &WallClock, url: &str, seconds: i64) {
    clock.set(seconds);
    if seconds <= 0 {
        return;
    }
    let http = job_orchestrator::tls::http().unwrap().build().unwrap();
    server
        .until(&format!("the clock of {url} is {seconds} s off"), async || {
            let answer = http.get(format!("{url}/health")).send().await.unwrap();
            let told = answer.headers()["date"].to_str().unwrap().to_owned();
            // RFC 2822 names the zone otherwise than HTTP does.
            let told = OffsetDateTime::parse(&told.replace("GMT", "+0000"), &Rfc2822).unwrap();
            let off = (told - OffsetDateTime::now_utc()).whole_seconds() - seconds;
            if off.abs() < 60 { Ok(()) } else { Err(format!("{told}")) }
        })
        .await;
}

async fn completed_at_once(server: &ServerNode, id: JobId) {
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    assert!(!job.path().contains(&"Unknown"), "{:#}", job.0);
}

#[tokio::test]
async fn jobs_are_neither_lost_nor_repeated_when_wall_clocks_jump() {
    let bed = Bed::new();
    let (ours, theirs) = (WallClock::new(&bed, "server"), WallClock::new(&bed, "client"));
    let client = client(&bed, "client", &theirs);
    let server = server(&bed, &example(&[&client], "runs_per_user = 2"), &ours);
    let (gate, record) = (Gate::new(&bed, "gate"), Record::new(&bed));
    let held = server.submit(Form::new(0).script(&record.around("held", &gate.wait()))).await;
    let mut ids = vec![held];
    for (round, seconds) in COURSE.into_iter().enumerate() {
        for number in 1..=10 {
            let script = record.around(&format!("{round}.{number}"), "sleep 0.2");
            ids.push(server.submit(Form::new(number).script(&script)).await);
        }
        // In the middle of them, one clock after the other.
        set(&server, &ours, &server.url, seconds).await;
        set(&server, &theirs, &client.url, seconds).await;
        for id in ids.split_off(1) {
            completed_at_once(&server, id).await;
        }
    }
    gate.open();
    completed_at_once(&server, held).await;
    assert_eq!(record.begun().len(), 41);
}

#[tokio::test]
async fn a_wait_takes_its_time_when_the_wall_clock_jumps() {
    let bed = Bed::new();
    let (ours, theirs) = (WallClock::new(&bed, "server"), WallClock::new(&bed, "client"));
    let client = client(&bed, "client", &theirs);
    let server = server(&bed, &example(&[&client], ""), &ours);
    let gate = Gate::new(&bed, "gate");
    let held = server.submit(Form::new(0).script(&gate.wait())).await;
    server.reached(held, "Running").await;
    for seconds in COURSE {
        let begun = Instant::now();
        let path = format!("/api/v1/jobs/{held}?wait_seconds=3");
        let (job, ()) = tokio::join!(server.get(&path), set(&server, &ours, &server.url, seconds));
        let took = begun.elapsed();
        assert_eq!(job.json()["status"], "Running");
        assert!((3.0..6.0).contains(&took.as_secs_f64()), "a wait of 3 s took {took:?} with a clock {seconds} s off");
    }
    gate.open();
    completed_at_once(&server, held).await;
}

#[tokio::test]
async fn a_silent_client_is_given_up_after_its_time_when_the_wall_clock_jumps() {
    let bed = Bed::new();
    let ours = WallClock::new(&bed, "server");
    let mut clients =
        [bed.steady_client("one", &["--slots", "1"], &[]), bed.steady_client("two", &["--slots", "1"], &[])];
    let config = example(&[&clients[0], &clients[1]], "") + "[server]\nlost_after_seconds = 4\n";
    let server = server(&bed, &config, &ours);
    for seconds in [DAY, -DAY] {
        let (gate, record) = (Gate::new(&bed, &format!("gate{seconds}")), Record::new(&bed));
        let id = server.submit(Form::new(0).script(&record.around(&seconds.to_string(), &gate.wait()))).await;
        let job = server.reached(id, "Running").await;
        let lost = clients.iter_mut().find(|client| job.0["client"] == client.url).unwrap();
        let begun = Instant::now();
        lost.kill();
        set(&server, &ours, &server.url, seconds).await;
        server
            .until("it runs again elsewhere", async || {
                let job = server.job(id).await;
                if job.0["attempt"] == 2 { Ok(()) } else { Err(format!("{:#}", job.0)) }
            })
            .await;
        let took = begun.elapsed();
        assert!((4.0..15.0).contains(&took.as_secs_f64()), "4 s of silence took {took:?} with a clock {seconds} s off");
        gate.open();
        assert_eq!(server.ended(id).await.status(), "Completed");
        lost.start();
        server.ended(server.submit(Form::new(1).script("true")).await).await;
    }
}

#[tokio::test]
async fn files_are_kept_for_their_time_when_the_wall_clock_jumps() {
    const MAX_AGE: Duration = Duration::from_secs(6);
    let bed = Bed::new();
    let ours = WallClock::new(&bed, "server");
    let client = bed.client("client");
    let config = example(&[&client], "") + &format!("[server]\nmax_age_seconds = {}\n", MAX_AGE.as_secs());
    let server = server(&bed, &config, &ours);
    for seconds in COURSE {
        let id = server.submit(Form::new(0).script("true")).await;
        let before_its_end = Instant::now();
        completed_at_once(&server, id).await;
        set(&server, &ours, &server.url, seconds).await;
        // The end of another lets the server look at once for what is old.
        completed_at_once(&server, server.submit(Form::new(1).script("true")).await).await;
        server
            .until("the job is cleaned", async || {
                let job = server.job(id).await;
                if job.status() == "Cleaned" { Ok(()) } else { Err(job.status().to_owned()) }
            })
            .await;
        let kept = before_its_end.elapsed();
        assert!(kept >= MAX_AGE, "kept for {kept:?} only, with a clock {seconds} s off");
    }
}
