//! Names of files: one that is taken stays below its directory and is taken again for the same.

#![no_main]

use std::path::{Component, Path};

use job_orchestrator::files::disposition::Disposition;
use job_orchestrator::files::names::RelativePath;
use libfuzzer_sys::fuzz_target;

fn check(name: &str) {
    let Ok(path) = RelativePath::parse(name) else { return };
    let base = Path::new("/base");
    let below = path.below(base);
    let inside = below.strip_prefix(base).expect("below its directory");
    assert!(inside.components().next().is_some());
    assert!(inside.components().all(|part| matches!(part, Component::Normal(_))), "{name:?} gives {below:?}");
    assert!(!path.as_str().bytes().any(|byte| byte < 0x20), "{name:?} has control characters");
    let again = RelativePath::parse(path.as_str()).expect("a name that was taken once");
    assert_eq!(again.as_str(), path.as_str());
}

fuzz_target!(|input: &[u8]| {
    if let Ok(text) = std::str::from_utf8(input) {
        check(text);
    }
    if let Ok(Disposition { file_name: Some(name), .. }) = Disposition::parse(input) {
        check(&name);
    }
});
