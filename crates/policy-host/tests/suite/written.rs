//! Components for tests, written as text: a core module with the functions of the world `quota`, made a component like
//! any other. The parts that a test does not care about are decent. The tests of the whole program use it, too.

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

const WIT: &str = include_str!("../../../../plugins/wit/v1/policy.wit");

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
        let package = resolve.push_str("policy.wit", WIT).unwrap();
        let world = resolve.select_world(&[package], Some(self.world)).unwrap();
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().encode().unwrap()
    }
}
