//! The multipart door: whatever comes is parts or an error, and the same however its bytes are cut.

#![no_main]

use std::io;

use bytes::Bytes;
use futures_util::stream;
use job_orchestrator::files::upload::{Part, Upload};
use libfuzzer_sys::fuzz_target;

const TYPE: &str = "multipart/form-data; boundary=xyz";
const LIMIT: u64 = 1 << 20;

/// Names and contents of all parts, or nothing.
async fn read(body: &[u8], chunk: usize) -> Option<Vec<(String, Vec<u8>)>> {
    let chunks: Vec<io::Result<Bytes>> = body.chunks(chunk).map(|chunk| Ok(Bytes::copy_from_slice(chunk))).collect();
    let mut upload = Upload::new(TYPE, stream::iter(chunks), LIMIT).ok()?;
    let mut parts = Vec::new();
    while let Some(part) = upload.next().await.ok()? {
        parts.push(match part {
            Part::Field { name, text } => (name, text.into_bytes()),
            Part::File(mut file) => {
                let mut content = Vec::new();
                while let Some(chunk) = file.chunk().await.ok()? {
                    content.extend_from_slice(&chunk);
                }
                (format!("file {}", file.path()), content)
            }
        });
    }
    Some(parts)
}

fuzz_target!(|input: &[u8]| {
    let Some((first, body)) = input.split_first() else { return };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    runtime.block_on(async {
        let whole = read(body, body.len().max(1)).await;
        let cut = read(body, usize::from(*first).max(1)).await;
        assert_eq!(whole, cut, "another upload when it is cut into chunks of {}", first.max(&1));
    });
});
