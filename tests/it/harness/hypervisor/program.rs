//! The program as it is shipped: without what only a debugger reads, which is most of a debug build. Each machine fetches it
//! and holds it in memory.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

const PROGRAM: &str = env!("CARGO_BIN_EXE_job-orchestrator");

/// Made anew when the program was.
pub fn lean() -> PathBuf {
    let lean = Path::new(env!("CARGO_TARGET_TMPDIR")).join("job-orchestrator-lean");
    let changed = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let built: Option<SystemTime> = changed(Path::new(PROGRAM));
    if changed(&lean).is_some_and(|made| Some(made) > built) {
        return lean;
    }
    // Of its own, for another test may be at it, too.
    let unfinished = lean.with_extension(std::process::id().to_string());
    let made = Command::new("strip").arg("-o").arg(&unfinished).arg(PROGRAM).status();
    assert!(made.is_ok_and(|status| status.success()), "strip comes with the C compiler that the build needs");
    std::fs::rename(&unfinished, &lean).unwrap();
    lean
}
