//! The server's settings.

use std::time::Duration;

use super::parse::{self, MAX_SECONDS};
use super::resolve::Resolver;
use super::settings::{DownloadContract, ServerSettings};
use super::{doors, pools, services};

/// Every setting of the server. After a mistake the values are of no use, and `resolver` knows of it.
pub(super) fn settings(resolver: &mut Resolver<'_>) -> ServerSettings {
    let doors = doors::server(resolver);
    let data_dir = resolver.take_path("data_dir", "");
    let in_data_dir = data_dir.join("orchestrator.sqlite").display().to_string();
    let db_path = resolver.take_path("db_path", &in_data_dir);
    let policies = resolver.take("policies", parse::path);
    let max_age = resolver.take("max_age_seconds", parse::whole(0..=MAX_SECONDS)).unwrap_or_default();
    let max_upload_bytes = resolver.take("max_upload_bytes", parse::whole(1..=u64::MAX >> 1)).unwrap_or_default();
    let download_contract = resolver.take("download_contract", parse::contract).unwrap_or(DownloadContract::Seed);
    let reserve_after = resolver.take("reserve_after_seconds", parse::whole(0..=MAX_SECONDS)).unwrap_or_default();
    let lost_after = resolver.take("lost_after_seconds", parse::whole(1..=MAX_SECONDS)).unwrap_or_default();
    let client_timeout = resolver.take("client_timeout_seconds", parse::whole(1..=MAX_SECONDS)).unwrap_or_default();
    let quarantine = resolver.take("quarantine_seconds", parse::whole(0..=MAX_SECONDS)).unwrap_or_default();
    let max_result_bytes = resolver.take("max_result_bytes", parse::whole(1..=u64::MAX >> 1)).unwrap_or_default();
    let shutdown = resolver.take("shutdown_seconds", parse::whole(0..=MAX_SECONDS)).unwrap_or_default();
    let (services, clients) = services::take(resolver);
    let join = doors::join(resolver, doors.listen);
    let scaling = pools::take(resolver, &services.keys().collect(), join);
    ServerSettings {
        listen: doors.listen,
        data_dir,
        db_path,
        policies,
        max_age: Duration::from_secs(max_age),
        max_upload_bytes,
        services,
        clients,
        cluster_key: doors.cluster_key,
        download_contract,
        reserve_after: Duration::from_secs(reserve_after),
        lost_after: Duration::from_secs(lost_after),
        client_timeout: Duration::from_secs(client_timeout),
        quarantine: Duration::from_secs(quarantine),
        max_result_bytes,
        shutdown: Duration::from_secs(shutdown),
        scaling,
    }
}
