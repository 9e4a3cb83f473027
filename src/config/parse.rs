//! From a text to a value, the same for every layer. The error says what a right value looks like.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use domain::pool::money::PriceError;
use domain::pool::{Lifecycle, Money, Price};
use domain::{Labels, OnContactLost, Walltime};
use reqwest::Url;

use super::settings::{DownloadContract, UidRange};
use crate::protocol::Network;
use crate::telemetry::LogFormat;

/// The longest time a setting may give: 30 years, far from any overflow.
pub(super) const MAX_SECONDS: u64 = 1_000_000_000;

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse().map_err(|_| "give an IP address and a port, such as 127.0.0.1:5000 or [::1]:5000".into())
}

pub(super) fn port(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| "give a port from 0 to 65535".into())
}

pub(super) fn whole(range: RangeInclusive<u64>) -> impl Fn(&str) -> Result<u64, String> {
    move |text| match text.trim().parse() {
        Ok(number) if range.contains(&number) => Ok(number),
        _ => Err(format!("give a whole number from {} to {}", range.start(), range.end())),
    }
}

/// Made absolute, so that it means the same wherever the process or its children go.
pub(super) fn path(text: &str) -> Result<PathBuf, String> {
    if text.contains('\u{FFFD}') {
        return Err("give a path in UTF-8".into());
    }
    std::path::absolute(text).map_err(|error| format!("give a path ({error})"))
}

pub(super) fn switch(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("give true or false".into()),
    }
}

/// From 0 to a million units of the operator's currency.
pub(super) fn money(text: &str) -> Result<Money, String> {
    amount(text, Money::try_from)
}

/// The same as the price of an hour.
pub(super) fn price(text: &str) -> Result<Price, String> {
    amount(text, Price::try_from)
}

fn amount<T>(text: &str, checked: impl Fn(f64) -> Result<T, PriceError>) -> Result<T, String> {
    let amount = text.trim().parse().ok().and_then(|units| checked(units).ok());
    amount.ok_or_else(|| "give a number from 0 to 1000000".into())
}

pub(super) fn lifecycle(text: &str) -> Result<Lifecycle, String> {
    match text {
        "spot" => Ok(Lifecycle::Spot),
        "on-demand" => Ok(Lifecycle::OnDemand),
        _ => Err("give spot or on-demand".into()),
    }
}

/// Where instances reach a server: `https` and a host, nothing behind.
pub(super) fn public_url(text: &str) -> Result<Url, String> {
    let wrong = || "give an address such as https://10.0.0.2:5001".to_owned();
    let url = Url::parse(text).map_err(|_| wrong())?;
    if url.scheme() != "https" || url.host_str().is_none() {
        return Err(wrong());
    }
    let is_bare = url.username().is_empty() && url.password().is_none() && url.path() == "/";
    if !is_bare || url.query().is_some() || url.fragment().is_some() {
        return Err("give it without user, password, path, ? and #".into());
    }
    Ok(url)
}

/// To speak to instead of AWS.
pub(super) fn endpoint(text: &str) -> Result<String, String> {
    let url = Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host());
    url.map(|_| text.to_owned()).ok_or_else(|| "give an address such as http://127.0.0.1:5555, or none for AWS".into())
}

pub(super) fn contract(text: &str) -> Result<DownloadContract, String> {
    match text {
        "seed" => Ok(DownloadContract::Seed),
        "v2" => Ok(DownloadContract::V2),
        _ => Err("give seed or v2".into()),
    }
}

pub(super) fn walltime(text: &str) -> Result<Walltime, String> {
    let seconds: Option<u32> = text.trim().parse().ok();
    let walltime = seconds.and_then(|seconds| Walltime::try_from(seconds).ok());
    walltime.ok_or_else(|| format!("give a whole number from 1 to {}", Walltime::MAX))
}

pub(super) fn on_contact_lost(text: &str) -> Result<OnContactLost, String> {
    match text {
        "finish" => Ok(OnContactLost::Finish),
        "stop" => Ok(OnContactLost::Stop),
        _ => Err("give finish or stop".into()),
    }
}

pub(super) fn uid_range(text: &str) -> Result<UidRange, String> {
    let numbers =
        text.split_once('-').and_then(|(first, last)| Some((first.trim().parse().ok()?, last.trim().parse().ok()?)));
    numbers
        .and_then(|(first, last)| UidRange::new(first, last))
        .ok_or_else(|| "give two numbers of users, the lower one first and above 0, such as 70000-70063".into())
}

pub(super) fn network(text: &str) -> Result<Network, String> {
    match text {
        "host" => Ok(Network::Host),
        "none" => Ok(Network::None),
        _ => Err("give host or none".into()),
    }
}

pub(super) fn labels(text: &str) -> Result<Labels, String> {
    text.parse().map_err(|error: domain::labels::LabelError| error.to_string())
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    crate::telemetry::check_filter(text)
        .map(|()| text.to_owned())
        .map_err(|error| format!("give error, warn, info, debug, trace, or per module as in info,sqlx=warn ({error})"))
}

pub(super) fn log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "human" => Ok(LogFormat::Human),
        "json" => Ok(LogFormat::Json),
        _ => Err("give human or json".into()),
    }
}
