//! The settings of the client.

use super::{CLUSTER_KEY, Key, Kind, LOG, LOG_FORMAT, Mode, SHUTDOWN};

pub const CLIENT: &Mode = &Mode {
    table: "client",
    keys: &[
        Key {
            name: "listen",
            flag: "listen",
            variables: &["ORCHESTRATOR_LISTEN"],
            kind: Kind::Text,
            value_name: "ADDRESS:PORT",
            default: "127.0.0.1:9000",
            help: "Where to listen. The predecessor listened on 0.0.0.0; this one stays on loopback until told otherwise: \
                   a client runs strangers' code, so an address beyond it needs --cluster-key. The variable PORT changes \
                   the port only",
        },
        Key {
            name: "data_dir",
            flag: "data-dir",
            variables: &["ORCHESTRATOR_DATA_DIR", "DATA_PATH"],
            kind: Kind::Text,
            value_name: "DIR",
            default: "orchestrator-data/client",
            help: "Where jobs run and results wait to be fetched. One process at a time",
        },
        Key {
            name: "slots",
            flag: "slots",
            variables: &["ORCHESTRATOR_SLOTS"],
            kind: Kind::Number,
            value_name: "N",
            default: "",
            help: "How many jobs of one slot run at once. Without it one for each core",
        },
        Key {
            name: "join",
            flag: "join",
            variables: &["ORCHESTRATOR_JOIN"],
            kind: Kind::Text,
            value_name: "FILE",
            default: "",
            help: "Join the server that wrote this file, as an instance of one of its pools. What it says of slots and \
                   labels counts where nothing else is given. An instance gets it when it boots; there is no need to write \
                   one by hand",
        },
        Key {
            name: "labels",
            flag: "label",
            variables: &["ORCHESTRATOR_LABELS"],
            kind: Kind::Labels,
            value_name: "KEY=VALUE",
            default: "",
            help: "What this machine has, for jobs that require it: --label gpu --label memory_gb=64. Repeatable; \
                   comma-separated in the variable",
        },
        Key {
            name: "kill_grace_seconds",
            flag: "kill-grace-seconds",
            variables: &["ORCHESTRATOR_KILL_GRACE_SECONDS"],
            kind: Kind::Number,
            value_name: "SECONDS",
            default: "5",
            help: "From TERM to KILL for what is left of an ended or killed job",
        },
        Key {
            name: "max_result_bytes",
            flag: "max-result-bytes",
            variables: &["ORCHESTRATOR_MAX_RESULT_BYTES"],
            kind: Kind::Number,
            value_name: "BYTES",
            default: "10000000000",
            help: "The largest result of one job, before packing",
        },
        Key {
            name: "no_isolation",
            flag: "no-isolation",
            variables: &["ORCHESTRATOR_NO_ISOLATION"],
            kind: Kind::Switch,
            value_name: "",
            default: "false",
            help: "Run scripts with the client's own rights: every job can read and do what the client can. Only for \
                   scripts of people you trust",
        },
        Key {
            name: "uid_range",
            flag: "uid-range",
            variables: &["ORCHESTRATOR_UID_RANGE"],
            kind: Kind::Text,
            value_name: "FIRST-LAST",
            default: "1879048192-1879113727",
            help: "The numbers of the users that jobs run as, where the client is root: one for each job that runs. \
                   Nothing else on this machine may have them",
        },
        CLUSTER_KEY,
        SHUTDOWN,
        LOG,
        LOG_FORMAT,
    ],
};
