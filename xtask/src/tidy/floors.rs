//! Who may name what. The lists are here and nowhere else; docs/architecture.md explains them.

use super::paths::{Named, named};
use super::{Finding, Source};

/// Something that only some places may name.
struct Heavy {
    /// The path, or the beginning of its first segment with `*`.
    name: &'static str,
    /// Beginnings of the paths of files that may.
    homes: &'static [&'static str],
    remedy: &'static str,
}

const HEAVY: &[Heavy] = &[
    Heavy { name: "sqlx", homes: &["crates/store/"], remedy: "ask crates/store: it is the only home of sqlx" },
    Heavy { name: "wasmtime*", homes: &["crates/policy-host/"], remedy: "ask crates/policy-host" },
    Heavy { name: "aws_*", homes: &["crates/provider-ec2/"], remedy: "ask crates/provider-ec2" },
    Heavy { name: "wit_component", homes: &["crates/policy-build/"], remedy: "ask crates/policy-build" },
    Heavy {
        name: "poem*",
        homes: &["src/server/api/", "src/server/join.rs", "src/client/api.rs", "src/client/api/", "src/tls/listen.rs"],
        remedy: "HTTP is spoken in server/api, server/join and client/api only; hand plain values over",
    },
    Heavy {
        name: "std::env",
        // A bench or an example is a program of its own, and its arguments are its only settings; policy-build finds
        // compilers.
        homes: &["src/config/", "src/cli/", "xtask/", "benches/", "crates/domain/examples/", "crates/policy-build/"],
        remedy: "config is the only reader of the environment; take a setting",
    },
    Heavy {
        name: "anyhow",
        homes: &["src/main.rs", "src/cli/", "src/mode/", "benches/"],
        remedy: "a part has a thiserror enum of its own",
    },
    Heavy { name: "tokio::spawn", homes: &["src/runtime/"], remedy: "use runtime::Tasks" },
    Heavy { name: "tokio::task::spawn", homes: &["src/runtime/"], remedy: "use runtime::Tasks" },
    Heavy { name: "tokio::task::spawn_local", homes: &["src/runtime/"], remedy: "use runtime::Tasks" },
];

/// What makes domain depend on when and where it runs.
const NOT_IN_DOMAIN: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "std::time::Instant",
    "std::time::SystemTime",
    "tokio",
    "tracing",
];

/// A room of the main package, and the rooms it must not name.
struct Room {
    room: &'static str,
    never: &'static [&'static str],
}

/// From top to bottom: cli, mode > config > server | client > protocol, files > runtime, telemetry.
/// `config::settings` and `config::pool_settings` are the exception: they are the words in which server and client are told
/// what to do.
const ROOMS: &[Room] = &[
    Room { room: "config", never: &["cli", "mode", "server", "client"] },
    Room { room: "server", never: &["cli", "mode", "client", "config"] },
    Room { room: "client", never: &["cli", "mode", "server", "config"] },
    Room { room: "protocol", never: &["cli", "mode", "config", "server", "client"] },
    Room { room: "files", never: &["cli", "mode", "config", "server", "client"] },
    Room { room: "runtime", never: &["cli", "mode", "config", "server", "client", "protocol", "files"] },
    Room { room: "telemetry", never: &["cli", "mode", "config", "server", "client", "protocol", "files"] },
    Room { room: "server::api", never: &["server::loops"] },
    Room { room: "server::loops", never: &["server::api"] },
    Room { room: "server::operations", never: &["server::api", "server::loops"] },
    Room { room: "server::remote", never: &["server::api", "server::loops", "server::operations"] },
    Room { room: "server::provider", never: &["server::api", "server::loops", "server::operations"] },
    Room { room: "server::wakes", never: &["server::api", "server::loops", "server::operations"] },
    Room { room: "server::services", never: &["server::api", "server::loops", "server::operations"] },
];

/// Below this, a room never names its neighbour.
const STRANGERS: &str = "server::loops";

/// What any room may name although it is above.
const SHARED: &[&str] = &["config::settings", "config::pool_settings"];

/// Names outside their only homes, and in domain what it must not know.
pub fn heavy(source: &Source, findings: &mut Vec<Finding>) {
    let lines: Vec<_> = source.product_lines().collect();
    let roots = |word: &str| {
        let first = |name: &str| name.split("::").next().is_some_and(|first| is(first, word));
        HEAVY.iter().any(|heavy| first(heavy.name)) || NOT_IN_DOMAIN.iter().any(|name| first(name))
    };
    for path in named(&lines, roots) {
        let heavy = HEAVY.iter().filter(|heavy| matches(heavy.name, &path));
        for heavy in heavy.filter(|heavy| !heavy.homes.iter().any(|home| source.path.starts_with(home))) {
            findings.push(finding(source, &path, heavy.remedy));
        }
        if source.path.starts_with("crates/domain/src/") && NOT_IN_DOMAIN.iter().any(|name| matches(name, &path)) {
            findings.push(finding(source, &path, "domain is pure: take the value as an argument"));
        }
    }
}

/// Rooms of the main package that name a room above or beside them.
pub fn rooms(source: &Source, findings: &mut Vec<Finding>) {
    let Some(module) = source.module() else { return };
    let lines: Vec<_> = source.product_lines().collect();
    for path in named(&lines, |word| matches!(word, "crate" | "super" | "self")) {
        let target = absolute(&module, &path.segments);
        if SHARED.iter().any(|shared| within(&target, shared)) {
            continue;
        }
        let here: Vec<String> = module.iter().map(|segment| (*segment).to_owned()).collect();
        let breach = ROOMS
            .iter()
            .filter(|room| within(&here, room.room))
            .any(|room| room.never.iter().any(|never| within(&target, never)));
        if breach {
            findings.push(finding(source, &path, "this is above or beside; see the floors in docs/architecture.md"));
        } else if is_stranger(&here, &target) {
            findings.push(finding(source, &path, "loops never call each other: they meet in the store and in Wakes"));
        }
    }
}

fn finding(source: &Source, path: &Named, remedy: &str) -> Finding {
    let remedy = format!("`{}` is named here; {remedy}", path.segments.join("::"));
    Finding { path: source.path.clone(), line: path.line, rule: "floors", remedy }
}

/// Whether both are loops, but different ones. A lower-case name is a module; `loops::Type` belongs to all.
fn is_stranger(here: &[String], target: &[String]) -> bool {
    let depth = STRANGERS.split("::").count();
    let (Some(own), Some(other)) = (here.get(depth), target.get(depth)) else { return false };
    let is_module = other.starts_with(|c: char| c.is_lowercase());
    within(here, STRANGERS) && within(target, STRANGERS) && is_module && own != other
}

/// The path from the root of the package.
fn absolute(module: &[&str], segments: &[String]) -> Vec<String> {
    let mut base: Vec<String> = Vec::new();
    if segments.first().is_some_and(|first| first != "crate") {
        base = module.iter().map(|segment| (*segment).to_owned()).collect();
    }
    for segment in segments {
        match segment.as_str() {
            "crate" | "self" => {}
            "super" => {
                base.pop();
            }
            name => base.push(name.to_owned()),
        }
    }
    base
}

fn within(path: &[String], room: &str) -> bool {
    let mut path = path.iter();
    room.split("::").all(|segment| path.next().is_some_and(|have| have == segment))
}

fn matches(name: &str, path: &Named) -> bool {
    let mut have = path.segments.iter();
    name.split("::").all(|want| have.next().is_some_and(|have| is(want, have)))
}

fn is(pattern: &str, word: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == word, |beginning| word.starts_with(beginning))
}
