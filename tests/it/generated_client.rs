//! A client generated from the document works with the server.

use std::process::{Command, Stdio};

use crate::harness::Bed;

#[test]
fn a_client_generated_from_the_document_works() {
    let python =
        std::env::var_os("TEST_PYTHON").expect("TEST_PYTHON names no interpreter: run this by `cargo xtask test`");
    let bed = Bed::new();
    let client = bed.client("client");
    let server = bed.server(&[&client]);
    let program = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/generated_client.py");
    let run = Command::new(python).arg(program).arg(&server.url).stdin(Stdio::null()).output().unwrap();
    let said = [run.stdout, run.stderr].concat();
    assert!(run.status.success(), "{}\n{}", String::from_utf8_lossy(&said), server.log());
}
