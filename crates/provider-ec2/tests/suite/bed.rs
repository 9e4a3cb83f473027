//! A test's own EC2: moto, the faults before it, and our client of both.

use std::process::Command;
use std::time::Duration;

use provider_ec2::{ClientToken, Ec2, LaunchRequest, Market, Patience, Place, Settings, Tags, UserData};

use crate::faulty_ec2::FaultyEc2;
use crate::moto::Moto;

/// Nobody listens there: the port of `discard`, which no machine of ours has.
const NOBODY: &str = "http://127.0.0.1:9";
/// Set in a process that [`alone`] made.
const ALONE: &str = "TEST_IS_ALONE";
/// Of a server, in its tag.
pub const SERVER: &str = "5f3c";

pub struct Bed {
    pub ec2: Ec2,
    pub aws: FaultyEc2,
    _moto: Option<Moto>,
}

impl Bed {
    /// With moto behind the faults.
    pub async fn new() -> Self {
        let moto = Moto::start(&[]);
        let aws = FaultyEc2::before(&moto.url);
        Self { ec2: connect(&aws.url).await, aws, _moto: Some(moto) }
    }

    /// With faults alone: for calls that never get through.
    pub async fn without_moto() -> Self {
        let aws = FaultyEc2::before(NOBODY);
        Self { ec2: connect(&aws.url).await, aws, _moto: None }
    }
}

/// Runs this test again in a process of its own, in this environment and no other: the SDK reads it, and nobody may change
/// that of a running process. There [`is_alone`] says so.
pub fn alone(test: &str, env: &[(&str, &str)]) {
    let mut process = Command::new(std::env::current_exe().unwrap());
    process.args(["--exact", test, "--nocapture"]).env_clear().env(ALONE, "1").envs(env.iter().copied());
    let ended = process.output().unwrap();
    let said = [ended.stdout, ended.stderr].concat();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&said));
}

pub fn is_alone() -> bool {
    std::env::var_os(ALONE).is_some()
}

/// Our client of what is there.
pub async fn connect(endpoint: &str) -> Ec2 {
    assert!(
        std::env::var_os("AWS_ACCESS_KEY_ID").is_some(),
        "no AWS_ACCESS_KEY_ID, which may be anything: run this by `cargo xtask test`"
    );
    Ec2::connect(&settings(endpoint)).await
}

/// Those of a server, but in a hurry.
pub fn settings(endpoint: &str) -> Settings {
    let patience = Patience { first_pause: Duration::from_millis(10), ..Patience::default() };
    Settings { region: "eu-west-1".to_owned(), endpoint: Some(endpoint.to_owned()), patience }
}

/// The launch for one row of the pool `burst`, with nothing that an account would have to have.
pub fn request(row: u64) -> LaunchRequest {
    LaunchRequest {
        token: ClientToken::new(format!("{SERVER}-{row}")).unwrap(),
        tags: Tags { pool: "burst".to_owned(), server: SERVER.to_owned(), row },
        machine_type: "c7i.large".to_owned(),
        image: Some("ami-12c6146b".to_owned()),
        place: Place::Anywhere,
        security_groups: Vec::new(),
        key_name: None,
        profile: None,
        template: None,
        user_data: UserData::new(b"#!/bin/sh\n".to_vec()).unwrap(),
        market: Market::OnDemand,
    }
}
