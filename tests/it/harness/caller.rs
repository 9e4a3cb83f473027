//! The test as the server of a client: the calls of the protocol, with no server there.

use std::path::{Path, PathBuf};
use std::time::Instant;

use domain::{AssignmentId, End, JobId};
use job_orchestrator::client::record::{self, Recorded};
use job_orchestrator::protocol::{
    ASSIGNMENT_HEADER, AttemptStatus, ClientEvent, EventPage, EventsQuery, FORMER_SERVERS_HEADER, JobLimits, Network,
    Refusal, SERVER_HEADER, Submission, What,
};
use reqwest::Method;

use super::{Answer, ClientNode, Form, PATIENCE};

/// The test as the server of the client at `url`.
#[derive(Clone)]
pub struct Caller {
    /// Its own: a pool would keep connections to a client that was started again.
    http: reqwest::Client,
    url: String,
    jobs: PathBuf,
    server: &'static str,
    former: &'static str,
}

pub fn new_id() -> AssignmentId {
    let mut random = [0; 16];
    getrandom::fill(&mut random).unwrap();
    AssignmentId::from_random(random)
}

/// What the server says of `id`.
pub fn spec(id: AssignmentId) -> Submission {
    Submission {
        assignment: id,
        job: JobId(1),
        attempt: 1,
        user: 7.try_into().unwrap(),
        service: "example".parse().unwrap(),
        slots: 1,
        walltime_ms: None,
        stop_after_ms: None,
        trusted: false,
        network: Network::Host,
        limits: JobLimits::default(),
        parameters: false,
    }
}

/// A payload as the server sends it, without files yet.
pub fn form_of(spec: &Submission) -> Form {
    Form::default().field("spec", &serde_json::to_string(spec).unwrap())
}

pub fn form(id: AssignmentId, slots: u32) -> Form {
    form_of(&Submission { slots, ..spec(id) })
}

impl Caller {
    pub fn new(client: &ClientNode) -> Self {
        Self {
            http: job_orchestrator::tls::http().unwrap().build().unwrap(),
            url: client.url.clone(),
            jobs: client.dir.join("jobs"),
            server: "server-one",
            former: "",
        }
    }

    /// The same under another server id.
    pub fn under(&self, server: &'static str) -> Self {
        Self { server, ..self.clone() }
    }

    /// The same after a restore, with the ids that it had before.
    pub fn restored(&self, server: &'static str, former: &'static str) -> Self {
        Self { server, former, ..self.clone() }
    }

    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.url)).header(SERVER_HEADER, self.server);
        if self.former.is_empty() { request } else { request.header(FORMER_SERVERS_HEADER, self.former) }
    }

    pub async fn get(&self, path: &str) -> Answer {
        Answer::read(self.request(Method::GET, path).send().await.unwrap()).await
    }

    pub async fn submit(&self, id: AssignmentId, form: Form) -> Answer {
        let request = self.request(Method::POST, "/submit").header(ASSIGNMENT_HEADER, id.to_string());
        Answer::read(request.header("content-type", Form::content_type()).body(form.finished()).send().await.unwrap())
            .await
    }

    /// Submits a script that must be taken.
    pub async fn start(&self, script: &str) -> AssignmentId {
        self.start_as(&spec(new_id()), script).await
    }

    /// Submits a script that must be taken, with all that the server says of it.
    pub async fn start_as(&self, spec: &Submission, script: &str) -> AssignmentId {
        let answer = self.submit(spec.assignment, form_of(spec).script(script)).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        spec.assignment
    }

    pub async fn kill(&self, id: AssignmentId) -> Answer {
        Answer::read(self.request(Method::POST, &format!("/kill/{id}")).send().await.unwrap()).await
    }

    pub async fn events(&self, query: &EventsQuery) -> EventPage {
        let answer = Answer::read(self.request(Method::GET, "/events").query(query).send().await.unwrap()).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    /// Listens until `found` sees what it looks for among the latest events.
    pub async fn hears<T>(&self, what: &str, found: impl Fn(&ClientEvent) -> Option<T>) -> T {
        let start = Instant::now();
        let mut query = EventsQuery { wait_ms: 5_000, ..EventsQuery::default() };
        let mut heard = Vec::new();
        while start.elapsed() < PATIENCE {
            let page = self.events(&query).await;
            query.incarnation = Some(page.incarnation);
            query.page = Some(page.page);
            for event in page.events {
                query.after = query.after.max(event.seq);
                if let Some(found) = found(&event) {
                    return found;
                }
                heard.push(event);
            }
        }
        panic!("never heard: {what}; heard {heard:?}");
    }

    pub async fn end(&self, id: AssignmentId) -> End {
        self.hears("the end", |event| match &event.what {
            What::Ended { end, .. } if event.assignment == id => Some(end.clone()),
            _ => None,
        })
        .await
    }

    pub async fn started(&self, id: AssignmentId) {
        self.hears("the start", |event| (event.assignment == id && event.what == What::Started).then_some(())).await;
    }

    pub fn dir(&self, id: AssignmentId) -> PathBuf {
        self.jobs.join(id.to_string())
    }
}

pub fn recorded(dir: &Path) -> Recorded {
    record::read(dir).unwrap().unwrap()
}

pub fn refusal(answer: &Answer, status: u16) -> String {
    assert_eq!(answer.status.as_u16(), status, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice::<Refusal>(&answer.body).unwrap().code
}

pub fn status(answer: &Answer, code: u16) -> String {
    assert_eq!(answer.status.as_u16(), code, "{}", String::from_utf8_lossy(&answer.body));
    serde_json::from_slice::<AttemptStatus>(&answer.body).unwrap().status
}

/// Waits for a directory, or for a file with something in it.
pub async fn wait_for_file(path: PathBuf) {
    let is_there = |found: &std::fs::Metadata| found.is_dir() || found.len() > 0;
    wait_for(&format!("{} is there", path.display()), || path.metadata().ok().filter(is_there)).await;
}

/// Looks until `look` finds what it looks for.
pub async fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "never: {what}");
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
}
