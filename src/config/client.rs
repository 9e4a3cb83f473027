//! The client's settings.

use std::num::NonZero;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use domain::Slots;

use super::parse::{self, MAX_SECONDS};
use super::resolve::Resolver;
use super::settings::{ClientSettings, ClusterKey, UidRange};
use super::{doors, keys, machine};
use crate::protocol::join::{INVITATION_FORMAT, Invitation};

/// Every setting of the client. After a mistake the values are of no use, and `resolver` knows of it.
pub(super) fn settings(resolver: &mut Resolver<'_>) -> ClientSettings {
    let join = join(resolver);
    let doors = doors::client(resolver, join.is_some());
    let data_dir = resolver.take_path("data_dir", "");
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let invited = join.as_ref().map(|(_, invitation)| invitation);
    let slots = invited.map_or_else(|| cores.to_string(), |invitation| invitation.slots.to_string());
    let slots = resolver.take_or("slots", parse::whole(1..=Slots::MAX.into()), &slots).unwrap_or_default();
    let labels = resolver.take("labels", parse::labels);
    let labels = match invited {
        Some(invitation) => machine::with_its_labels(&labels.unwrap_or_else(|| invitation.labels.clone())),
        None => labels.unwrap_or_default(),
    };
    let metadata = resolver.variable_named(keys::METADATA_VARIABLE);
    let metadata = metadata.and_then(|given| resolver.parse(&given, base));
    let metadata = metadata.or_else(|| invited.and_then(|invitation| invitation.metadata.clone()));
    let invited_key = invited.map(|invitation| ClusterKey::new(invitation.server_token.clone()));
    let kill_grace = resolver.take("kill_grace_seconds", parse::whole(0..=3600)).unwrap_or_default();
    let max_result_bytes = resolver.take("max_result_bytes", parse::whole(1..=u64::MAX >> 1)).unwrap_or_default();
    let no_isolation = resolver.take("no_isolation", parse::switch).unwrap_or_default();
    let uid_range = resolver.given("uid_range").and_then(|given| {
        let range = resolver.parse(&given, parse::uid_range)?;
        if u64::from(range.count()) < slots {
            resolver.wrong(&given, "there are more slots than users in it", "give a wider range");
        }
        resolver.in_force("uid_range", given.text, given.origin);
        Some(range)
    });
    let shutdown = resolver.take("shutdown_seconds", parse::whole(0..=MAX_SECONDS)).unwrap_or_default();
    ClientSettings {
        listen: doors.listen,
        join,
        data_dir,
        // Not above Slots::MAX, which is a u32.
        slots: slots as u32,
        labels,
        metadata,
        cluster_key: invited_key.or(doors.cluster_key),
        cluster_key_file: doors.cluster_key_file,
        isolation: !no_isolation,
        // After a mistake, of which the resolver knows, it is of no use.
        uid_range: uid_range.unwrap_or(UidRange::ONE),
        kill_grace: Duration::from_secs(kill_grace),
        max_result_bytes,
        shutdown: Duration::from_secs(shutdown),
    }
}

/// Of calls without TLS, which a machine makes to itself.
fn base(text: &str) -> Result<String, String> {
    let base = text.trim().trim_end_matches('/');
    let has_host = base.strip_prefix("http://").is_some_and(|host| !host.is_empty());
    if has_host { Ok(base.to_owned()) } else { Err("write it as http://ADDRESS:PORT".to_owned()) }
}

/// The file that says where the server is, and what it says now.
fn join(resolver: &mut Resolver<'_>) -> Option<(PathBuf, Box<Invitation>)> {
    resolver.take("join", |text| {
        let path = parse::path(text)?;
        let remedy = "give the file that the server wrote for this client";
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{remedy}; it cannot be read: {error}"))?;
        let invitation: Invitation =
            serde_json::from_str(&text).map_err(|error| format!("{remedy}; this is none: {error}"))?;
        if invitation.format > INVITATION_FORMAT {
            return Err("use the program's version of the server; the file is for a newer one".to_owned());
        }
        Ok((path, Box::new(invitation)))
    })
}
