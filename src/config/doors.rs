//! Where a process listens, and what must be given before that is beyond loopback. A client runs strangers' code, and
//! a server hands out everybody's results: neither opens by accident.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

use reqwest::Url;

use super::mistakes::Origin;
use super::pool_settings::Join;
use super::resolve::{Given, NOT_SET, Resolver};
use super::settings::ClusterKey;
use super::{cluster_key, keys, parse};

pub(super) struct Doors {
    pub listen: SocketAddr,
    pub cluster_key: Option<ClusterKey>,
    /// The file that it is in.
    pub cluster_key_file: Option<PathBuf>,
}

/// Beyond loopback a client needs the key. One that joins answers by TLS, and only its server.
pub(super) fn client(resolver: &mut Resolver<'_>, joins: bool) -> Doors {
    open(resolver, joins, |_, _| {})
}

/// Beyond loopback a server needs the key, and a word that everybody may come in.
pub(super) fn server(resolver: &mut Resolver<'_>) -> Doors {
    let allowed = resolver.take("allow_anonymous", parse::switch).unwrap_or_default();
    open(resolver, false, |resolver, listen| {
        if !allowed {
            resolver.wrong(
                listen,
                "other machines can reach this address, and everybody there could submit and read jobs",
                "give --allow-anonymous if that is meant, or listen on 127.0.0.1",
            );
        }
    })
}

/// Where instances join, and what they know of it. Beyond loopback too it needs neither the key nor a word: it speaks TLS,
/// takes instances only, and each of them has a secret of its own.
pub(super) fn join(resolver: &mut Resolver<'_>, listen: SocketAddr) -> Join {
    let url = resolver.take("public_url", parse::public_url);
    let usual = usual_join(url.as_ref()).to_string();
    let join_listen = resolver.given("join_listen");
    let address = resolver.take_or("join_listen", parse::address, &usual);
    let address = address.unwrap_or_else(|| Join::default().listen);
    let is_same = address.ip() == listen.ip() || address.ip().is_unspecified() || listen.ip().is_unspecified();
    if is_same && address.port() == listen.port() && listen.port() != 0 {
        let given = join_listen.or_else(|| resolver.given("public_url"));
        let given = given.unwrap_or_else(|| Given { name: "join_listen".into(), text: usual, origin: Origin::Default });
        resolver.wrong(
            &given,
            format!("instances would join on {address}, and the server listens on {listen} already"),
            "give it another port, such as 5001",
        );
    }
    // The address is told as it is given, without the slash that a URL ends with.
    let public_url = url.map(|url| url.as_str().trim_end_matches('/').to_owned());
    Join { listen: address, public_url }
}

fn usual_join(url: Option<&Url>) -> SocketAddr {
    let Some(url) = url else { return Join::default().listen };
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    let here = if host == "localhost" { Ok(IpAddr::from(Ipv4Addr::LOCALHOST)) } else { host.parse() };
    let address = match here {
        Ok(here) if here.is_loopback() => here,
        Ok(IpAddr::V6(_)) => Ipv6Addr::UNSPECIFIED.into(),
        _ => Ipv4Addr::UNSPECIFIED.into(),
    };
    SocketAddr::new(address, url.port_or_known_default().unwrap_or_default())
}

fn open(
    resolver: &mut Resolver<'_>,
    has_own_key: bool,
    also_beyond_loopback: impl Fn(&mut Resolver<'_>, &Given),
) -> Doors {
    let (listen, given) = listen(resolver);
    let key_file = resolver.given("cluster_key_file");
    if !listen.ip().is_loopback() {
        if key_file.is_none() && !has_own_key {
            resolver.wrong(
                &given,
                "other machines can reach this address, and without a key anybody there could run code here",
                "give --cluster-key FILE (job-orchestrator cluster-key FILE makes one) or listen on 127.0.0.1",
            );
        }
        also_beyond_loopback(resolver, &given);
    }
    if key_file.is_none() {
        resolver.in_force("cluster_key_file", NOT_SET.into(), Origin::Default);
    }
    let (cluster_key_file, cluster_key) = key_file.and_then(|file| cluster_key(resolver, file)).unzip();
    Doors { listen, cluster_key, cluster_key_file }
}

/// The address. Where only the file or the default gives one, the predecessor's PORT changes its port.
fn listen(resolver: &mut Resolver<'_>) -> (SocketAddr, Given) {
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let mut given = resolver.given("listen").unwrap_or_else(|| Given {
        name: "listen".into(),
        text: nowhere.to_string(),
        origin: Origin::Default,
    });
    let Some(mut address) = resolver.parse(&given, parse::address) else { return (nowhere, given) };
    if matches!(given.origin, Origin::Default | Origin::File(_))
        && let Some(variable) = resolver.variable_named(keys::PORT_VARIABLE)
        && let Some(port) = resolver.parse(&variable, parse::port)
    {
        address.set_port(port);
        given = Given { text: address.to_string(), ..variable };
    }
    resolver.in_force("listen", address.to_string(), given.origin.clone());
    (address, given)
}

fn cluster_key(resolver: &mut Resolver<'_>, given: Given) -> Option<(PathBuf, ClusterKey)> {
    let path = resolver.parse(&given, parse::path)?;
    match cluster_key::read(&path) {
        Ok(key) => {
            let shown = format!("set (file {})", path.display());
            resolver.in_force("cluster_key_file", shown, given.origin);
            Some((path, key))
        }
        Err(error) => {
            let cause = error.source().map(|cause| format!(" ({cause})")).unwrap_or_default();
            resolver.wrong(&given, format!("the key cannot be used{cause}"), error.to_string());
            None
        }
    }
}
