//! A test's own EC2: moto's server as a process, the faults before it, and our client of both.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use provider_ec2::{ClientToken, Ec2, LaunchRequest, Market, Patience, Place, Settings, Tags, UserData};

use crate::faulty_ec2::FaultyEc2;

/// The longest that moto may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(60);
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

/// moto's server, which takes a type, an image or a key pair only if it knows it.
pub struct Moto {
    child: Child,
    pub url: String,
}

impl Moto {
    pub fn start(args: &[&str]) -> Self {
        let python =
            std::env::var_os("TEST_PYTHON").expect("TEST_PYTHON names no interpreter: run this by `cargo xtask test`");
        let mut command = Command::new(python);
        command.args(["-u", "-m", "moto.server", "-H", "127.0.0.1", "-p", "0"]).args(args);
        for strict in ["MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION", "MOTO_ENABLE_AMI_VALIDATION"] {
            command.env(strict, "true");
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (found, told) = mpsc::channel();
        let stderr = child.stderr.take().unwrap();
        // To the end, so that moto never waits for its log to be read.
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if let Some((_, url)) = line.split_once("Running on ") {
                    let _ = found.send(url.trim().to_owned());
                }
            }
        });
        // Made before the wait, so that it is ended also if that fails.
        let mut moto = Self { child, url: String::new() };
        moto.url = told.recv_timeout(PATIENCE).expect("moto does not say where it listens");
        moto
    }
}

impl Drop for Moto {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
