//! Crash points: the moments at which a test kills this process, to see what a restart makes of it.
//!
//! Owns the list of the moments and the one function that the code calls when it passes one. Each lies between two
//! steps that are durable by themselves, or between a durable step and the message that tells of it. Without the
//! feature `crash-points`, which no release has, passing one does nothing.

/// A moment between two steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CrashPoint {
    /// Server: the files of an upload are written, and not synced.
    UploadWritten,
    /// Server: the files of an upload are durable, its row is not there.
    UploadDurable,
    /// Server: a job's row is committed, the caller does not know.
    JobCommitted,
    /// Server: a decision was made, nothing of it is committed.
    Decided,
    /// Server: assignments are committed, nobody was told.
    Assigned,
    /// Server: a client holds a payload and said so, which is not recorded.
    PayloadSent,
    /// Server: a delivery is recorded.
    DeliveryCommitted,
    /// Server: a client's events were heard, and not applied.
    EventsHeard,
    /// Server: results are durable, the job's end is not recorded.
    ResultsStored,
    /// Server: a job's end is committed, the client was not told that it may forget.
    EndCommitted,
    /// Server: a request to end a job is committed, nobody acted on it.
    KillCommitted,
    /// Server: a client was told to end an attempt.
    KillSent,
    /// Server: jobs are Cleaned, their files are still there.
    CleanedCommitted,
    /// Server: the row of an instance is committed, its provider was not asked.
    InstanceRequested,
    /// Server: a provider answered a launch, which is not recorded.
    InstanceAnswered,
    /// Server: that an instance shall end is committed, its provider was not told.
    InstanceEnding,
    /// Client: a payload is whole, and not recorded.
    PayloadWhole,
    /// Client: a payload is recorded, the server was not told.
    PayloadRecorded,
    /// Client: the launcher was asked for a keeper.
    KeeperAsked,
    /// Client: an attempt's end was read, nobody was told.
    EndRead,
    /// Client: an end was acknowledged, the attempt is still on the disk.
    Acknowledged,
    /// Client: a request to end an attempt was heard, nothing was done.
    KillHeard,
    /// Keeper: it is recorded, run.sh was not started.
    KeeperRecorded,
    /// Keeper: run.sh was started.
    ScriptStarted,
    /// Keeper: run.sh has ended, which is not recorded.
    ScriptEnded,
    /// Keeper: the end is recorded.
    EndRecorded,
}

#[cfg(not(feature = "crash-points"))]
impl CrashPoint {
    /// The process passes this moment.
    pub fn passed(self) {}
}

/// The variable that arms a process below this one in the same way; none without the feature.
#[cfg(not(feature = "crash-points"))]
#[must_use]
pub fn inherited() -> Option<(&'static str, String)> {
    None
}

#[cfg(feature = "crash-points")]
pub use armed::{ArmError, VARIABLE, arm, inherited};

#[cfg(feature = "crash-points")]
mod armed {
    use std::str::FromStr;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::CrashPoint;

    /// Arms one point of a process: `NAME`, or `NAME:N` for the N-th time it is passed. Keepers inherit it.
    pub const VARIABLE: &str = "CRASH_AT";

    struct Armed {
        text: String,
        point: CrashPoint,
        left: AtomicU32,
    }

    static ARMED: OnceLock<Armed> = OnceLock::new();

    /// A text that names no crash point.
    #[derive(Debug, thiserror::Error)]
    #[error("`{0}` is no crash point; NAME or NAME:N")]
    pub struct ArmError(String);

    /// Lets this process end, as by `kill -9`, when it passes the point that `text` names.
    ///
    /// # Errors
    /// There is no such point.
    pub fn arm(text: &str) -> Result<(), ArmError> {
        let (name, times) = text.split_once(':').unwrap_or((text, "1"));
        let unknown = || ArmError(text.to_owned());
        let armed = Armed {
            text: text.to_owned(),
            point: name.parse().map_err(|()| unknown())?,
            left: times.parse::<u32>().map_err(|_| unknown())?.into(),
        };
        // A process is armed once, before anything else runs in it.
        let _already = ARMED.set(armed);
        Ok(())
    }

    /// The variable that arms a process below this one in the same way.
    #[must_use]
    pub fn inherited() -> Option<(&'static str, String)> {
        ARMED.get().map(|armed| (VARIABLE, armed.text.clone()))
    }

    impl CrashPoint {
        /// Every point, in the order of a job's way.
        pub const ALL: [Self; 26] = [
            Self::UploadWritten,
            Self::UploadDurable,
            Self::JobCommitted,
            Self::Decided,
            Self::Assigned,
            Self::PayloadSent,
            Self::DeliveryCommitted,
            Self::EventsHeard,
            Self::ResultsStored,
            Self::EndCommitted,
            Self::KillCommitted,
            Self::KillSent,
            Self::CleanedCommitted,
            Self::InstanceRequested,
            Self::InstanceAnswered,
            Self::InstanceEnding,
            Self::PayloadWhole,
            Self::PayloadRecorded,
            Self::KeeperAsked,
            Self::EndRead,
            Self::Acknowledged,
            Self::KillHeard,
            Self::KeeperRecorded,
            Self::ScriptStarted,
            Self::ScriptEnded,
            Self::EndRecorded,
        ];

        /// The process passes this moment, and ends there if it was armed.
        pub fn passed(self) {
            let Some(armed) = ARMED.get().filter(|armed| armed.point == self) else { return };
            if armed.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                // The signal that nothing can catch, so that nothing cleans up.
                let _ = nix::sys::signal::raise(nix::sys::signal::Signal::SIGKILL);
            }
        }
    }

    impl FromStr for CrashPoint {
        type Err = ();

        fn from_str(text: &str) -> Result<Self, ()> {
            Self::ALL.into_iter().find(|point| format!("{point:?}") == text).ok_or(())
        }
    }
}
