//! What is logged and how. Knows no jobs and no configuration: it is told.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// For people; with colours on a terminal.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// What is logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogSettings {
    /// As [`check_filter`] accepts it.
    pub filter: String,
    pub format: LogFormat,
}

/// A filter that is none.
#[derive(Debug, thiserror::Error)]
#[error(transparent)]
pub struct FilterError(#[from] tracing_subscriber::filter::ParseError);

/// The log could not be started.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error("the log filter is not valid")]
    Filter(#[from] FilterError),
    #[error("something else in this process logs already")]
    Taken(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whether `filter` is a level or a list of levels per module, such as `info,sqlx=warn`.
///
/// # Errors
/// What is wrong with it.
pub fn check_filter(filter: &str) -> Result<(), FilterError> {
    parse(filter).map(drop)
}

/// Sends every log line of this process to stderr from now on.
///
/// # Errors
/// A filter that is none, or a process that logs already.
pub fn init(settings: &LogSettings) -> Result<(), LogError> {
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(parse(&settings.filter)?)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal());
    match settings.format {
        LogFormat::Human => subscriber.try_init(),
        LogFormat::Json => subscriber.json().flatten_event(true).try_init(),
    }
    .map_err(LogError::Taken)
}

fn parse(filter: &str) -> Result<EnvFilter, FilterError> {
    Ok(EnvFilter::builder().parse(filter)?)
}
