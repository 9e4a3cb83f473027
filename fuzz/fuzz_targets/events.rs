//! What server and client read from each other: any bytes are a message or an error, and a message is the same when it
//! is written and read again.

#![no_main]

use std::fmt::Debug;

use job_orchestrator::protocol::{EventPage, Info, Refusal, Submission};
use libfuzzer_sys::fuzz_target;

fn same_again<T: serde::Serialize + serde::de::DeserializeOwned + PartialEq + Debug>(input: &[u8]) {
    let Ok(message) = serde_json::from_slice::<T>(input) else { return };
    let written = serde_json::to_vec(&message).expect("a message is written");
    assert_eq!(serde_json::from_slice::<T>(&written).expect("and read again"), message);
}

fuzz_target!(|input: &[u8]| {
    same_again::<EventPage>(input);
    same_again::<Info>(input);
    same_again::<Submission>(input);
    same_again::<Refusal>(input);
});
