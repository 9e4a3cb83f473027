//! Operators look at policies, try and exchange them on the command line.

use std::process::Output;

use serde_json::Value;

use crate::harness::policies::{HOLDS, LOOPS_ON_MANY, TRAPS};
use crate::harness::{Bed, Form, ServerNode, command};

fn policy(server: &ServerNode, arguments: &[&str]) -> Output {
    run(server, &[&["policy"], arguments].concat())
}

fn run(server: &ServerNode, arguments: &[&str]) -> Output {
    let args: Vec<String> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
    let env = [("ORCHESTRATOR_SERVER", server.url.as_str()), ("USER", "ann")];
    command(&args, &env.map(|(key, value)| (key.to_owned(), value.to_owned())))
        .current_dir(server.dir.parent().unwrap())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .output()
        .unwrap()
}

/// What it printed; it must have gone well.
pub fn told(server: &ServerNode, arguments: &[&str]) -> String {
    let output = policy(server, arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What it complained; it must have failed with 1.
fn complained(server: &ServerNode, arguments: &[&str]) -> String {
    let output = policy(server, arguments);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8(output.stderr).unwrap()
}

#[tokio::test]
async fn the_list_is_a_table_for_people_and_lines_of_json_for_programs() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let table = told(&server, &["list"]);
    let lines: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(lines[0], ["KIND", "NAME", "VERSION", "DIGEST", "STATE", "FAULTS", "SERVICES"]);
    assert!(
        lines.iter().any(|line| line[..2] == ["quota", "round-robin"] && line[4..] == ["active", "0", "*"]),
        "{table}"
    );
    let json = told(&server, &["list", "--json"]);
    let first: Value = serde_json::from_str(json.lines().next().unwrap()).unwrap();
    assert_eq!(first["name"], "fair-share");
    assert!(told(&server, &["show", "fair-share"]).contains("setting half_life_hours (default 24.0)"));
    assert!(told(&server, &["wit"]).contains("package job-orchestrator:policy"));
}

#[tokio::test]
async fn a_file_is_activated_step_by_step_and_rolled_back() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    std::fs::write(bed.path().join("holds.wasm"), HOLDS.component()).unwrap();
    std::fs::write(bed.path().join("fair.toml"), "half_life_hours = 2\n").unwrap();
    let rehearsed = told(&server, &["activate", "holds.wasm", "--dry-run"]);
    assert!(rehearsed.contains("nothing changed; generation 0"), "{rehearsed}");
    let activated = told(&server, &["activate", "holds.wasm", "--if-generation", "0"]);
    let steps: Vec<&str> = activated.lines().filter_map(|line| line.split_whitespace().next()).take(5).collect();
    assert_eq!(steps, ["compile", "check", "configure", "rehearse", "commit"], "{activated}");
    assert!(activated.ends_with("in force as generation 1\n"), "{activated}");
    let stale = complained(&server, &["activate", "priority", "--if-generation", "0"]);
    assert!(stale.contains("generation 1 is in force"), "{stale}");

    let id = server.submit(Form::new(7).script("true")).await;
    server
        .until("the decision is told", async || {
            let decisions = told(&server, &["decisions"]);
            if decisions.contains("user 7 of example waits: not before noon") { Ok(()) } else { Err(decisions) }
        })
        .await;
    assert!(told(&server, &["rollback", "quota"]).ends_with("in force as generation 2\n"));
    server.ended(id).await;
    let set = ["activate", "fair-share", "--service", "example", "--settings", "fair.toml", "--set", "weights.7=2"];
    told(&server, &set);
    let shown = told(&server, &["show", "fair-share"]);
    assert!(shown.contains("set: half_life_hours = 2\n") && shown.contains("set: weights.7 = 2\n"), "{shown}");
    told(&server, &["unset", "quota", "--service", "example"]);
    let events = told(&server, &["events"]);
    assert!(events.lines().next().unwrap().contains("activated") && events.contains("by ann"), "{events}");
}

#[tokio::test]
async fn a_step_that_fails_is_told_with_the_reason_and_exit_code_1() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    std::fs::write(bed.path().join("traps.wasm"), TRAPS.component()).unwrap();
    std::fs::write(bed.path().join("text.wasm"), "hello").unwrap();
    let why = complained(&server, &["activate", "traps.wasm"]);
    assert!(why.contains("rehearse") && why.contains("it trapped"), "{why}");
    assert!(complained(&server, &["activate", "text.wasm"]).contains("no WASM component"));
    assert!(complained(&server, &["activate", "nobody"]).contains("policy list"));
    assert!(complained(&server, &["activate", "priority", "--set", "ageing_seconds=long"]).contains("configure"));
    assert_eq!(server.policies().await["generation"], 0);
}

#[tokio::test]
async fn a_candidate_is_replayed_and_run_beside_what_decides() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    std::fs::write(bed.path().join("holds.wasm"), HOLDS.component()).unwrap();
    assert!(complained(&server, &["shadow"]).contains("no candidate"));
    told(&server, &["shadow", "start", "holds.wasm"]);
    let id = server.submit(Form::new(7).script("true")).await;
    server.ended(id).await;
    server
        .until("the candidate was asked", async || {
            let account = told(&server, &["shadow"]);
            if account.contains("1 of them otherwise") { Ok(()) } else { Err(account) }
        })
        .await;
    told(&server, &["shadow", "stop"]);
    let replayed = told(&server, &["replay", "--against", "holds.wasm"]);
    assert!(replayed.contains("1 of them with their input"), "{replayed}");
    let user: Vec<&str> = replayed.lines().last().unwrap().split_whitespace().collect();
    assert_eq!(user, ["7", "1", "0"], "{replayed}");
}

#[tokio::test]
async fn explain_tells_why_a_job_waits_and_later_who_placed_it() {
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    std::fs::write(bed.path().join("holds.wasm"), HOLDS.component()).unwrap();
    told(&server, &["activate", "holds.wasm", "--service", "example"]);
    let id = server.submit(Form::new(7).script("true")).await;
    let explained = || {
        let output = run(&server, &["explain", &id.to_string()]);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let text = server
        .until("the policy's words are told", async || {
            let text = explained();
            if text.contains("waits: not before noon") { Ok(text) } else { Err(text) }
        })
        .await;
    assert!(text.contains("decides: quota odd (") && text.contains("decides: routing least-loaded ("), "{text}");
    assert!(!text.contains("round-robin") && text.contains("0 of the user's own jobs before it"), "{text}");
    told(&server, &["unset", "quota", "--service", "example"]);
    server.ended(id).await;
    let text = explained();
    assert!(text.contains("turn by round-robin (") && text.contains("client by least-loaded ("), "{text}");
}

#[tokio::test]
async fn a_file_is_checked_without_a_server() {
    let bed = Bed::new();
    let mut server = bed.server(&[]);
    server.stop();
    for (name, guest) in [("holds.wasm", &HOLDS), ("traps.wasm", &TRAPS), ("loops.wasm", &LOOPS_ON_MANY)] {
        std::fs::write(bed.path().join(name), guest.component()).unwrap();
    }
    let checked = told(&server, &["check", "holds.wasm"]);
    let steps: Vec<&str> = checked.lines().filter_map(|line| line.split_whitespace().next()).take(3).collect();
    assert_eq!(steps, ["compile", "configure", "rehearse"], "{checked}");
    assert!(checked.contains("10000 users") && !checked.contains('!'), "{checked}");
    let json: Value = serde_json::from_str(&told(&server, &["check", "holds.wasm", "--json"])).unwrap();
    assert_eq!((&json["name"], json["costs"].as_array().unwrap().len()), (&Value::from("odd"), 4));
    let why = complained(&server, &["check", "traps.wasm"]);
    assert!(why.contains("rehearse: ") && why.contains("it trapped"), "{why}");
    let output = policy(&server, &["check", "loops.wasm"]);
    let printed = String::from_utf8(output.stdout).unwrap();
    let line = printed.lines().find(|line| line.contains("1000 users")).unwrap();
    assert!(output.status.code() == Some(1) && line.contains("! it "), "{printed}");
}
