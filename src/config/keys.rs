//! Which settings there are: the one table that flags, help, environment, file and defaults are made from.

mod client;
pub(super) mod pool;

pub use client::CLIENT;

/// What kind of value a setting has, which decides how it is written on the command line and in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Text,
    /// A whole number.
    Number,
    /// Any number.
    Decimal,
    /// A flag without value; `true` or `false` elsewhere.
    Switch,
    /// A repeated flag, a comma-separated variable, a table in the file.
    Labels,
}

/// One setting of a mode.
#[derive(Debug)]
pub struct Key {
    /// Its key in the mode's table of the file, and its name in reports.
    pub name: &'static str,
    /// Without the dashes.
    pub flag: &'static str,
    /// Environment variables, the first that is set counts. The predecessor's names come last.
    pub variables: &'static [&'static str],
    pub kind: Kind,
    /// What stands for the value in the help.
    pub value_name: &'static str,
    /// Written as in the environment. Empty: not set, or computed from the machine or from other settings.
    pub default: &'static str,
    pub help: &'static str,
}

/// The settings of one mode and the file's table they are in.
#[derive(Debug)]
pub struct Mode {
    pub table: &'static str,
    pub keys: &'static [Key],
}

pub const SERVER: &Mode = &Mode {
    table: "server",
    keys: &[
        Key {
            name: "listen",
            flag: "listen",
            variables: &["ORCHESTRATOR_LISTEN"],
            kind: Kind::Text,
            value_name: "ADDRESS:PORT",
            default: "127.0.0.1:5000",
            help: "Where to listen. The predecessor listened on 0.0.0.0; this one stays on loopback until told otherwise: \
                   an address beyond it needs --cluster-key and --allow-anonymous. The variable PORT changes the port only",
        },
        Key {
            name: "data_dir",
            flag: "data-dir",
            variables: &["ORCHESTRATOR_DATA_DIR", "DATA_PATH"],
            kind: Kind::Text,
            value_name: "DIR",
            default: "orchestrator-data/server",
            help: "Where uploads and results are kept. One process at a time",
        },
        Key {
            name: "db_path",
            flag: "db-path",
            variables: &["ORCHESTRATOR_DB_PATH", "DB_PATH"],
            kind: Kind::Text,
            value_name: "FILE",
            default: "",
            help: "The database file. Without it orchestrator.sqlite in the data directory",
        },
        Key {
            name: "max_age_seconds",
            flag: "max-age-seconds",
            variables: &["ORCHESTRATOR_MAX_AGE_SECONDS", "MAX_AGE"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "864000",
            help: "How long an ended job's files are kept",
        },
        Key {
            name: "max_upload_bytes",
            flag: "max-upload-bytes",
            variables: &["ORCHESTRATOR_MAX_UPLOAD_BYTES"],
            kind: Kind::Number,
            value_name: "BYTES",
            default: "419430400",
            help: "The largest upload, all its files together",
        },
        Key {
            name: "download_contract",
            flag: "download-contract",
            variables: &["ORCHESTRATOR_DOWNLOAD_CONTRACT"],
            kind: Kind::Text,
            value_name: "seed|v2",
            default: "seed",
            help: "Which generation of the predecessor's GET /download/{id} is spoken. seed: 202 while the job runs, 204 \
                   without results; v2: always 200",
        },
        Key {
            name: "policies",
            flag: "policies",
            variables: &["ORCHESTRATOR_POLICIES"],
            kind: Kind::Text,
            value_name: "DIR",
            default: "",
            help: "A folder of policies: KIND-NAME.wasm, their settings KIND-NAME.toml, and active.toml, which says which \
                   decide. A change in it comes into force by itself; what was asked for last wins",
        },
        CLUSTER_KEY,
        Key {
            name: "public_url",
            flag: "public-url",
            variables: &["ORCHESTRATOR_PUBLIC_URL"],
            kind: Kind::Text,
            value_name: "URL",
            default: "",
            help: "Where instances of pools reach this server to fetch the program and to register, such as \
                   https://10.0.0.2:5001. They know it by its key, so no certificate has to be bought. Needed for pools on \
                   EC2; without it instances are processes of this machine",
        },
        Key {
            name: "join_listen",
            flag: "join-listen",
            variables: &["ORCHESTRATOR_JOIN_LISTEN"],
            kind: Kind::Text,
            value_name: "ADDRESS:PORT",
            default: "",
            help: "Where to listen for instances, if there is a pool. Without it the port of --public-url on all addresses, \
                   or on loopback where that is loopback. Every instance has a secret of its own and speaks TLS, so this \
                   address needs no cluster key. It must not be that of --listen",
        },
        Key {
            name: "client_binary",
            flag: "client-binary",
            variables: &["ORCHESTRATOR_CLIENT_BINARY"],
            kind: Kind::Labels,
            value_name: "ARCHITECTURE=FILE",
            default: "",
            help: "The program for instances of another architecture than this machine's: x86_64=FILE or aarch64=FILE. \
                   Repeatable. It is this program, built for there, and static, or their image needs its libraries",
        },
        Key {
            name: "allow_anonymous",
            flag: "allow-anonymous",
            variables: &["ORCHESTRATOR_ALLOW_ANONYMOUS"],
            kind: Kind::Switch,
            value_name: "",
            default: "false",
            help: "Let everybody who reaches the address submit and read jobs. Needed beyond loopback",
        },
        Key {
            name: "reserve_after_seconds",
            flag: "reserve-after-seconds",
            variables: &["ORCHESTRATOR_RESERVE_AFTER_SECONDS"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "600",
            help: "How long a job waits because of its size before a client is kept free for it",
        },
        Key {
            name: "lost_after_seconds",
            flag: "lost-after-seconds",
            variables: &["ORCHESTRATOR_LOST_AFTER_SECONDS"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "300",
            help: "How long a client may be silent before its jobs are given to others",
        },
        Key {
            name: "client_timeout_seconds",
            flag: "client-timeout-seconds",
            variables: &["ORCHESTRATOR_CLIENT_TIMEOUT_SECONDS"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "10",
            help: "How long a client may be silent within one call before the call counts as unanswered",
        },
        Key {
            name: "quarantine_seconds",
            flag: "quarantine-seconds",
            variables: &["ORCHESTRATOR_QUARANTINE_SECONDS"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "600",
            help: "How long a client whose attempts keep ending badly gets no work before it is tried with one job; \
                   doubled each time that goes wrong. 0: no client is quarantined",
        },
        Key {
            name: "max_result_bytes",
            flag: "max-result-bytes",
            variables: &["ORCHESTRATOR_MAX_RESULT_BYTES"],
            kind: Kind::Number,
            value_name: "BYTES",
            default: "10000000000",
            help: "The largest result of one job, packed, that is taken from a client",
        },
        SHUTDOWN,
        LOG,
        LOG_FORMAT,
    ],
};

const CLUSTER_KEY: Key = Key {
    name: "cluster_key_file",
    flag: "cluster-key",
    variables: &["ORCHESTRATOR_CLUSTER_KEY_FILE"],
    kind: Kind::Text,
    value_name: "FILE",
    default: "",
    help: "The file with the key that server and clients share; `job-orchestrator cluster-key FILE` makes one",
};

const SHUTDOWN: Key = Key {
    name: "shutdown_seconds",
    flag: "shutdown-seconds",
    variables: &["ORCHESTRATOR_SHUTDOWN_SECONDS"],
    kind: Kind::Number,
    value_name: "SECONDS",
    // Docker kills 10 s after its TERM.
    default: "8",
    help: "How long a stopping process finishes what it has begun. A second TERM ends it at once",
};

const LOG: Key = Key {
    name: "log",
    flag: "log",
    variables: &[LOG_VARIABLE],
    kind: Kind::Text,
    value_name: "FILTER",
    default: "info",
    help: "What is logged to stderr: error, warn, info, debug, trace, or per module as in info,sqlx=warn",
};

const LOG_FORMAT: Key = Key {
    name: "log_format",
    flag: "log-format",
    variables: &["ORCHESTRATOR_LOG_FORMAT"],
    kind: Kind::Text,
    value_name: "human|json",
    default: "human",
    help: "How the log is written",
};

/// Names the configuration file.
pub const CONFIG_FLAG: &str = "config";
pub const CONFIG_VARIABLE: &str = "ORCHESTRATOR_CONFIG";
pub const LOG_VARIABLE: &str = "ORCHESTRATOR_LOG";
/// The server that `submit`, `status` and `download` talk to.
pub const SERVER_VARIABLE: &str = "ORCHESTRATOR_SERVER";
/// The predecessor's variable for the port; ours is the whole address.
pub const PORT_VARIABLE: &str = "PORT";

/// For tests: where the machine's provider tells of it, instead of what the invitation says.
pub const METADATA_VARIABLE: &str = "ORCHESTRATOR_IMDS_ENDPOINT";

/// Every variable with our prefix that means something to one of the commands.
pub(super) fn variables() -> impl Iterator<Item = &'static str> {
    let of_modes = [SERVER, CLIENT].into_iter().flat_map(|mode| mode.keys).flat_map(|key| key.variables).copied();
    of_modes
        .chain([CONFIG_VARIABLE, SERVER_VARIABLE, METADATA_VARIABLE])
        .filter(|name| name.starts_with("ORCHESTRATOR_"))
}

/// The keys of `[service.NAME]`; in the environment `SERVICE_<NAME>_` and the key in capitals.
pub(super) mod service {
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
    pub const FILES: &str = "max_files";
    pub const PROCESSES: &str = "max_processes";
    pub const OPEN_FILES: &str = "max_open_files";
    pub const CPU: &str = "cpu_percent";
    /// Only in the file: base URLs of clients.
    pub const CLIENTS: &str = "clients";
    /// Only in the file: the operator's own script, and a table of what it is given.
    pub const RUN: &str = "run";
    pub const PARAMETERS: &str = "parameters";
    /// Only in the environment: the predecessor's way to name one client by its three calls.
    pub const UPLOAD_URL: &str = "upload_url";
    pub const DOWNLOAD_URL: &str = "download_url";
    pub const TERMINATE_URL: &str = "terminate_url";

    pub const IN_FILE: [&str; 16] = [
        RUNS_PER_USER,
        MAX_RUNS,
        DOWNLOAD_CONTRACT,
        WALLTIME,
        ON_CONTACT_LOST,
        UNTRUSTED,
        NETWORK,
        MEMORY,
        DISK,
        FILES,
        PROCESSES,
        OPEN_FILES,
        CPU,
        CLIENTS,
        RUN,
        PARAMETERS,
    ];
    pub const IN_ENVIRONMENT: [&str; 16] = [
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
        FILES,
        PROCESSES,
        OPEN_FILES,
        CPU,
    ];
}
