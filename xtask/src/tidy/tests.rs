//! Every rule finds its breach, and leaves alone what looks like one.

use super::check;

/// What tidy says about one file of the given text, as `line rule`.
fn findings(path: &str, text: &str) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
    check(dir.path()).unwrap().into_iter().map(|finding| format!("{} {}", finding.line, finding.rule)).collect()
}

fn clean(path: &str, text: &str) {
    assert_eq!(findings(path, text), [""; 0], "{path}: {text}");
}

#[test]
fn heavy_names_stay_in_their_homes() {
    for (path, text) in [
        ("src/server/operations/jobs.rs", "use sqlx::Row;"),
        ("src/server/loops/dispatch.rs", "fn f(e: ::sqlx::Error) {}"),
        ("src/mode/server.rs", "use poem::Server;"),
        ("src/mode/server.rs", "use poem_openapi::OpenApi;"),
        ("src/files/names.rs", "use wasmtime;"),
        ("src/server/provider/ec2.rs", "use aws_sdk_ec2::Client;"),
        ("src/files/names.rs", "fn f() { std::env::var(\"HOME\"); }"),
        ("src/files/names.rs", "use std::{env, fs};"),
        ("src/files/names.rs", "use anyhow::Result;"),
        ("src/server/loops/dispatch.rs", "fn f() { tokio::spawn(g()); }"),
        ("src/server/loops/dispatch.rs", "use tokio::{sync::mpsc, task::spawn};"),
        ("crates/domain/src/job.rs", "use std::time::{Duration, Instant};"),
        ("crates/domain/src/job.rs", "use std::fs;"),
    ] {
        assert_eq!(findings(path, text), ["1 floors"], "{path}: {text}");
    }
    clean("crates/store/src/lib.rs", "use sqlx::Row;");
    clean("src/server/api/jobs.rs", "use poem_openapi::OpenApi;");
    clean("src/config/sources.rs", "use std::env;");
    clean("src/main.rs", "fn main() -> anyhow::Result<()> {}");
    clean("src/runtime/tasks.rs", "fn f() { tokio::spawn(g()); }");
    clean("crates/domain/src/job.rs", "use std::time::Duration;");
    clean("crates/domain/examples/cost.rs", "use std::time::Instant;");
    clean(
        "src/files/names.rs",
        "// sqlx::Row\nconst A: &str = \"use sqlx::Row\"; fn f() { self::mine::sqlx::f(x.sqlx); }",
    );
}

#[test]
fn a_test_may_name_what_the_product_must_not() {
    clean("src/files/names.rs", "#[cfg(test)]\nmod tests {\n    use std::env;\n}\n");
    assert_eq!(findings("src/files/names.rs", "#[cfg(test)]\nmod tests {}\nuse std::env;\n"), ["3 floors"]);
}

#[test]
fn a_file_that_only_tests_include_is_a_test() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(dir.path().join("src/cli")).unwrap();
    std::fs::write(dir.path().join("src/cli/scripted.rs"), "use sqlx::Row;").unwrap();
    std::fs::write(dir.path().join("src/cli/mod.rs"), "mod scripted;").unwrap();
    assert_eq!(check(dir.path()).unwrap().len(), 1);
    std::fs::write(dir.path().join("src/cli/mod.rs"), "#[cfg(test)]\nmod scripted;").unwrap();
    assert_eq!(check(dir.path()).unwrap(), []);
}

#[test]
fn rooms_name_only_what_is_below_them() {
    for (path, text) in [
        ("src/server/api/jobs.rs", "use crate::client::journal::Journal;"),
        ("src/client/exec.rs", "fn f() { crate::server::parts::make(); }"),
        ("src/server/api/jobs.rs", "use crate::server::{operations, loops};"),
        ("src/server/api/jobs.rs", "use super::super::loops::dispatch;"),
        ("src/server/loops/dispatch.rs", "use crate::server::api::problem::Problem;"),
        ("src/server/loops/dispatch.rs", "use crate::server::loops::deliver::Deliver;"),
        ("src/server/loops/collect/mod.rs", "use super::deliver;"),
        ("src/server/operations/jobs/mod.rs", "use crate::server::loops::dispatch;"),
        ("src/server/remote/mod.rs", "use super::operations::jobs;"),
        ("src/runtime/tasks.rs", "use crate::protocol::Info;"),
        ("src/files/zip.rs", "use crate::{\n config, runtime};"),
        ("src/client/slots.rs", "use crate::config::load;"),
    ] {
        let found = findings(path, text);
        assert!(found.iter().all(|line| line.ends_with(" floors")) && found.len() == 1, "{path}: {text}: {found:?}");
    }
    clean("src/server/api/jobs.rs", "use crate::server::operations::jobs; use crate::files::{durable, zip};");
    clean("src/server/loops/collect/events.rs", "use super::fetch; use crate::server::loops::collect::polling;");
    clean("src/server/loops/mod.rs", "use crate::server::loops::dispatch::Dispatch;");
    clean("src/server/parts.rs", "use crate::config::settings::ServerSettings;");
    clean("src/mode/demo.rs", "use crate::{client, server};");
}

#[test]
fn domain_depends_on_two_crates() {
    let manifest = |dependency: &str| {
        format!(
            "[package]\nname = \"domain\"\n[dependencies]\nserde.workspace = true\n{dependency}\n[dev-dependencies]\nproptest = \"1\"\n"
        )
    };
    assert_eq!(findings("crates/domain/Cargo.toml", &manifest("tokio = \"1\"")), ["5 floors"]);
    clean("crates/domain/Cargo.toml", &manifest("thiserror.workspace = true"));
}

#[test]
fn files_have_four_hundred_lines_without_tests() {
    assert_eq!(findings("src/files/zip.rs", &"//\n".repeat(401)), ["1 size"]);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(100));
    clean("src/files/zip.rs", &format!("{}{tests}", "//\n".repeat(400)));
    let long_tests = format!("//\n#[cfg(test)]\nmod tests {{\n{}}}\n", "//\n".repeat(150));
    assert_eq!(findings("src/files/zip.rs", &long_tests), ["2 size"]);
    clean("tests/it/upload.rs", &"//\n".repeat(900));
}

#[test]
fn functions_have_sixty_lines() {
    let function =
        |lines: usize| format!("\nfn long<'a>(x: [u8; 2]) -> &'a str {{\n{}}}\n", "    g();\n".repeat(lines));
    assert_eq!(findings("src/files/zip.rs", &function(59)), ["2 size"]);
    clean("src/files/zip.rs", &function(58));
    clean("src/files/zip.rs", &format!("trait T {{ fn short(&self) -> [u8; 2];\n{}}}", "//\n".repeat(80)));
    clean("tests/it/upload.rs", &function(80));
}

#[test]
fn names_say_something() {
    assert_eq!(findings("src/server/utils.rs", ""), ["1 name"]);
    assert_eq!(findings("src/common/size.rs", ""), ["1 name"]);
    assert_eq!(findings("src/server/mod.rs", "//!\nmod helpers {\n}\n"), ["2 name"]);
    clean("src/server/utility_price.rs", "mod types_of_instance {}");
}

#[test]
fn nothing_is_left_behind() {
    for text in ["// TODO: later", "/* FIXME */", "//! XXX", "fn f() { todo!() }", "fn f() { unimplemented!(\"x\") }"] {
        assert_eq!(findings("src/files/zip.rs", text), ["1 leftover"], "{text}");
    }
    assert_eq!(findings("tests/it/upload.rs", "\nfn f() { dbg!(1); }"), ["2 leftover"]);
    clean("src/files/zip.rs", "const TODO: &str = \"TODO // FIXME\"; // TODOS and mytodo!");
}

#[test]
fn tests_do_not_sleep() {
    let sleep = "fn f() { std::thread::sleep(d); }";
    assert_eq!(findings("tests/it/upload.rs", sleep), ["1 sleep"]);
    assert_eq!(findings("src/files/zip.rs", &format!("#[cfg(test)]\nmod tests {{\n{sleep}\n}}\n")), ["3 sleep"]);
    clean("tests/it/harness/wait.rs", sleep);
    clean("src/client/exec/sleep.rs", sleep);
    clean("tests/it/upload.rs", "const SCRIPT: &str = r#\"sleep(1) \"quoted\" \"#; // sleep(");
}

#[test]
fn lints_are_switched_off_with_a_reason() {
    assert_eq!(findings("src/lib.rs", "#![allow(dead_code)]\n#[allow(unused)]\nfn f() {}"), ["1 allow", "2 allow"]);
    clean("src/lib.rs", "#[expect(dead_code, reason = \"x\")]\nfn f() {} // #[allow(x)]");
}

#[test]
fn what_may_panic_says_why_it_cannot() {
    assert_eq!(
        findings("src/lib.rs", "fn f() {\n    g().unwrap();\n    g().expect(\"x\");\n}"),
        ["2 unwrap", "3 unwrap"]
    );
    clean(
        "src/lib.rs",
        "fn f() {\n    // A literal.\n    g().unwrap();\n    let a = 1;\n    g().unwrap(); // Never.\n}",
    );
    clean("src/lib.rs", "fn f() {\n    #[expect(clippy::unwrap_used, reason = \"a literal\")]\n    g().unwrap();\n}");
    clean("src/lib.rs", "fn f() { g().unwrap_or_default(); }\n#[cfg(test)]\nmod tests { fn f() { g().unwrap(); } }");
}

#[test]
fn texts_and_lifetimes_do_not_confuse_the_reader() {
    let text =
        "fn f<'a>(x: &'a str) { let b = '{'; let c = '\\''; let d = \"\\\"}\"; let r#type = b'\"'; }\nuse sqlx;\n";
    assert_eq!(findings("src/lib.rs", text), ["2 floors"]);
    assert_eq!(findings("src/lib.rs", "/* a /* b */ use sqlx; */ use\n sqlx;"), ["2 floors"]);
}

#[test]
fn a_promise_names_a_test_that_is_there() {
    let dir = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = dir.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    write(
        "docs/reliability.md",
        "Kept with `lost_after_seconds`:\n`a_job_is_never_lost`, `what_nobody_ever_has_shown`.\n",
    );
    write("tests/it/upload.rs", "async fn a_job_is_never_lost() {}\n// fn what_nobody_ever_has_shown() {}\n");
    let found: Vec<_> = check(dir.path()).unwrap().into_iter().map(|finding| finding.to_string()).collect();
    assert_eq!(
        found,
        ["docs/reliability.md:2: promise: no test is called what_nobody_ever_has_shown: a promise needs one"]
    );
}
