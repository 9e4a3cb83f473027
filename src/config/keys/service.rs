//! The keys of `[service.NAME]`; in the environment `SERVICE_<NAME>_` and the key in capitals.

pub const RUNS_PER_USER: &str = "runs_per_user";
pub const MAX_RUNS: &str = "max_runs";
pub const DOWNLOAD_CONTRACT: &str = "download_contract";
/// The longest that run.sh may run; none without it.
pub const WALLTIME: &str = "walltime_seconds";
/// `finish` or `stop`.
pub const ON_CONTACT_LOST: &str = "on_contact_lost";
/// Whether its scripts are strangers', which is so without it.
pub const UNTRUSTED: &str = "untrusted";
/// `host` or `none`.
pub const NETWORK: &str = "network";
/// What one job may use.
pub const MEMORY: &str = "memory_bytes";
pub const DISK: &str = "disk_bytes";
pub const PROCESSES: &str = "max_processes";
pub const OPEN_FILES: &str = "max_open_files";
/// Only in the file: base URLs of clients.
pub const CLIENTS: &str = "clients";
/// Only in the environment: the predecessor's way to name one client by its three calls.
pub const UPLOAD_URL: &str = "upload_url";
pub const DOWNLOAD_URL: &str = "download_url";
pub const TERMINATE_URL: &str = "terminate_url";

pub const IN_FILE: [&str; 12] = [
    RUNS_PER_USER,
    MAX_RUNS,
    DOWNLOAD_CONTRACT,
    WALLTIME,
    ON_CONTACT_LOST,
    UNTRUSTED,
    NETWORK,
    MEMORY,
    DISK,
    PROCESSES,
    OPEN_FILES,
    CLIENTS,
];
pub const IN_ENVIRONMENT: [&str; 14] = [
    UPLOAD_URL,
    DOWNLOAD_URL,
    TERMINATE_URL,
    RUNS_PER_USER,
    MAX_RUNS,
    DOWNLOAD_CONTRACT,
    WALLTIME,
    ON_CONTACT_LOST,
    UNTRUSTED,
    NETWORK,
    MEMORY,
    DISK,
    PROCESSES,
    OPEN_FILES,
];
