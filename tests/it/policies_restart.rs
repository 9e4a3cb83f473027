//! What an operator chose stays chosen, over restarts and crashes; what cannot be run any more is seen, and stands in
//! nobody's way.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::policies::LAST_FIRST;
use crate::harness::{Answer, Bed, ClientNode, Form, ServerNode, example, pass};

fn server(bed: &Bed, client: &ClientNode) -> ServerNode {
    let other = format!("[service.other]\nclients = [\"{}\"]\n", client.url);
    bed.server_with(&(example(&[client], "") + &other), &[])
}

async fn good(server: &ServerNode, call: &str, body: Value) -> Value {
    let answer = server.policy_call(call, &body).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    answer.json()
}

/// Who gave a new job its turn.
async fn placed_by(server: &ServerNode) -> String {
    let job = server.ended(server.submit(Form::new(7).script("true")).await).await;
    assert_eq!(job.status(), "Completed", "{:#}", job.0);
    let steps = job.0["history"].as_array().unwrap();
    let placed = steps.iter().find(|step| step["code"] == "placed").unwrap_or_else(|| panic!("{:#}", job.0));
    placed["reason"].as_str().unwrap().to_owned()
}

/// What decides for whom as quota policy, with its settings.
async fn in_force(server: &ServerNode) -> String {
    let all = server.policies().await;
    let modules = all["policies"].as_array().unwrap().iter();
    let chosen = modules.filter(|it| it["kind"] == "quota" && it["state"] == "active");
    let line = |it: &Value| format!("{} for {} with {}; ", it["name"], it["services"], it["settings"]);
    format!("{}: {}", all["generation"], chosen.map(line).collect::<String>()).replace('"', "")
}

#[tokio::test]
async fn what_was_activated_is_in_force_after_a_crash_right_behind_the_answer_and_a_roll_back_is_too() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = server(&bed, &client);
    let settings = json!({"half_life_hours": 2});
    let own = json!({"kind": "quota", "name": "fair-share", "service": "other", "settings": settings});
    good(&server, "activate", own).await;
    let ageing = |seconds: i64| json!({"kind": "quota", "name": "priority", "settings": {"ageing_seconds": seconds}});
    good(&server, "activate", ageing(100)).await;
    server.kill();
    server.start();
    let both = "2: fair-share for [other] with {half_life_hours:2}; priority for [*] with {ageing_seconds:100}; ";
    assert_eq!(in_force(&server).await, both);
    assert!(placed_by(&server).await.contains("turn by priority ("));
    server.stop();
    server.start();
    assert_eq!(in_force(&server).await, both);

    good(&server, "activate", ageing(200)).await;
    good(&server, "rollback", json!({"kind": "quota"})).await;
    server.kill();
    server.start();
    assert_eq!(in_force(&server).await, both.replace("2: fair", "4: fair"), "with the settings that it had");
    good(&server, "rollback", json!({"kind": "quota", "service": "other"})).await;
    server.kill();
    server.start();
    assert_eq!(in_force(&server).await, "5: priority for [*] with {ageing_seconds:100}; ");
    let same = good(&server, "activate", ageing(100)).await;
    assert_eq!((&same["generation"], &same["changed"]), (&json!(5), &json!(false)));
}

/// What happens to the file of a component while the server is down.
type Mishap = fn(&Path);

const MISHAPS: [(&str, Mishap, &str); 4] = [
    ("one byte is another", one_byte, "damaged"),
    ("it is cut off", |file| std::fs::write(file, &std::fs::read(file).unwrap()[..99]).unwrap(), "damaged"),
    ("it is a core module", |file| std::fs::write(file, b"\0asm\x01\0\0\0").unwrap(), "damaged"),
    ("it is gone", |file| std::fs::remove_file(file).unwrap(), "no component"),
];

fn one_byte(file: &Path) {
    let mut bytes = std::fs::read(file).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(file, bytes).unwrap();
}

#[tokio::test]
async fn a_component_that_is_damaged_is_seen_stands_in_nobodys_way_and_is_mended_by_handing_it_in_again() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = server(&bed, &client);
    let digest = server.taken(&LAST_FIRST).await;
    server.activated(&digest).await;
    assert!(placed_by(&server).await.contains(&digest[..12]));
    let file: PathBuf = server.dir.join(format!("policies/components/{digest}.wasm"));
    for (what, mishap, why) in MISHAPS {
        server.stop();
        mishap(&file);
        server.start();
        let broken = server.policy(&digest).await;
        assert_eq!((&broken["state"], &broken["active"]), (&json!("broken"), &json!(false)), "{what}: {broken:#}");
        assert!(broken["broken"].as_str().unwrap().contains(why), "{what}: {broken:#}");
        let events = server.policy_events().await;
        assert!(events.iter().any(|it| it["what"] == "broken" && it["good"] == false), "{what}: {events:#?}");
        let by = placed_by(&server).await;
        assert!(by.contains("turn by round-robin (built in)"), "{what}: {by}");
        server.taken(&LAST_FIRST).await;
        good(&server, "activate", json!({"kind": "quota", "digest": digest, "by": "ann"})).await;
        let policy = server.policy(&digest).await;
        assert_eq!((&policy["state"], &policy["active"]), (&json!("active"), &json!(true)), "{what}: {policy:#}");
        let by = placed_by(&server).await;
        assert!(by.contains(&digest[..12]), "{what}: {by}");
    }
}

#[tokio::test]
async fn a_component_that_is_handed_in_again_decides_again_when_it_is_resumed() {
    let bed = Bed::new();
    let client = bed.client("client");
    let mut server = server(&bed, &client);
    let digest = server.taken(&LAST_FIRST).await;
    server.activated(&digest).await;
    server.stop();
    std::fs::remove_file(server.dir.join(format!("policies/components/{digest}.wasm"))).unwrap();
    server.start();
    assert_eq!(server.policy(&digest).await["state"], "broken");
    server.taken(&LAST_FIRST).await;
    good(&server, "resume", json!({"kind": "quota"})).await;
    assert_eq!(server.policy(&digest).await["state"], "active");
    assert!(placed_by(&server).await.contains(&digest[..12]));
}

#[tokio::test]
async fn of_two_operators_at_the_same_time_one_wins_and_the_other_learns_it() {
    let bed = Bed::new();
    let server = bed.server(&[]);
    let activate = async |name: &str, seen: &str| -> Answer {
        let body = json!({"kind": "quota", "name": name});
        let request = server.http().post(format!("{}/api/v1/policies/activate", server.url)).json(&body);
        server.request(request.header("if-match", seen)).await
    };
    for round in 0..5 {
        // Neither asks for what is in force.
        let names = if round % 2 == 0 { ["fair-share", "priority"] } else { ["round-robin", "odd"] };
        if round == 1 {
            server.taken(&LAST_FIRST).await;
        }
        let seen = server.get("/api/v1/policies").await.header("etag").to_owned();
        let (first, second) = tokio::join!(activate(names[0], &seen), activate(names[1], &seen));
        let (winner, loser) = if first.status == 200 { (names[0], second) } else { (names[1], first) };
        let problem = loser.problem(412);
        let generation = format!("{}", round + 1);
        assert_eq!((&problem["code"], &problem["value"]), (&json!("generation-changed"), &json!(generation)));
        assert_eq!(server.deciding("quota").await["name"], winner);
        assert_eq!(server.policies().await["generation"], round + 1);
    }
}

#[tokio::test]
async fn an_unchanged_folder_undoes_nothing_at_a_restart() {
    let bed = Bed::new();
    let folder = bed.path().join("policies");
    std::fs::create_dir(&folder).unwrap();
    std::fs::write(folder.join("active.toml"), "quota = \"fair-share\"\n").unwrap();
    let mut server = bed.server_with(&example(&[], ""), &[("ORCHESTRATOR_POLICIES", folder.to_str().unwrap())]);
    server
        .until("the folder decides", async || {
            let policy = server.deciding("quota").await;
            if policy["name"] == "fair-share" { Ok(()) } else { Err(policy.to_string()) }
        })
        .await;
    good(&server, "activate", json!({"kind": "quota", "name": "priority"})).await;
    server.kill();
    server.start();
    // Longer than it takes until a change would be asked for; that nothing happens has no event.
    pass(Duration::from_millis(1_500)).await;
    assert_eq!(server.deciding("quota").await["name"], "priority");
    assert_eq!(server.policies().await["generation"], 2);
}
