//! How run.sh is started: by bash, in the job's directory, with the job's own environment and nothing of the client's.

use std::ffi::{CStr, CString, NulError};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::process::Pid;

use super::{MARK, Start, TEMP_DIR, WORK_DIR};

/// The file of the payload that is run.
pub const SCRIPT: &str = "run.sh";
const BASH: &CStr = c"/bin/bash";
/// What jobs find programs by, whatever the client was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Not in every libc's headers for Rust; glibc and musl both have it.
const POSIX_SPAWN_SETSID: i32 = 0x80;
/// The longest argument that Linux hands to a program, in bytes with its end.
const ARGUMENT_MAX: u64 = 128 * 1024;

/// Starts run.sh of the current directory with this process's standard descriptors, or says what is wrong with it.
///
/// # Errors
/// The machine's: no bash, no more processes.
pub(super) fn start(start: &Start) -> io::Result<Result<Pid, String>> {
    let arguments = match arguments(Path::new(SCRIPT))? {
        Ok(arguments) => arguments,
        Err(why) => return Ok(Err(why)),
    };
    let mut attributes = PosixSpawnAttr::init()?;
    // A session of its own: `kill 0` in a script is for the script, not for its keeper.
    attributes.set_flags(
        PosixSpawnFlags::POSIX_SPAWN_SETSIGMASK
            | PosixSpawnFlags::POSIX_SPAWN_SETSIGDEF
            | PosixSpawnFlags::from_bits_retain(POSIX_SPAWN_SETSID),
    )?;
    attributes.set_sigmask(&SigSet::empty())?;
    // Whatever the client was started with: a shell in the background ignores SIGINT, Rust ignores SIGPIPE.
    attributes.set_sigdefault(&SigSet::all())?;
    let no_actions = PosixSpawnFileActions::init()?;
    let pid = posix_spawn(BASH, &no_actions, &attributes, &arguments, &environment(start)?)?;
    Ok(Pid::from_raw(pid.as_raw()).ok_or_else(|| "bash was not given a process id".to_owned()))
}

/// What bash is called with. Given the file, it needs no execute bit and no shebang.
///
/// A script with the line ends of Windows would fail at its first `\r`, so bash gets its text without them, as an
/// argument: the file stays as the user sent it, `$0` is run.sh, and lines count as in the file. The first line
/// decides, so that a script with a binary part or a quoted `\r\n` further down is left alone.
fn arguments(script: &Path) -> io::Result<Result<Vec<CString>, String>> {
    let mut file = File::open(script)?;
    let mut first = [0; 4096];
    let length = file.read(&mut first)?;
    let first = &first[..length];
    let line_end = first.iter().position(|byte| *byte == b'\n');
    if !line_end.is_some_and(|at| at > 0 && first[at - 1] == b'\r') {
        return Ok(Ok(vec![c"bash".into(), c"run.sh".into()]));
    }
    let mut text = first.to_vec();
    file.take(ARGUMENT_MAX).read_to_end(&mut text)?;
    // Before anything is taken out of it: a script that was cut at the limit must not run.
    if text.len() as u64 >= ARGUMENT_MAX {
        return Ok(Err(
            "run.sh has the line ends of Windows and is longer than 128 KiB; convert it, for example with \
                       dos2unix"
                .to_owned(),
        ));
    }
    // A NUL is nothing that bash could run either way; it says so better than we could.
    Ok(Ok(match CString::new(without_carriage_returns(&text)) {
        Ok(text) => vec![c"bash".into(), c"-c".into(), text, c"run.sh".into()],
        Err(NulError { .. }) => vec![c"bash".into(), c"run.sh".into()],
    }))
}

fn without_carriage_returns(text: &[u8]) -> Vec<u8> {
    let mut clean = Vec::with_capacity(text.len());
    for (at, byte) in text.iter().enumerate() {
        let ends_line = *byte == b'\r' && text.get(at + 1).is_none_or(|next| *next == b'\n');
        if !ends_line {
            clean.push(*byte);
        }
    }
    clean
}

fn environment(start: &Start) -> Result<Vec<CString>, NulError> {
    let variable = |name: &str, value: &[u8]| CString::new([name.as_bytes(), b"=", value].concat());
    let text = |name: &str, value: &dyn ToString| variable(name, value.to_string().as_bytes());
    let submission = &start.submission;
    Ok(vec![
        text("PATH", &PATH)?,
        text("LANG", &"C.UTF-8")?,
        variable("HOME", start.dir.join(WORK_DIR).as_os_str().as_bytes())?,
        variable("TMPDIR", start.dir.join(TEMP_DIR).as_os_str().as_bytes())?,
        text("ORCHESTRATOR_JOB_ID", &submission.job)?,
        text("ORCHESTRATOR_USER_ID", &submission.user)?,
        text("ORCHESTRATOR_SERVICE", &submission.service)?,
        text("ORCHESTRATOR_ATTEMPT", &submission.attempt)?,
        text("ORCHESTRATOR_SLOTS", &submission.slots)?,
        text(MARK, &submission.assignment)?,
    ])
}
