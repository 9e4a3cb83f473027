//! Promises of the layers, the merge, the doors and the mistakes.

mod pools;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tempfile::TempDir;

use super::settings::{ClientSettings, DownloadContract, ServerSettings};
use super::{Flags, InForce, Mistakes, Origin, keys};

#[path = "script_tests.rs"]
mod scripts;

/// The layers of one start of a mode.
#[derive(Default)]
struct Start {
    flags: Vec<(&'static str, String)>,
    variables: Vec<(String, String)>,
    file: Option<(TempDir, PathBuf)>,
}

impl Start {
    fn flag(mut self, name: &'static str, text: impl Into<String>) -> Self {
        self.flags.push((name, text.into()));
        self
    }

    fn variable(mut self, name: &str, text: impl Into<String>) -> Self {
        self.variables.push((name.into(), text.into()));
        self
    }

    fn file(mut self, text: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("orchestrator.toml");
        fs::write(&path, text).unwrap();
        self.file = Some((dir, path));
        self
    }

    fn flags(&self, mode: &keys::Mode) -> Flags {
        let mut flags = Flags::new(self.file.as_ref().map(|(_, path)| path.display().to_string()));
        for (name, text) in &self.flags {
            flags.set(mode.keys.iter().find(|key| key.name == *name).unwrap(), text.clone());
        }
        flags
    }

    fn server(&self) -> Result<InForce<ServerSettings>, Mistakes> {
        super::server(self.flags(keys::SERVER), &self.variables.iter().cloned().collect())
    }

    fn client(&self) -> Result<InForce<ClientSettings>, Mistakes> {
        super::client(self.flags(keys::CLIENT), &self.variables.iter().cloned().collect())
    }

    /// The mistakes as they are printed, one after the other.
    fn mistakes(&self) -> Vec<String> {
        self.server().unwrap_err().0.iter().map(ToString::to_string).collect()
    }

    fn only_mistake(&self) -> String {
        let mut mistakes = self.mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        mistakes.remove(0)
    }
}

fn start() -> Start {
    Start::default()
}

fn key_file(dir: &Path, key: &str, mode: u32) -> String {
    let path = dir.join("key");
    fs::write(&path, key).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    path.display().to_string()
}

const KEY: &str = "0123456789abcdef0123456789abcdef";

#[test]
fn higher_layer_wins_and_its_origin_is_told() {
    let file = "[server]\nmax_age_seconds = 1";
    let layers = [
        (start(), 864_000, "default"),
        (start().file(file), 1, "file"),
        (start().file(file).variable("MAX_AGE", "2"), 2, "environment MAX_AGE"),
        (
            start().file(file).variable("MAX_AGE", "2").variable("ORCHESTRATOR_MAX_AGE_SECONDS", "3"),
            3,
            "environment ORCHESTRATOR_MAX_AGE_SECONDS",
        ),
        (start().file(file).variable("MAX_AGE", "2").flag("max_age_seconds", "4"), 4, "flag --max-age-seconds"),
    ];
    for (layers, seconds, origin) in layers {
        let in_force = layers.server().unwrap();
        assert_eq!(in_force.settings.max_age, Duration::from_secs(seconds));
        let line = in_force.report.0.iter().find(|line| line.name == "server.max_age_seconds").unwrap();
        assert_eq!(line.value, seconds.to_string());
        assert!(line.origin.to_string().starts_with(origin), "{}", line.origin);
    }
}

#[test]
fn every_default_is_a_valid_value() {
    let server = start().server().unwrap().settings;
    assert_eq!(server.listen.to_string(), "127.0.0.1:5000");
    assert_eq!(server.db_path, server.data_dir.join("orchestrator.sqlite"));
    assert!(server.data_dir.is_absolute());
    let client = start().client().unwrap().settings;
    assert_eq!(client.listen.to_string(), "127.0.0.1:9000");
    assert!(client.slots >= 1);
    assert_eq!((client.kill_grace, client.max_result_bytes), (Duration::from_secs(5), 10_000_000_000));
}

#[test]
fn empty_variable_counts_as_not_set() {
    assert_eq!(start().variable("PORT", "").server().unwrap().settings.listen.port(), 5000);
}

#[test]
fn port_changes_only_the_port_and_never_the_address() {
    let listen = |start: Start| start.server().unwrap().settings.listen.to_string();
    assert_eq!(listen(start().variable("PORT", "80")), "127.0.0.1:80");
    assert_eq!(listen(start().variable("PORT", "80").file("[server]\nlisten = \"[::1]:1\"")), "[::1]:80");
    assert_eq!(listen(start().variable("PORT", "80").variable("ORCHESTRATOR_LISTEN", "127.0.0.2:1")), "127.0.0.2:1");
    assert_eq!(listen(start().variable("PORT", "80").flag("listen", "127.0.0.3:1")), "127.0.0.3:1");
}

#[test]
fn predecessors_variables_configure_a_service() {
    let server = start()
        .variable("DATA_PATH", "/data")
        .variable("DB_PATH", "/db.sqlite")
        .variable("SERVICE_EXAMPLE_UPLOAD_URL", "http://client:9000/submit")
        .variable("SERVICE_EXAMPLE_DOWNLOAD_URL", "http://client:9000/retrieve")
        .variable("SERVICE_EXAMPLE_TERMINATE_URL", "http://client:9000/kill/")
        .variable("SERVICE_EXAMPLE_RUNS_PER_USER", "2")
        .server()
        .unwrap()
        .settings;
    assert_eq!((server.data_dir, server.db_path), ("/data".into(), "/db.sqlite".into()));
    let service = &server.services[&"example".parse().unwrap()];
    assert_eq!((service.limits.runs_per_user, service.limits.max_runs), (2, 10));
    let [client] = &server.clients[..] else { panic!("{:?}", server.clients) };
    assert_eq!(client.name.as_str(), "http://client:9000");
    assert_eq!(client.submit_url, "http://client:9000/submit");
    assert_eq!(client.retrieve_url, "http://client:9000/retrieve");
    assert_eq!(client.kill_url.as_deref(), Some("http://client:9000/kill"));
}

#[test]
fn service_names_may_contain_underscores() {
    let server = start()
        .variable("SERVICE_MY_LONG_SERVICE_UPLOAD_URL", "http://client:9000/submit")
        .variable("SERVICE_MY_LONG_SERVICE_DOWNLOAD_URL", "http://client:9000/retrieve")
        .variable("SERVICE_MY_LONG_SERVICE_MAX_RUNS", "7")
        .variable("SERVICE_MY_LONG_SERVICE_DOWNLOAD_CONTRACT", "v2")
        .server()
        .unwrap()
        .settings;
    let service = &server.services[&"my_long_service".parse().unwrap()];
    assert_eq!((service.limits.max_runs, service.download_contract), (7, Some(DownloadContract::V2)));
    assert_eq!(server.clients[0].kill_url, None);
}

#[test]
fn environment_and_file_of_one_service_are_merged_by_key() {
    let in_force = start()
        .file("[service.example]\nruns_per_user = 1\nmax_runs = 20\nclients = [\"http://10.0.0.5:9000/\"]")
        .variable("SERVICE_EXAMPLE_RUNS_PER_USER", "3")
        .server()
        .unwrap();
    let service = &in_force.settings.services[&"example".parse().unwrap()];
    assert_eq!((service.limits.runs_per_user, service.limits.max_runs), (3, 20));
    assert_eq!(in_force.settings.clients[0].submit_url, "http://10.0.0.5:9000/submit");
    let origin = |name: &str| in_force.report.0.iter().find(|line| line.name == name).unwrap().origin.to_string();
    assert_eq!(origin("service.example.runs_per_user"), "environment SERVICE_EXAMPLE_RUNS_PER_USER");
    assert!(origin("service.example.max_runs").starts_with("file "));
}

#[test]
fn one_address_in_several_services_is_one_client() {
    let server = start()
        .file("[service.a]\nclients = [\"http://h:1\", \"http://h:2\"]\n[service.b]\nclients = [\"http://h:1/\"]")
        .variable("SERVICE_C_UPLOAD_URL", "http://h:1/submit")
        .variable("SERVICE_C_DOWNLOAD_URL", "http://h:1/retrieve")
        .server()
        .unwrap()
        .settings;
    let services = |client: &super::settings::StaticClient| {
        client.services.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    };
    let clients: Vec<_> = server.clients.iter().map(|client| (client.name.as_str(), services(client))).collect();
    assert_eq!(clients, [("http://h:1", "a b c".to_owned()), ("http://h:2", "a".to_owned())]);
    assert_eq!(server.clients[0].kill_url.as_deref(), Some("http://h:1/kill"));
}

#[test]
fn service_of_the_file_may_have_no_clients() {
    assert_eq!(start().file("[service.later]").server().unwrap().settings.services.len(), 1);
}

#[test]
fn incomplete_service_says_what_is_missing() {
    let upload = "SERVICE_X_UPLOAD_URL";
    let table = [
        (start().variable(upload, "http://h:1/submit"), "without SERVICE_X_DOWNLOAD_URL\n"),
        (start().variable("SERVICE_X_DOWNLOAD_URL", "http://h:1/retrieve"), "without SERVICE_X_UPLOAD_URL\n"),
        (start().variable("SERVICE_X_MAX_RUNS", "1"), "without SERVICE_X_UPLOAD_URL and SERVICE_X_DOWNLOAD_URL\n"),
        (
            start().file("[service.x]").variable("SERVICE_X_TERMINATE_URL", "http://h:1/kill"),
            "without SERVICE_X_UPLOAD",
        ),
    ];
    for (start, expected) in table {
        let mistake = start.only_mistake();
        assert!(mistake.contains(expected), "{mistake}");
    }
}

#[test]
fn each_mistake_names_setting_value_origin_and_remedy() {
    let table: [(Start, &[&str]); 17] = [
        (start().flag("listen", "here"), &["--listen = here (flag)", "127.0.0.1:5000"]),
        (start().variable("PORT", "70000"), &["PORT = 70000 (environment)", "0 to 65535"]),
        (start().variable("MAX_AGE", "soon"), &["MAX_AGE = soon (environment)", "whole number"]),
        (
            start().file("[server]\nmax_age_seconds = \"5\""),
            &["[server] max_age_seconds = \"5\" (file ", "without quotes"],
        ),
        (start().file("[server]\nlisten = 5000"), &["[server] listen = 5000 (file ", "in quotes"]),
        (start().file("[server]\nlissten = \"\""), &["[server] lissten", "did you mean listen?"]),
        (start().file("[client]\nslot = 1"), &["[client] slot", "did you mean slots?"]),
        (start().file("[servers]"), &["servers (file ", "did you mean server?"]),
        (start().file("[fleet.burst]"), &["fleet (file ", "known are server, client, service, pool, provider"]),
        (start().file("[service.x]\nclient = []"), &["[service.x] client", "did you mean clients?"]),
        (start().file("[service.\"X y\"]"), &["[service.X y] = X y", "rename it"]),
        (start().file("[service.x]\nclients = [\"https://h\"]"), &["[service.x] clients = https://h", "http://10."]),
        (start().file("[server"), &["not valid TOML", "line 1"]),
        (start().variable("ORCHESTRATOR_LISTN", "x"), &["ORCHESTRATOR_LISTN (environment)", "ORCHESTRATOR_LISTEN?"]),
        (
            start().variable("SERVICE_A_B_MAX_RUN", "1"),
            &["SERVICE_A_B_MAX_RUN (env", "did you mean SERVICE_A_B_MAX_RUNS?"],
        ),
        (start().variable("ORCHESTRATOR_CONFIG", "/no/such"), &["= /no/such (environment)", "cannot be read"]),
        (start().variable("ORCHESTRATOR_LOG", "a=b=c"), &["ORCHESTRATOR_LOG = a=b=c", "info,sqlx=warn"]),
    ];
    for (start, expected) in table {
        let mistake = start.only_mistake();
        for part in expected {
            assert!(mistake.contains(part), "{part} is not in: {mistake}");
        }
    }
}

#[test]
fn all_mistakes_of_all_layers_are_reported_at_once() {
    let start = start()
        .flag("download_contract", "v3")
        .variable("MAX_AGE", "-1")
        .variable("SERVICE_X_RUNS_PER_USER", "many")
        .file("[server]\nnonsense = 1\nallow_anonymous = \"yes\"");
    let mistakes = start.mistakes();
    assert_eq!(mistakes.len(), 6, "{mistakes:#?}");
}

#[test]
fn variables_of_other_programs_are_left_alone() {
    assert!(start().variable("SERVICE_NAME", "x").variable("SERVICES_A_B", "x").server().is_ok());
}

#[test]
fn client_does_not_mind_the_servers_variables() {
    assert!(start().variable("SERVICE_X_UPLOAD_URL", "http://h/submit").client().is_ok());
}

#[test]
fn labels_come_from_every_layer_in_its_own_form() {
    let labels = |start: Start| start.client().unwrap().settings.labels.to_string();
    assert_eq!(labels(start().flag("labels", "gpu=true,memory_gb=16")), "gpu=true,memory_gb=16");
    assert_eq!(labels(start().variable("ORCHESTRATOR_LABELS", "arch=arm64")), "arch=arm64");
    assert_eq!(labels(start().file("[client]\nlabels = { gpu = true, memory_gb = 16 }")), "gpu=true,memory_gb=16");
    let mistakes = start().file("[client]\nlabels = { a = \"x,gpu\" }").client().unwrap_err();
    assert!(mistakes.to_string().contains("take the comma"), "{mistakes}");
}

#[test]
fn server_beyond_loopback_needs_key_and_anonymous() {
    let dir = tempfile::tempdir().unwrap();
    let key = key_file(dir.path(), KEY, 0o600);
    let beyond = || start().flag("listen", "0.0.0.0:5000");
    assert_eq!(beyond().mistakes().len(), 2);
    assert!(beyond().flag("cluster_key_file", &key).only_mistake().contains("--allow-anonymous"));
    assert!(beyond().flag("allow_anonymous", "true").only_mistake().contains("--cluster-key"));
    let settings = beyond().flag("cluster_key_file", &key).flag("allow_anonymous", "true").server().unwrap().settings;
    assert_eq!(settings.cluster_key.unwrap().reveal(), KEY);
}

#[test]
fn client_beyond_loopback_needs_a_key() {
    let dir = tempfile::tempdir().unwrap();
    let beyond = || start().variable("ORCHESTRATOR_LISTEN", "[::]:9000");
    assert!(beyond().client().unwrap_err().to_string().contains("--cluster-key"));
    assert!(beyond().flag("cluster_key_file", key_file(dir.path(), KEY, 0o600)).client().is_ok());
}

#[test]
fn key_that_others_can_read_or_guess_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let table = [
        (format!("  {KEY}\n"), 0o644, Some("chmod 600")),
        (format!("  {KEY}\n"), 0o640, None),
        (KEY[1..].to_owned(), 0o600, Some("fewer than 32")),
        (format!("{KEY} {KEY}"), 0o600, Some("spaces")),
        (String::new(), 0o600, Some("fewer than 32")),
    ];
    for (key, mode, expected) in table {
        let start = start().flag("cluster_key_file", key_file(dir.path(), &key, mode));
        match expected {
            None => assert!(start.server().is_ok()),
            Some(expected) => {
                let mistake = start.only_mistake();
                assert!(mistake.contains(expected), "{mistake}");
                assert!(key.is_empty() || !mistake.contains(&key), "{mistake}");
            }
        }
    }
}

#[test]
fn key_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let in_force = start().flag("cluster_key_file", key_file(dir.path(), KEY, 0o600)).server().unwrap();
    let shown = format!("{in_force:?}{}{}", in_force.report, in_force.report.to_json());
    assert!(!shown.contains(KEY), "{shown}");
    assert!(shown.contains("set (file "), "{shown}");
}

#[test]
fn made_key_is_usable_private_and_kept() {
    use super::cluster_key::{Made, make, read};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new");
    assert_eq!(make(&path).unwrap(), Made::New);
    let key = read(&path).unwrap();
    assert_eq!(key.reveal().len(), 64);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(make(&path).unwrap(), Made::Kept);
    assert_eq!(read(&path).unwrap(), key);
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "a draft was left behind");
}

#[test]
fn report_shows_values_and_origins_as_a_table() {
    let in_force = start()
        .file("[service.example]\nclients = [\"http://10.0.0.5:9000\"]")
        .variable("DATA_PATH", "/data")
        .flag("max_upload_bytes", "1000")
        .server()
        .unwrap();
    let path = in_force.report.0.iter().find_map(|line| match &line.origin {
        Origin::File(path) => Some(path.display().to_string()),
        _ => None,
    });
    let table: Vec<String> =
        in_force.report.to_string().replace(&path.unwrap(), "FILE").lines().map(str::to_owned).collect();
    assert_eq!(
        table,
        [
            "server.listen                  127.0.0.1:5000             default",
            "server.data_dir                /data                      environment DATA_PATH",
            "server.db_path                 /data/orchestrator.sqlite  default",
            "server.max_age_seconds         864000                     default",
            "server.max_upload_bytes        1000                       flag --max-upload-bytes",
            "server.download_contract       seed                       default",
            "server.policies                not set                    default",
            "server.cluster_key_file        not set                    default",
            "server.public_url              not set                    default",
            "server.join_listen             127.0.0.1:0                default",
            "server.client_binary           not set                    default",
            "server.allow_anonymous         false                      default",
            "server.reserve_after_seconds   600                        default",
            "server.lost_after_seconds      300                        default",
            "server.client_timeout_seconds  10                         default",
            "server.quarantine_seconds      600                        default",
            "server.max_result_bytes        10000000000                default",
            "server.shutdown_seconds        8                          default",
            "server.log                     info                       default",
            "server.log_format              human                      default",
            "service.example.runs_per_user  5                          default",
            "service.example.max_runs       10                         default",
            "service.example.clients        http://10.0.0.5:9000       file FILE",
        ]
    );
}
