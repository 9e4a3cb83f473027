//! What operators say about clients, pools and instances is done, kept over restarts, and never harms a job unless they say
//! that too; and what they are told is true. Over HTTP and on the command line.

use serde_json::Value;

use crate::harness::{Bed, Form, Gate, ServerNode, command, example};

/// The scripts of these tests speak with the test by files outside.
const OPEN: [(&str, &str); 1] = [("ORCHESTRATOR_NO_ISOLATION", "true")];

/// A pool of processes that changes its mind at once. An instance costs one an hour.
fn burst(pool: &str) -> String {
    format!(
        "[service.example]\nruns_per_user = 10\nmax_runs = 10\n
        [pool.burst]\nservices = [\"example\"]\nprovider = \"process\"\nslots = 1\ncooldown_up_seconds = 0
        cooldown_down_seconds = 0\nidle_seconds = 1\nminimum_life_seconds = 0
        instance_types = [{{ type = \"small\", price_per_hour = 3600 }}]\n{pool}\n"
    )
}

fn run(server: &ServerNode, line: &str) -> std::process::Output {
    let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
    let env = [("ORCHESTRATOR_SERVER", server.url.as_str()), ("USER", "ann")];
    command(&args, &env.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap()
}

/// What a command printed; it must have gone well.
fn told(server: &ServerNode, line: &str) -> String {
    let output = run(server, line);
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it complained; it must have failed with 1.
fn complained(server: &ServerNode, line: &str) -> String {
    let output = run(server, line);
    assert_eq!(output.status.code(), Some(1), "{line}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

fn lines_of_json(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn live(server: &ServerNode) -> Vec<Value> {
    server.get("/api/v1/instances?state=live").await.json()["instances"].as_array().unwrap().clone()
}

async fn live_until(server: &ServerNode, what: &str, is_so: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    server
        .until(what, async || {
            let live = live(server).await;
            if is_so(&live) { Ok(live) } else { Err(format!("{live:#?}")) }
        })
        .await
}

async fn pool(server: &ServerNode) -> Value {
    server.get("/api/v1/pools").await.json()["pools"][0].clone()
}

async fn waits_for(server: &ServerNode, id: domain::JobId, code: &str) -> Value {
    server
        .until(&format!("job {id} waits: {code}"), async || {
            let job = server.job(id).await;
            if job.0["reason"]["code"] == code { Ok(job.0["reason"].clone()) } else { Err(job.0.to_string()) }
        })
        .await
}

#[tokio::test]
async fn without_pools_there_is_nothing_to_tell_and_nothing_to_order() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    assert_eq!(server.get("/api/v1/pools").await.json()["pools"], serde_json::json!([]));
    assert_eq!(server.get("/api/v1/instances").await.json()["instances"], serde_json::json!([]));
    assert_eq!(server.get("/api/v1/scaling").await.json()["decisions"], serde_json::json!([]));
    assert_eq!(server.get("/api/v1/costs").await.json()["total"], 0.0);
    for (path, code) in [
        ("/api/v1/pools/burst/resume", "no-such-pool"),
        ("/api/v1/pools/burst/pause", "no-such-pool"),
        ("/api/v1/instances/7/drain", "no-such-instance"),
        ("/api/v1/instances/7/undrain", "no-such-instance"),
        ("/api/v1/instances/7/protect", "no-such-instance"),
        ("/api/v1/instances/7/unprotect", "no-such-instance"),
        ("/api/v1/clients/drain?name=http://nobody:1", "no-such-client"),
        ("/api/v1/clients/drain?name=http://nobody:1&deadline_seconds=1", "no-such-client"),
        ("/api/v1/clients/undrain?name=http://nobody:1", "no-such-client"),
    ] {
        let problem = server.post(path).await.problem(404);
        assert!(problem["code"] == code && problem["remedy"].is_string(), "{path}: {problem:#}");
    }
    for path in [
        "/api/v1/instances?state=asleep",
        "/api/v1/instances?limit=0",
        "/api/v1/instances?cursor=x",
        "/api/v1/scaling?pool=No%20pool",
    ] {
        assert_eq!(server.get(path).await.problem(400)["code"], "bad-parameter", "{path}");
    }
    assert_eq!(told(&server, "pool"), "no pool is configured\n");
    assert_eq!(told(&server, "instances"), "there is no instance\n");
    assert_eq!(told(&server, "pool history"), "nothing was decided yet\n");
    assert_eq!([told(&server, "pool --json"), told(&server, "instances --json")], ["", ""]);
    let error = complained(&server, "pool resume burst");
    assert!(error.contains("pool = burst") && error.contains("`job-orchestrator pool` lists them"), "{error}");
    let error = complained(&server, "instances drain 7");
    assert!(error.contains("id = 7") && error.contains("`job-orchestrator instances`"), "{error}");
    assert_eq!(run(&server, "pool resume No!").status.code(), Some(2));
}

#[tokio::test]
async fn drained_client_gets_no_work_over_restarts_until_it_is_undrained() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = bed.server_with(&example(&[&client], ""), &[]);
    let gate = Gate::new(&bed, "gate");
    let running = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(running, "Running").await;
    let line = told(&server, &format!("clients drain {}", client.url));
    assert!(line.contains("draining") && line.contains("operator: ann"), "{line}");
    let waiting = server.submit(Form::new(2).script("true")).await;
    waits_for(&server, waiting, "client-draining").await;
    server.stop();
    server.start();
    waits_for(&server, waiting, "client-draining").await;
    gate.open();
    assert_eq!(server.ended(running).await.status(), "Completed", "what runs there goes on");
    let list = told(&server, "clients --json");
    assert!(lines_of_json(&list)[0]["reason"] == "operator: ann", "{list}");
    assert_eq!(server.job(waiting).await.status(), "Queued");
    told(&server, &format!("clients undrain {}", client.url));
    assert_eq!(server.ended(waiting).await.status(), "Completed");
    let error = complained(&server, &format!("clients drain {} --deadline-seconds 1", client.url));
    assert!(error.contains("no instance of a pool") && error.contains("leave the deadline out"), "{error}");
    assert_eq!(lines_of_json(&told(&server, "clients --json"))[0]["state"], "ready", "a refused order does nothing");
}

#[tokio::test]
async fn paused_pool_launches_nothing_and_says_so_until_it_is_resumed() {
    let bed = Bed::new();
    let mut server = bed.server_with(&burst("max = 2"), &OPEN);
    let table = told(&server, "pool pause burst");
    assert!(table.contains("paused (operator): nothing is launched; `job-orchestrator pool resume burst`"), "{table}");
    let id = server.submit(Form::new(1).script("true")).await;
    let reason = waits_for(&server, id, "pool-paused").await;
    assert_eq!(reason["text"], "pool burst launches nothing until it is resumed: operator");
    let explained = told(&server, &format!("explain {id}"));
    assert!(explained.contains("`pool resume` ends the pause"), "{explained}");
    server.stop();
    server.start();
    waits_for(&server, id, "pool-paused").await;
    assert_eq!((pool(&server).await["paused"].clone(), live(&server).await.len()), ("operator".into(), 0));
    let resumed = lines_of_json(&told(&server, "pool resume burst --json"));
    assert!(resumed[0]["name"] == "burst" && resumed[0]["paused"].is_null(), "{resumed:#?}");
    assert_eq!(server.ended(id).await.status(), "Completed");
    live_until(&server, "it is gone", <[Value]>::is_empty).await;
}

#[tokio::test]
async fn decisions_instances_and_costs_are_told_as_they_were() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("max = 1\nmax_cost_per_hour = 10000"), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let held = server.submit(Form::new(7).script(&gate.wait())).await;
    server.reached(held, "Running").await;
    let late = server.submit(Form::new(8).script("true")).await;
    let there = live(&server).await;
    let [instance] = &there[..] else { panic!("{there:#?}") };
    let told_of = |field: &str| instance[field].as_str().unwrap_or_default().to_owned();
    assert_eq!(
        ["pool", "state", "provider", "type"].map(told_of),
        ["burst", "ready", "process", "small"],
        "{instance:#}"
    );
    assert!(instance["running"] == 1 && instance["client"].is_string() && instance["provider_id"].is_string());
    let pool = pool(&server).await;
    assert_eq!((&pool["live"], &pool["ready"], &pool["max"]), (&1.into(), &1.into(), &1.into()), "{pool:#}");
    assert_eq!((&pool["cost_per_hour"], &pool["max_cost_per_hour"]), (&3600.0.into(), &10_000.0.into()), "{pool:#}");
    let table = told(&server, "pool");
    assert!(table.contains("1/1") && table.contains("3600.00/10000.00"), "{table}");
    let table = told(&server, "instances");
    assert!(table.lines().nth(1).unwrap().split_whitespace().take(3).eq(["1", "burst", "ready"]), "{table}");
    gate.open();
    server.ended(held).await;
    server.ended(late).await;
    live_until(&server, "it is gone", <[Value]>::is_empty).await;
    let gone = lines_of_json(&told(&server, "instances --all --json"));
    assert!(gone.iter().all(|instance| instance["state"] == "gone" && instance["why"].is_string()), "{gone:#?}");
    assert!(gone.last().unwrap()["cost"].as_f64().unwrap() > 0.0, "{gone:#?}");
    assert_eq!(told(&server, "instances"), "there is no instance\n");

    let decisions = lines_of_json(&told(&server, "pool history burst --json --limit 1000"));
    let did_something = |decision: &&Value| decision["actions"].as_array().is_some_and(|actions| !actions.is_empty());
    let first = decisions.iter().rev().find(did_something).unwrap();
    assert_eq!(
        (&first["pool"], &first["demand"], &first["waiting"]),
        (&"burst".into(), &1.into(), &1.into()),
        "{first:#}"
    );
    assert_eq!((&first["actions"][0]["action"], &first["actions"][0]["instance"]), (&"launch".into(), &1.into()));
    let did: Vec<&str> = decisions
        .iter()
        .flat_map(|decision| decision["actions"].as_array().unwrap())
        .filter_map(|action| action["action"].as_str())
        .collect();
    assert!(did.contains(&"drain") && did.contains(&"terminate"), "{decisions:#?}");
    let words = told(&server, "pool history");
    assert!(words.contains("launch 1: ") && words.contains("1 jobs waited for 1 more instances"), "{words}");

    let costs = server.get("/api/v1/costs").await.json();
    let sum = |value: &Value| value.as_f64().unwrap();
    let shares = costs["shares"].as_array().unwrap();
    let of = |user: i64| shares.iter().find(|share| share["user"] == user).map_or(0.0, |share| sum(&share["cost"]));
    assert!(of(7) > 0.0 && shares[0]["service"] == "example", "{costs:#}");
    let all: f64 = shares.iter().map(|share| sum(&share["cost"])).sum::<f64>() + sum(&costs["idle"]);
    assert!((all - sum(&costs["total"])).abs() < 0.01, "{costs:#}");
    assert!((sum(&costs["pools"]["burst"]) - sum(&costs["total"])).abs() < 0.01, "{costs:#}");
    let later = server.get("/api/v1/costs?since=2099-01-01T00:00:00Z").await.json();
    assert_eq!(later["total"], 0.0);
}

#[tokio::test]
async fn protected_instance_stays_idle_until_it_is_unprotected() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("max = 1"), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    let line = told(&server, "instances protect 1");
    assert!(line.contains("ready (protected)"), "{line}");
    let error = complained(&server, "instances drain 1");
    assert!(error.contains("protected") && error.contains("`job-orchestrator instances unprotect`"), "{error}");
    gate.open();
    server.ended(id).await;
    // The policy wants it away after a second; that it asked is what is waited for.
    server
        .until("a drain was held back", async || {
            let decisions = server.get("/api/v1/scaling?pool=burst").await.json();
            if decisions.to_string().contains("protected") { Ok(()) } else { Err(format!("{decisions:#}")) }
        })
        .await;
    assert_eq!(live(&server).await[0]["state"], "ready");
    told(&server, "instances unprotect 1");
    live_until(&server, "it is gone", <[Value]>::is_empty).await;
}

#[tokio::test]
async fn drained_instance_ends_after_its_jobs_and_can_be_called_back() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("max = 1\nidle_seconds = 1000").replace("idle_seconds = 1\n", ""), &OPEN);
    let gate = Gate::new(&bed, "gate");
    let id = server.submit(Form::new(1).script(&gate.wait())).await;
    server.reached(id, "Running").await;
    let line = told(&server, "instances drain 1");
    assert!(line.contains("draining") && line.contains("operator"), "{line}");
    told(&server, "instances undrain 1");
    live_until(&server, "it is back", |all| all[0]["state"] == "ready").await;
    told(&server, "instances drain 1 --json");
    gate.open();
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(1)), "{:#}", job.0);
    live_until(&server, "it is gone", <[Value]>::is_empty).await;
}

#[tokio::test]
async fn drain_with_a_deadline_ends_what_is_busy_and_its_job_runs_again() {
    let bed = Bed::new();
    let server = bed.server_with(&burst("max = 1"), &OPEN);
    let once = bed.path().join("once");
    let script = format!("[ -e {0} ] && exit 0; touch {0}; sleep 1000", once.display());
    let id = server.submit(Form::new(1).script(&script)).await;
    server.until("it runs", async || once.metadata().map_err(|error| error.to_string())).await;
    let line = told(&server, "instances drain 1 --deadline-seconds 1");
    assert!(line.contains("draining"), "{line}");
    let job = server.ended(id).await;
    assert_eq!((job.status(), job.0["attempt"].as_u64()), ("Completed", Some(2)), "{:#}", job.0);
    let first = lines_of_json(&told(&server, "instances --all --json")).pop().unwrap();
    assert!(first["why"].as_str().unwrap().contains("deadline"), "{first:#}");
    live_until(&server, "all are gone", <[Value]>::is_empty).await;
}
