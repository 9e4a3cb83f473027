//! Zips from clients: reading and unpacking one leaves nothing outside its directory, whatever is in it.

#![no_main]

use std::fs;

use job_orchestrator::files::zip;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let bed = tempfile::Builder::new().tempdir_in("/dev/shm").expect("a directory in memory");
    let (archive, out) = (bed.path().join("in.zip"), bed.path().join("out"));
    fs::write(&archive, input).expect("the zip is written");
    fs::create_dir(&out).expect("a directory to unpack into");
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    runtime.block_on(async {
        let _readable = zip::names_beginning(&archive, ".orchestrator").await;
        if let Ok(Some(entry)) = zip::read_entry(&archive, "run.sh", 64).await {
            assert!(entry.len() <= 64, "longer than asked for");
        }
    });
    let _unpacked = zip::unpack(&archive, &out);
    let mut left: Vec<_> = fs::read_dir(bed.path()).expect("it is listed").flatten().map(|entry| entry.file_name()).collect();
    left.sort();
    assert_eq!(left, ["in.zip", "out"], "something was written beside the directory");
});
