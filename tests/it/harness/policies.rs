//! Policies as an operator sees them over HTTP, and components to hand in.

use serde_json::{Value, json};

use super::written::{DECENT, Guest};
use super::{Answer, ServerNode};

/// Gives nobody anything, and says to the first user why: `not before noon`.
pub const HOLDS: Guest = Guest {
    grant: "(i64.store (i32.const 1104) (i64.load (local.get 6))) (i32.const 1024)",
    more: r#"(data (i32.const 1024) "\00\00\00\00\00\00\00\00\50\04\00\00\01\00\00\00")
             (data (i32.const 1112) "\84\03\00\00\0f\00\00\00") (data (i32.const 900) "not before noon")"#,
    ..DECENT
};

/// Traps when the first user is 4242, which is none of a scenario's.
pub const TRAPS_ON_4242: Guest = Guest {
    grant: "(if (i64.eq (i64.load (local.get 6)) (i64.const 4242)) (then unreachable)) (i32.const 1024)",
    ..DECENT
};

/// Traps whenever it is asked.
pub const TRAPS: Guest = Guest { grant: "unreachable", ..DECENT };

/// Goes on without end when it is asked about more users than a scenario has.
pub const LOOPS_ON_MANY: Guest = Guest {
    grant: "(if (i32.gt_u (local.get 7) (i32.const 500)) (then (loop $again (br $again)))) (i32.const 1024)",
    ..DECENT
};

/// Does not take its settings: `nope`.
pub const REFUSES_SETTINGS: Guest = Guest {
    configure: "(i32.const 512)",
    more: r#"(data (i32.const 512) "\01\00\00\00\00\03\00\00\04\00\00\00") (data (i32.const 768) "nope")"#,
    ..DECENT
};

/// One job for each user, the last user first. Of a user's 64 bytes the first 8 are its id, and at 24 are its active jobs.
pub const LAST_FIRST: Guest = Guest {
    grant: "(local $left i32) (local $granted i32) (local $user i32) (local $grant i32)
        (local.set $left (local.get 7)) (local.set $grant (i32.const 2048))
        (block $done (loop $next
          (br_if $done (i32.eqz (local.get $left)))
          (br_if $done (i32.ge_u (i32.add (local.get 4) (local.get $granted)) (local.get 3)))
          (br_if $done (i32.ge_u (local.get $granted) (local.get 5)))
          (local.set $left (i32.sub (local.get $left) (i32.const 1)))
          (local.set $user (i32.add (local.get 6) (i32.shl (local.get $left) (i32.const 6))))
          (if (i32.lt_u (i32.load offset=24 (local.get $user)) (local.get 2)) (then
            (i64.store (local.get $grant) (i64.load (local.get $user)))
            (i32.store offset=8 (local.get $grant) (i32.const 1))
            (local.set $grant (i32.add (local.get $grant) (i32.const 16)))
            (local.set $granted (i32.add (local.get $granted) (i32.const 1)))))
          (br $next)))
        (i32.store (i32.const 1024) (i32.const 2048)) (i32.store (i32.const 1028) (local.get $granted))
        (i32.const 1024)",
    ..DECENT
};

impl ServerNode {
    pub async fn hand_in(&self, guest: &Guest) -> Answer {
        self.hand_in_bytes(guest.component(), "application/wasm").await
    }

    pub async fn hand_in_bytes(&self, bytes: Vec<u8>, content_type: &str) -> Answer {
        let request = self.http().post(format!("{}/api/v1/policies", self.url));
        self.request(request.header("content-type", content_type).body(bytes)).await
    }

    /// The digest of a component that must be taken.
    pub async fn taken(&self, guest: &Guest) -> String {
        let answer = self.hand_in(guest).await;
        assert_eq!(answer.status, 201, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()["digest"].as_str().unwrap().to_owned()
    }

    /// A call about policies with a JSON body.
    pub async fn policy_call(&self, call: &str, body: &Value) -> Answer {
        self.request(self.http().post(format!("{}/api/v1/policies/{call}", self.url)).json(body)).await
    }

    /// Activates a quota policy, which must come into force.
    pub async fn activated(&self, digest: &str) -> Value {
        let answer = self.policy_call("activate", &json!({"kind": "quota", "digest": digest, "by": "a test"})).await;
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
        answer.json()
    }

    pub async fn policies(&self) -> Value {
        self.get("/api/v1/policies").await.json()
    }

    /// The module with that name or digest.
    pub async fn policy(&self, what: &str) -> Value {
        let all = self.policies().await;
        let found = all["policies"].as_array().unwrap().iter().find(|it| it["name"] == what || it["digest"] == what);
        found.cloned().unwrap_or_else(|| panic!("no policy {what} in {all:#}"))
    }

    /// The name of the quota policy that decides for every service.
    pub async fn deciding(&self, kind: &str) -> Value {
        let all = self.policies().await;
        let of_all = |it: &&Value| it["kind"] == kind && it["services"].as_array().unwrap().contains(&json!("*"));
        all["policies"].as_array().unwrap().iter().find(of_all).cloned().unwrap()
    }

    pub async fn policy_events(&self) -> Vec<Value> {
        self.get("/api/v1/policies/events").await.json()["events"].as_array().unwrap().clone()
    }
}
