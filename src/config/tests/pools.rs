//! Promises of pools, of the account they are launched in, and of where instances join.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use domain::ServiceName;
use domain::pool::{Lifecycle, Money, Place, PoolSettings, Price};
use provider_ec2::{Architecture, LaunchTemplate, TemplateName};

use super::{Start, start};
use crate::config::pool_settings::{Ec2Account, Ec2Pool, Join, PoolProvider, Scaling};

/// A service, an account and an address, so that a pool may be on EC2.
const AROUND: &str =
    "[server]\npublic_url = \"https://10.0.0.2:5001\"\n[service.example]\n[provider.ec2]\nregion = \"eu-west-1\"\n";
const EC2_POOL: &str = "services = [\"example\"]\nprovider = \"ec2\"\nslots = 4\nimage = \"ami-1\"\n";
const TYPES: &str = "instance_types = [{ type = \"c7i.large\", price_per_hour = 0.09 }]\n";

fn scaling(start: &Start) -> Scaling {
    start.server().unwrap().settings.scaling
}

/// A pool on EC2 with what is given more.
fn on_ec2(more: &str) -> Start {
    start().file(&format!("{AROUND}[pool.burst]\n{EC2_POOL}{TYPES}{more}"))
}

/// A pool of processes with what is given more.
fn of_processes(more: &str) -> Start {
    start().file(&format!(
        "[service.example]\n[pool.p]\nservices = [\"example\"]\nprovider = \"process\"\nslots = 2\n{more}"
    ))
}

#[test]
fn whole_example_is_understood() {
    let start = start().file(
        r#"
[server]
public_url = "https://10.0.0.2:5001/"
[service.example]
[service.other]
[provider.ec2]
region = "eu-west-1"
endpoint = "http://127.0.0.1:5555"
[pool.burst]
services = ["example", "other"]
provider = "ec2"
slots = 4
max = 0
idle_seconds = 1
cooldown_up_seconds = 2
cooldown_down_seconds = 3
minimum_life_seconds = 4
boot_timeout_seconds = 5
no_capacity_seconds = 6
max_cost_per_hour = 5
max_cost_per_month = 99.5
setup = "apt-get install -y gawk"
ready_command = "test -e /ready"
instance_types = [
    { type = "c7i.large", price_per_hour = 0.09, spot_price_per_hour = 0.03, labels = { gpu = true, memory_gb = 4 } },
    { type = "c6i.large", price_per_hour = 1, slots = 8 },
]
subnets = ["subnet-0a", "subnet-0b"]
lifecycle = "spot"
image = "ami-0123456789abcdef0"
security_groups = ["sg-1"]
key_name = "people"
profile = "arn:aws:iam::1:instance-profile/p"
launch_template = { name = "mine", version = "3" }
"#,
    );
    let scaling = scaling(&start);
    assert_eq!(
        scaling.ec2,
        Some(Ec2Account { region: "eu-west-1".into(), endpoint: Some("http://127.0.0.1:5555".into()) })
    );
    let listen = "0.0.0.0:5001".parse().unwrap();
    assert_eq!(scaling.join, Some(Join { listen, public_url: Some("https://10.0.0.2:5001".into()) }));
    let [pool] = &scaling.pools[..] else { panic!("{:?}", scaling.pools) };
    assert_eq!(pool.setup.as_deref(), Some("apt-get install -y gawk"));
    assert_eq!(pool.ready_command.as_deref(), Some("test -e /ready"));
    let template = LaunchTemplate { name: TemplateName::Name("mine".into()), version: Some("3".into()) };
    assert_eq!(
        pool.provider,
        PoolProvider::Ec2(Ec2Pool {
            image: Some("ami-0123456789abcdef0".into()),
            security_groups: vec!["sg-1".into()],
            key_name: Some("people".into()),
            profile: Some("arn:aws:iam::1:instance-profile/p".into()),
            template: Some(template),
        })
    );
    let settings = &pool.settings;
    let seconds = [
        settings.idle,
        settings.cooldown_up,
        settings.cooldown_down,
        settings.minimum_life,
        settings.boot_timeout,
        settings.no_capacity_for,
    ];
    assert_eq!(seconds.map(|time| time.as_secs()), [1, 2, 3, 4, 5, 6]);
    assert_eq!((settings.max, settings.lifecycle), (0, Lifecycle::Spot));
    assert_eq!(settings.max_cost_per_hour, Some(Money(5_000_000)));
    assert_eq!(settings.max_cost_per_month, Some(Money(99_500_000)));
    let names = |names: Vec<&str>| names.join(" ");
    assert_eq!(names(settings.places.iter().map(Place::as_str).collect()), "subnet-0a subnet-0b");
    assert_eq!(names(settings.services.iter().map(ServiceName::as_str).collect()), "example other");
    let [first, second] = &settings.types[..] else { panic!("{:?}", settings.types) };
    assert_eq!((first.name.as_str(), first.declared.slots), ("c7i.large", 4));
    assert_eq!(first.declared.labels.to_string(), "gpu=true,memory_gb=4");
    let price = |units: f64| Price::try_from(units).unwrap();
    assert_eq!((first.price, first.spot_price), (price(0.09), price(0.03)));
    assert_eq!((second.price, second.spot_price, second.declared.slots), (price(1.0), price(1.0), 8));
}

#[test]
fn pool_that_says_little_has_the_defaults() {
    let scaling = scaling(&of_processes(""));
    let [pool] = &scaling.pools[..] else { panic!("{:?}", scaling.pools) };
    let PoolSettings { name, services, types, places, .. } = pool.settings.clone();
    assert_eq!(pool.settings, PoolSettings::new(name, services, types, places));
    assert_eq!(pool.provider, PoolProvider::Process);
    let [of_type] = &pool.settings.types[..] else { panic!("{:?}", pool.settings.types) };
    assert_eq!((of_type.name.as_str(), of_type.price, of_type.declared.slots), ("process", Price::default(), 2));
    assert_eq!(pool.settings.places.len(), 1);
    assert_eq!(scaling.join, Some(Join::default()));
    assert_eq!(super::start().server().unwrap().settings.scaling.join, None);
}

#[test]
fn instances_join_at_the_port_of_the_public_url() {
    let listen = |url: &str, more: Option<&str>| {
        let start = of_processes("").variable("ORCHESTRATOR_PUBLIC_URL", url);
        let start = match more {
            Some(listen) => start.flag("join_listen", listen),
            None => start,
        };
        scaling(&start).join.unwrap().listen.to_string()
    };
    assert_eq!(listen("https://10.0.0.2:5001", None), "0.0.0.0:5001");
    assert_eq!(listen("https://jobs.example.org", None), "0.0.0.0:443");
    assert_eq!(listen("https://[2001:db8::1]:5001", None), "[::]:5001");
    assert_eq!(listen("https://127.0.0.1:5001", None), "127.0.0.1:5001");
    assert_eq!(listen("https://localhost:5001", None), "127.0.0.1:5001");
    assert_eq!(listen("https://10.0.0.2:5001", Some("10.0.0.2:5443")), "10.0.0.2:5443");
}

#[test]
fn instances_join_beyond_loopback_without_a_cluster_key() {
    assert!(on_ec2("").server().is_ok());
}

#[test]
fn services_of_a_pool_need_no_clients() {
    let pool = "[pool.p]\nservices = [\"example\"]\nprovider = \"process\"\nslots = 1\n";
    let server = start().file(pool).variable("SERVICE_EXAMPLE_MAX_RUNS", "3").server().unwrap().settings;
    assert_eq!((server.services.len(), server.clients.len()), (1, 0));
}

#[test]
fn mistakes_in_pools_name_setting_value_and_remedy() {
    let table: [(Start, &str); 33] = [
        (of_processes("slot = 1"), "[pool.p] slot (file F): no setting has this name\n      did you mean slots?"),
        (
            of_processes("max = -1"),
            "[pool.p] max = -1 (file F): this cannot be used\n      give a whole number from 0 to 10000",
        ),
        (
            of_processes("boot_timeout_seconds = 0"),
            "[pool.p] boot_timeout_seconds = 0 (file F): this cannot be used\n      give a whole number from 1 to 1000000000",
        ),
        (
            of_processes("idle_seconds = \"1\""),
            "[pool.p] idle_seconds = \"1\" (file F): a value of another kind is needed\n      write a whole number without quotes",
        ),
        (
            of_processes("max_cost_per_hour = -0.5"),
            "[pool.p] max_cost_per_hour = -0.5 (file F): this cannot be used\n      give a number from 0 to 1000000",
        ),
        (
            of_processes("max_cost_per_month = nan"),
            "[pool.p] max_cost_per_month = NaN (file F): this cannot be used\n      give a number from 0 to 1000000",
        ),
        (
            of_processes("image = \"ami-1\""),
            "[pool.p] image (file F): a process of this machine has no use for it\n      remove it, or write provider = \"ec2\"",
        ),
        (
            start().file("[service.x]\n[pool.p]\nservices = [\"x\"]\nslots = 1"),
            "[pool.p] provider (file F): nobody says who makes its instances\n      write provider = \"ec2\", or \"process\" for processes of this machine",
        ),
        (
            start().file("[service.x]\n[pool.p]\nservices = [\"x\"]\nslots = 1\nprovider = \"ecs\""),
            "[pool.p] provider = ecs (file F): this cannot be used\n      did you mean ec2?",
        ),
        (
            start().file("[service.x]\n[pool.p]\nservices = [\"x\"]\nprovider = \"process\""),
            "[pool.p] slots (file F): nobody says how many jobs run at once on an instance\n      write slots = 4 for the pool, or whatever a machine bears",
        ),
        (
            start().file("[service.example]\n[pool.p]\nservices = [\"exampel\"]\nprovider = \"process\"\nslots = 1"),
            "[pool.p] services = exampel (file F): this cannot be used\n      did you mean example?",
        ),
        (
            start().file("[pool.p]\nservices = [\"x\"]\nprovider = \"process\"\nslots = 1"),
            "[pool.p] services = x (file F): this cannot be used\n      write [service.x] for it",
        ),
        (
            start().file("[pool.p]\nprovider = \"process\"\nslots = 1"),
            "[pool.p] services (file F): a pool without services would never be needed\n      write services = [\"example\"]",
        ),
        (
            start().file("[service.x]\n[pool.p]\nservices = []\nprovider = \"process\"\nslots = 1"),
            "[pool.p] services = [] (file F): a list of texts is needed, with one at least\n      write services = [\"example\"]",
        ),
        (
            start().file("[service.x]\n[pool.P]\nservices = [\"x\"]\nprovider = \"process\"\nslots = 1"),
            "[pool.P] = P (file F): this cannot be used\n      rename it: a pool name has 1 to 64 of the characters a-z, 0-9, '_' and '-'",
        ),
        (start().file("pool = 1"), "pool (file F): it is no table\n      write [pool.NAME] above its keys"),
        (
            start().file("[provider.ec3]"),
            "[provider.ec3] (file F): nothing of this name is known\n      did you mean ec2?",
        ),
        (
            start().file("[provider.ec2]"),
            "[provider.ec2] region (file F): it is missing\n      write region = \"eu-west-1\", or whichever it is",
        ),
        (
            start().file("[provider.ec2]\nregion = \"r\"\nendpoint = \"here\""),
            "[provider.ec2] endpoint = here (file F): this cannot be used\n      give an address such as http://127.0.0.1:5555, or none for AWS",
        ),
        (
            on_ec2("zones = [\"a\"]\nsubnets = [\"subnet-1\"]"),
            "[pool.burst] zones (file F): each subnet is in a zone\n      give zones or subnets, not both",
        ),
        (
            on_ec2("zones = [\"subnet-1\"]"),
            "[pool.burst] zones = subnet-1 (file F): this cannot be used\n      write it in subnets",
        ),
        (
            on_ec2("subnets = [\"mine\"]"),
            "[pool.burst] subnets = mine (file F): this cannot be used\n      give an id such as subnet-0123456789abcdef0",
        ),
        (
            on_ec2("lifecycle = \"reserved\""),
            "[pool.burst] lifecycle = reserved (file F): this cannot be used\n      give spot or on-demand",
        ),
        (
            on_ec2("launch_template = { version = \"1\" }"),
            "[pool.burst] launch_template name (file F): it is missing\n      give its name or its id",
        ),
        (
            on_ec2("launch_template = { name = \"t\", version = \"new\" }"),
            "[pool.burst] launch_template version = new (file F): this cannot be used\n      give a number from 1, $Latest or $Default, in quotes",
        ),
        (
            start().file(&format!("{AROUND}[pool.b]\n{EC2_POOL}")),
            "[pool.b] instance_types (file F): without types nothing can be launched\n      write instance_types = [{ type = \"c7i.large\", price_per_hour = 0.09 }]",
        ),
        (
            start().file(&format!("{AROUND}[pool.b]\n{}{TYPES}", EC2_POOL.replace("image = \"ami-1\"\n", ""))),
            "[pool.b] image (file F): nobody says what its instances boot\n      write image = \"ami-0123456789abcdef0\", the id of an image of the region, or a launch_template",
        ),
        (
            types("{ type = \"t\", price_per_hour = -1 }"),
            "[pool.b] instance_types[0] price_per_hour = -1 (file F): this cannot be used\n      give a number from 0 to 1000000",
        ),
        (
            types("{ type = \"t\", price_per_hour = 1, spot_price_per_hour = nan }"),
            "[pool.b] instance_types[0] spot_price_per_hour = NaN (file F): this cannot be used\n      give a number from 0 to 1000000",
        ),
        (
            types("{ price_per_hour = 1 }"),
            "[pool.b] instance_types[0] type (file F): it is missing\n      write it as in { type = \"c7i.large\", price_per_hour = 0.09 }",
        ),
        (
            types("{ type = \"t\", price_per_hour = 1, price = 1 }"),
            "[pool.b] instance_types[0] price (file F): no setting has this name\n      remove it; known are type, price_per_hour, spot_price_per_hour, slots, labels",
        ),
        (
            types("{ type = \"t\", price_per_hour = 1 }, { type = \"t\", price_per_hour = 2 }"),
            "[pool.b] instance_types[1] type = t (file F): the type is there twice\n      keep the one whose place is right",
        ),
        (
            types("\"t\""),
            "[pool.b] instance_types = [\"t\"] (file F): a list of tables is needed\n      write instance_types = [{ type = \"c7i.large\", price_per_hour = 0.09 }]",
        ),
    ];
    for (start, expected) in table {
        let path = start.file.as_ref().map(|(_, path)| path.display().to_string()).unwrap();
        assert_eq!(start.only_mistake().replace(&path, "F"), expected);
    }
}

/// A pool on EC2 of these types.
fn types(types: &str) -> Start {
    start().file(&format!("{AROUND}[pool.b]\n{EC2_POOL}instance_types = [{types}]"))
}

#[test]
fn pool_on_ec2_needs_a_region_and_an_address() {
    let mistakes = start().file(&format!("[service.example]\n[pool.burst]\n{EC2_POOL}{TYPES}")).mistakes();
    assert_eq!(
        mistakes,
        [
            "[provider.ec2] region: pool burst launches on EC2, and nobody says in which region\n      write [provider.ec2] with \
             region = \"eu-west-1\", or whichever it is",
            "[server] public_url: instances of pool burst would not know where this server is\n      give the address at which \
             they reach it, such as --public-url https://10.0.0.2:5001",
        ]
    );
}

#[test]
fn address_for_instances_is_https_with_a_host_alone() {
    for url in ["http://10.0.0.2:5001", "10.0.0.2:5001", "https://"] {
        let mistake = start().flag("public_url", url).only_mistake();
        let expected =
            format!("--public-url = {url} (flag): this cannot be used\n      give an address such as https://10.");
        assert!(mistake.starts_with(&expected), "{mistake}");
    }
    for url in ["https://u:p@h:1", "https://h:1/path", "https://h:1/?x", "https://h:1/#x"] {
        let mistake = start().flag("public_url", url).only_mistake();
        assert!(mistake.contains("give it without user, password, path, ? and #"), "{mistake}");
    }
}

#[test]
fn instances_do_not_join_where_the_server_listens() {
    let taken = [
        of_processes("").flag("public_url", "https://10.0.0.2:5000"),
        of_processes("").flag("join_listen", "127.0.0.1:5000"),
        of_processes("").flag("join_listen", "127.0.0.1:5000").flag("public_url", "https://10.0.0.2:5001"),
    ];
    for start in taken {
        let mistake = start.only_mistake();
        assert!(
            mistake.contains("the server listens on 127.0.0.1:5000 already\n      give it another port"),
            "{mistake}"
        );
    }
    assert!(of_processes("").flag("join_listen", "127.0.0.2:5000").server().is_ok());
    assert!(of_processes("").flag("join_listen", "127.0.0.1:0").flag("listen", "127.0.0.1:0").server().is_ok());
}

#[test]
fn scripts_that_do_not_fit_an_instance_are_refused() {
    let with = |setup: String, ready: &str| on_ec2(&format!("setup = \"{setup}\"\nready_command = \"{ready}\""));
    // The quotes around the second as a text of JSON are two of them.
    assert!(with("x".repeat(11_994), "true").server().is_ok());
    let too_long = with("x".repeat(11_995), "true").only_mistake();
    assert!(too_long.starts_with("[pool.burst] setup (file "), "{too_long}");
    assert!(
        too_long.contains("setup and ready_command take 12001 bytes") && too_long.contains("let setup fetch"),
        "{too_long}"
    );
    assert_eq!(with("'".repeat(3_001), "true").mistakes().len(), 1, "a quote takes four bytes");
}

#[test]
fn programs_for_instances_are_looked_into() {
    let dir = tempfile::tempdir().unwrap();
    let file = |name: &str, machine: u8| {
        let mut head = vec![0x7f, b'E', b'L', b'F', 2, 1];
        head.resize(18, 0);
        head.extend([machine, 0]);
        written(dir.path(), name, &head)
    };
    let (arm, intel, text) = (file("arm", 183), file("intel", 62), written(dir.path(), "text", b"#!/bin/sh"));
    let given = |text: String| start().flag("client_binary", text);
    let programs = given(format!("aarch64={arm},x86_64={intel}")).server().unwrap().settings.scaling.client_binaries;
    let expected = [(Architecture::Aarch64, arm.clone().into()), (Architecture::X86_64, intel.clone().into())];
    assert_eq!(programs, BTreeMap::from(expected));
    let in_file = start().file(&format!("[server]\nclient_binary = {{ aarch64 = \"{arm}\" }}"));
    assert_eq!(scaling(&in_file).client_binaries.len(), 1);
    let table = [
        (format!("aarch64={intel}"), "the file is a program for x86_64\n      give one that is built for aarch64"),
        (format!("x86_64={text}"), "the file is no program for Linux\n      give one that is (ELF, 64 bits)"),
        (
            "x86_64=/no/such".to_owned(),
            "the file cannot be read: No such file or directory (os error 2)\n      give the path",
        ),
        (format!("arm64={arm}"), "no program is built for arm64\n      remove it; known are x86_64, aarch64"),
        ("aarch64".to_owned(), "no file is given\n      give ARCH=FILE"),
    ];
    for (text, expected) in table {
        let mistake = given(text.clone()).only_mistake();
        assert!(mistake.starts_with(&format!("--client-binary = {text} (flag): {expected}")), "{mistake}");
    }
    assert_eq!(given(format!("aarch64={intel},x86_64={text}")).mistakes().len(), 2);
}

fn written(dir: &Path, name: &str, bytes: &[u8]) -> String {
    fs::write(dir.join(name), bytes).unwrap();
    dir.join(name).display().to_string()
}

#[test]
fn report_lists_pools_with_origins_and_keeps_scripts_to_itself() {
    let start = on_ec2("max = 3\nsetup = \"export TOKEN=hidden\"");
    let path = start.file.as_ref().map(|(_, path)| path.display().to_string()).unwrap();
    let in_force = start.server().unwrap();
    assert!(!in_force.report.to_string().contains("hidden"));
    let lines: Vec<String> = in_force
        .report
        .0
        .iter()
        .filter(|line| line.name.starts_with("pool.") || line.name.starts_with("provider."))
        .map(|line| format!("{} = {} ({})", line.name, line.value, line.origin).replace(&path, "F"))
        .collect();
    assert_eq!(
        lines,
        [
            "pool.burst.services = example (file F)",
            "pool.burst.provider = ec2 (file F)",
            "pool.burst.slots = 4 (file F)",
            "pool.burst.max = 3 (file F)",
            "pool.burst.idle_seconds = 600 (default)",
            "pool.burst.cooldown_up_seconds = 10 (default)",
            "pool.burst.cooldown_down_seconds = 300 (default)",
            "pool.burst.minimum_life_seconds = 300 (default)",
            "pool.burst.boot_timeout_seconds = 300 (default)",
            "pool.burst.no_capacity_seconds = 300 (default)",
            "pool.burst.setup = set (19 bytes) (file F)",
            "pool.burst.instance_types.0.type = c7i.large (file F)",
            "pool.burst.instance_types.0.price_per_hour = 0.09 (file F)",
            "pool.burst.lifecycle = on-demand (default)",
            "pool.burst.image = ami-1 (file F)",
            "provider.ec2.region = eu-west-1 (file F)",
        ]
    );
}
