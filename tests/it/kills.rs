//! A kill that was answered is carried out, and what was killed or refused never starts late, whatever dies meanwhile.

use domain::{AssignmentId, End};
use job_orchestrator::protocol::{ASSIGNMENT_HEADER, SERVER_HEADER};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::harness::caller::{Caller, form, new_id, recorded, refusal, status, wait_for, wait_for_file};
use crate::harness::{Bed, ClientNode, Form, child_named};

fn launcher(client: &ClientNode) -> Pid {
    child_named(client.process.as_ref().unwrap().pid(), "jo-launcher")
}

#[tokio::test]
async fn kill_of_what_never_came_keeps_it_out_also_after_a_restart() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = new_id();
    assert_eq!(refusal(&caller.kill(id).await, 404), "no-such-assignment");
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("")).await, 409), "killed");
    client.kill();
    client.start();
    let caller = Caller::new(&client);
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("")).await, 409), "killed");
    assert_eq!(std::fs::read_dir(client.dir.join("trash")).unwrap().count(), 0);
}

#[tokio::test]
async fn refused_assignment_does_not_come_late() {
    let bed = Bed::new();
    let client = bed.client_with("client", &["--slots", "1"]);
    let caller = Caller::new(&client);
    let id = new_id();
    assert_eq!(refusal(&caller.submit(id, form(id, 2).script("")).await, 503), "no-free-slot");
    assert_eq!(refusal(&caller.submit(id, form(id, 1).script("")).await, 409), "killed");
}

#[tokio::test]
async fn kill_of_an_attempt_that_is_about_to_start_is_carried_out_by_the_next_incarnation() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let launcher = launcher(&client);
    kill(launcher, Signal::SIGSTOP).unwrap();
    let id = caller.start("echo run >> runs").await;
    assert_eq!(status(&caller.kill(id).await, 200), "running");
    client.kill();
    kill(launcher, Signal::SIGKILL).unwrap();
    client.start();
    let caller = Caller::new(&client);
    assert_eq!(caller.end(id).await, End::Killed);
    assert_eq!(recorded(&caller.dir(id)).keeper, None);
}

#[tokio::test]
async fn kill_that_the_keeper_has_is_carried_out_though_the_client_is_dead() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("trap '' TERM; echo $$ > pid; while :; do sleep 0.05; done").await;
    wait_for_file(caller.dir(id).join("work/pid")).await;
    assert_eq!(status(&caller.kill(id).await, 200), "running");
    client.kill();
    client.start();
    let caller = Caller::new(&client);
    assert_eq!(caller.end(id).await, End::Killed);
    let pid = std::fs::read_to_string(caller.dir(id).join("work/pid")).unwrap();
    assert!(kill(Pid::from_raw(pid.trim().parse().unwrap()), None).is_err());
}

#[tokio::test]
async fn recorded_end_is_the_end_though_a_kill_came_before_the_client_saw_it() {
    let bed = Bed::new();
    let mut client = bed.client("client");
    let caller = Caller::new(&client);
    let id = caller.start("until [ -e go ]; do sleep 0.01; done; exit 4").await;
    caller.started(id).await;
    let pid = Pid::from_raw(client.process.as_ref().unwrap().pid().cast_signed());
    // Frozen, the client sees nothing of the end; the kill waits in its socket.
    kill(pid, Signal::SIGSTOP).unwrap();
    std::fs::write(caller.dir(id).join("work/go"), "").unwrap();
    wait_for("the end is recorded", || recorded(&caller.dir(id)).exit).await;
    let asked = caller.kill(id);
    let (answer, ()) = tokio::join!(asked, async { kill(pid, Signal::SIGCONT).unwrap() });
    assert_eq!(answer.status, 200);
    assert_eq!(caller.end(id).await, End::Exit(4));
    client.kill();
    client.start();
    assert_eq!(Caller::new(&client).end(id).await, End::Exit(4));
}

/// A submit of which only a part was sent.
struct Half {
    stream: TcpStream,
    rest: Vec<u8>,
}

impl Half {
    async fn send(client: &ClientNode, id: AssignmentId, payload: Form) -> Self {
        let address = client.url.strip_prefix("http://").unwrap();
        let body = payload.finished();
        let head = format!(
            "POST /submit HTTP/1.1\r\nhost: {address}\r\n{SERVER_HEADER}: server-one\r\n{ASSIGNMENT_HEADER}: {id}\r\n\
             content-type: {}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
            Form::content_type(),
            body.len()
        );
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(head.as_bytes()).await.unwrap();
        let (half, rest) = body.split_at(body.len() / 2);
        stream.write_all(half).await.unwrap();
        let dir = client.dir.join("jobs").join(id.to_string());
        wait_for_file(dir).await;
        Self { stream, rest: rest.to_vec() }
    }

    async fn send_rest(mut self) -> String {
        self.stream.write_all(&self.rest).await.unwrap();
        let mut answer = String::new();
        self.stream.read_to_string(&mut answer).await.unwrap();
        answer
    }
}

/// A submission that does not fit into what a connection buffers.
fn large() -> (AssignmentId, Form) {
    let id = new_id();
    (id, form(id, 1).script("echo run >> runs").file("large", vec![b'x'; 2_000_000]))
}

#[tokio::test]
async fn kill_while_the_payload_arrives_ends_the_attempt_before_it_starts() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let (id, payload) = large();
    let half = Half::send(&client, id, payload).await;
    let (killed, submitted) = tokio::join!(caller.kill(id), half.send_rest());
    assert_eq!(status(&killed, 200), "ended");
    assert!(submitted.starts_with("HTTP/1.1 200"), "{submitted}");
    assert_eq!(caller.end(id).await, End::Killed);
    assert_eq!(recorded(&caller.dir(id)).keeper, None);
}

#[tokio::test]
async fn kill_of_a_payload_that_breaks_off_keeps_it_out() {
    let bed = Bed::new();
    let client = bed.client("client");
    let caller = Caller::new(&client);
    let (id, payload) = large();
    let half = Half::send(&client, id, payload.clone()).await;
    let (killed, ()) = tokio::join!(caller.kill(id), async { drop(half) });
    assert_eq!(refusal(&killed, 404), "no-such-assignment");
    assert_eq!(refusal(&caller.submit(id, payload).await, 409), "killed");
    assert!(!caller.dir(id).exists());
}
