//! Components for tests, written as text: a core module with the functions of the world `quota`, made a component like
//! any other. The parts that a test does not care about are decent.

use std::sync::Arc;

use domain::policy::Settings;
use domain::schedule::policies::{QuotaAnswer, QuotaInput, QuotaUser};
use domain::{Limits, ServiceName};
use policy_host::{Budget, Call, Component, LoadError, Policy, PolicyHost};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

/// The functions' bodies. Memory below 4096 is the guest's own: at 64 the answer of `configure` (Ok), at 128 that of
/// `describe`, at 256 its name, `odd`; what a test writes begins at 1024.
pub struct Guest {
    pub configure: &'static str,
    pub describe: &'static str,
    pub grant: &'static str,
    /// More of the module: globals, functions.
    pub more: &'static str,
    pub world: &'static str,
}

pub const DECENT: Guest =
    Guest { configure: "i32.const 64", describe: "i32.const 128", grant: "i32.const 1024", more: "", world: "quota" };

impl Guest {
    pub fn component(&self) -> Vec<u8> {
        let Self { configure, describe, grant, more, .. } = self;
        let text = format!(
            r#"(module
              (memory (export "memory") 2)
              (global $end (mut i32) (i32.const 65536))
              (data (i32.const 128) "\00\01\00\00\03\00\00\00\00\01\00\00\03\00\00\00\00\01\00\00\03\00\00\00")
              (data (i32.const 256) "odd")
              {more}
              (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
                (local $start i32)
                (local.set $start (i32.and (i32.add (global.get $end) (i32.const 15)) (i32.const -16)))
                (global.set $end (i32.add (local.get $start) (local.get 3)))
                (block $fits (loop $grow
                  (br_if $fits (i32.le_u (global.get $end) (i32.mul (memory.size) (i32.const 65536))))
                  (br_if $grow (i32.ne (memory.grow (i32.const 16)) (i32.const -1)))
                  unreachable))
                (local.get $start))
              (func (export "configure") (param i32 i32) (result i32) {configure})
              (func (export "describe") (result i32) {describe})
              (func (export "grant") (param i32 i32 i32 i32 i32 i32 i32 i32) (result i32) {grant}))"#
        );
        self.encode(wat::parse_str(text).unwrap())
    }

    fn encode(&self, mut module: Vec<u8>) -> Vec<u8> {
        let mut resolve = wit_parser::Resolve::default();
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/wit/v1");
        let (package, _) = resolve.push_dir(folder).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
    }

    pub fn load(&self, host: &PolicyHost) -> Result<Arc<Component>, LoadError> {
        host.load(&self.component())
    }

    pub fn policy(&self) -> Policy {
        self.load(&host()).unwrap().configure(&Settings::default()).unwrap()
    }
}

pub fn host() -> PolicyHost {
    PolicyHost::new(Budget::default(), None).unwrap()
}

/// Asks about `users` users with the ids from 0, each with ten jobs; RUNS_PER_USER is 5, MAX_RUNS 10, 8 slots are free.
pub fn ask(policy: &Policy, users: i64) -> Call<QuotaAnswer> {
    let service: ServiceName = "example".parse().unwrap();
    let user = |id: i64| QuotaUser {
        user: id.try_into().unwrap(),
        placeable: 10,
        queued: 10,
        active: 0,
        active_everywhere: 0,
        oldest_wait_ms: 1,
        top_priority: 0,
        last_turn: 0,
        usage: 0.0,
    };
    let users = (0..users).map(user).collect();
    let limits = Limits { runs_per_user: 5, max_runs: 10 };
    policy.grant(&QuotaInput { service: &service, limits, active: 0, free_slots: 8, users })
}
