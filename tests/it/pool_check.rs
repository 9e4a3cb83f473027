//! `pool check` finds what AWS would refuse before anything is launched. Against moto, which knows types, images and groups.

use std::process::Output;

use serde_json::Value;

use crate::harness::moto::Moto;
use crate::harness::{Bed, command};

/// Of moto's own images one for x86_64.
const IMAGE: &str = "ami-12c6146b";

struct Account {
    bed: Bed,
    moto: Moto,
}

impl Account {
    fn new() -> Self {
        Self { bed: Bed::new(), moto: Moto::start(&[]) }
    }

    fn check(&self, pool: &str, more: &[&str]) -> Output {
        let file = self.bed.path().join("config.toml");
        let config = format!(
            "[server]\npublic_url = \"https://10.0.0.2:5001\"\n[service.example]\n[provider.ec2]\nregion = \"eu-west-1\"\n\
             endpoint = \"{}\"\n[pool.burst]\nservices = [\"example\"]\nprovider = \"ec2\"\nslots = 2\n{pool}\n\
             [pool.here]\nservices = [\"example\"]\nprovider = \"process\"\nslots = 1\n",
            self.moto.url
        );
        std::fs::write(&file, config).unwrap();
        let args = ["pool", "check", "--config", &file.display().to_string()].map(str::to_owned);
        let args: Vec<String> = args.into_iter().chain(more.iter().map(|arg| (*arg).to_owned())).collect();
        let env = [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")];
        command(&args, &env.map(|(key, value)| (key.to_owned(), value.to_owned())))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .output()
            .unwrap()
    }

    fn findings(&self, pool: &str, code: i32) -> Vec<Value> {
        let output = self.check(pool, &["burst", "--json"]);
        assert_eq!(output.status.code(), Some(code), "{output:?}");
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn about<'a>(findings: &'a [Value], what: &str) -> (&'a str, &'a str) {
    let found = findings.iter().find(|finding| finding["about"] == what);
    let found = found.unwrap_or_else(|| panic!("nothing about {what}: {findings:#?}"));
    (found["verdict"].as_str().unwrap(), found["text"].as_str().unwrap())
}

fn types(types: &str) -> String {
    format!("image = \"{IMAGE}\"\ninstance_types = [{types}]\n")
}

const LARGE: &str = "{ type = \"c7i.large\", price_per_hour = 0.09 }";

#[test]
fn pool_that_would_work_is_told_to() {
    let account = Account::new();
    let output = account.check(&format!("{}lifecycle = \"spot\"\nzones = [\"eu-west-1a\"]", types(LARGE)), &[]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{text}");
    for line in [
        "pool burst",
        "type c7i.large",
        "x86_64, 2 processors, 4096 MiB; 2 slots",
        "it runs on images with glibc 2.",
        "available, for x86_64",
        "launch c7i.large in eu-west-1a, spot",
        "launch c7i.large in eu-west-1a, on-demand",
        "AWS would take it",
        "pool here",
        "nobody has to be asked",
    ] {
        assert!(text.contains(line), "{line} is not in: {text}");
    }
}

#[test]
fn what_would_not_work_is_named_with_a_remedy() {
    let account = Account::new();
    let findings = account.findings(&types("{ type = \"c99.huge\", price_per_hour = 1 }"), 1);
    let (verdict, text) = about(&findings, "type c99.huge");
    assert!(verdict == "bad" && text.contains("misconfigured") && text.contains("mend what is named"), "{text}");

    // Of this program there is one for this machine's processors only.
    let other = if cfg!(target_arch = "x86_64") { ("c7g.large", "aarch64") } else { ("c7i.large", "x86_64") };
    let findings = account.findings(&types(&format!("{{ type = \"{}\", price_per_hour = 1 }}", other.0)), 1);
    let (verdict, text) = about(&findings, &format!("type {}", other.0));
    assert!(verdict == "bad" && text.ends_with(&format!("give --client-binary {}=FILE", other.1)), "{text}");

    let findings = account.findings(&types(LARGE).replace(IMAGE, "ami-0123456789abcdef0"), 1);
    let (verdict, text) = about(&findings, "image ami-0123456789abcdef0");
    assert!(verdict == "bad" && text.contains("ami-0123456789abcdef0"), "{text}");

    let findings = account.findings(&types("{ type = \"c7g.large\", price_per_hour = 1 }"), 1);
    let (verdict, text) = about(&findings, &format!("image {IMAGE}"));
    assert!(verdict == "bad" && text.contains("it is for x86_64, and c7g.large is not"), "{text}");
}

#[test]
fn what_may_not_be_meant_is_told_and_no_failure() {
    let findings = Account::new().findings(&types("{ type = \"c7i.large\", price_per_hour = 1, slots = 9 }"), 0);
    let (verdict, text) = about(&findings, "type c7i.large");
    assert!(verdict == "doubtful" && text.ends_with("9 slots: more jobs than processors"), "{text}");
}

#[test]
fn check_needs_pools_and_credentials() {
    let account = Account::new();
    let output = account.check(&types(LARGE), &["nobody"]);
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("no pool nobody is configured; known are burst, here"), "{error}");
    let output = account.check("slot = 1", &[]);
    assert_eq!(output.status.code(), Some(2), "{}", String::from_utf8_lossy(&output.stderr));
}
