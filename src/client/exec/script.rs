//! How run.sh is started: by bash, in the job's directory, with the job's own environment and nothing of the client's.

use std::ffi::{CStr, CString, NulError};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::spawn::{PosixSpawnAttr, PosixSpawnFileActions, PosixSpawnFlags, posix_spawn};
use nix::sys::signal::SigSet;
use rustix::process::Pid;

use crate::protocol::{PARAMETERS_FILE, PARAMETERS_VARIABLE, Parameters, Submission};

/// The file of the payload that is run.
pub const SCRIPT: &str = "run.sh";
/// In the environment of everything that a job starts: the mark by which it is found when its keeper is gone.
pub const MARK: &str = "ORCHESTRATOR_ASSIGNMENT";
const BASH: &CStr = c"/bin/bash";
/// What jobs find programs by, whatever the client was started with.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Not in every libc's headers for Rust; glibc and musl both have it.
const POSIX_SPAWN_SETSID: i32 = 0x80;
/// The longest argument that Linux hands to a program, in bytes with its end.
const ARGUMENT_MAX: u64 = 128 * 1024;

/// Where the script finds what is its own.
pub(super) struct Homes<'a> {
    pub work: &'a Path,
    pub temp: &'a Path,
    /// The name for its user, where that is not the client's and the machine has none for it.
    pub user: Option<&'a str>,
}

/// What bash is called with.
pub(super) struct Script {
    arguments: Vec<CString>,
    environment: Vec<CString>,
}

/// Makes run.sh of the current directory ready, or says what is wrong with it.
///
/// # Errors
/// The file system's.
pub(super) fn prepare(submission: &Submission, homes: &Homes<'_>) -> io::Result<Result<Script, String>> {
    Ok(match arguments(Path::new(SCRIPT))? {
        Ok(arguments) => Ok(Script { arguments, environment: environment(submission, homes)? }),
        Err(why) => Err(why),
    })
}

impl Script {
    /// Starts it in the current directory with this process's standard descriptors.
    ///
    /// # Errors
    /// The machine's: no bash, no more processes.
    pub(super) fn spawn(&self) -> io::Result<Pid> {
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
        let pid = posix_spawn(BASH, &no_actions, &attributes, &self.arguments, &self.environment)?;
        Pid::from_raw(pid.as_raw()).ok_or_else(|| io::Error::other("bash was not given a process id"))
    }
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

fn environment(submission: &Submission, homes: &Homes<'_>) -> io::Result<Vec<CString>> {
    let text = |name: &str, value: &dyn ToString| variable(name, value.to_string().as_bytes());
    let mut environment = vec![
        text("PATH", &PATH)?,
        text("LANG", &"C.UTF-8")?,
        variable("HOME", homes.work.as_os_str().as_bytes())?,
        variable("TMPDIR", homes.temp.as_os_str().as_bytes())?,
        text("ORCHESTRATOR_JOB_ID", &submission.job)?,
        text("ORCHESTRATOR_USER_ID", &submission.user)?,
        text("ORCHESTRATOR_SERVICE", &submission.service)?,
        text("ORCHESTRATOR_ATTEMPT", &submission.attempt)?,
        text("ORCHESTRATOR_SLOTS", &submission.slots)?,
        text(MARK, &submission.assignment)?,
    ];
    if let Some(user) = homes.user {
        environment.extend([text("USER", &user)?, text("LOGNAME", &user)?]);
    }
    if submission.parameters {
        environment.extend(parameters(homes.work)?);
    }
    Ok(environment)
}

fn variable(name: &str, value: &[u8]) -> Result<CString, NulError> {
    CString::new([name.as_bytes(), b"=", value].concat())
}

/// The declared values, from the file that the server sent. Nothing of the job ran yet, so it is as it came.
fn parameters(work: &Path) -> io::Result<Vec<CString>> {
    let parameters: Parameters = serde_json::from_slice(&std::fs::read(PARAMETERS_FILE)?)?;
    let file = variable(PARAMETERS_VARIABLE, work.join(PARAMETERS_FILE).as_os_str().as_bytes())?;
    let values = parameters.variables().map(|(name, value)| variable(&name, value.as_bytes()));
    Ok(std::iter::once(Ok(file)).chain(values).collect::<Result<_, _>>()?)
}
