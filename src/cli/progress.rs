//! Progress on a terminal. In a pipe nothing is drawn: indicatif hides itself where stderr is no terminal.

use indicatif::{ProgressBar, ProgressStyle};

/// A bar over bytes; without `total` it counts.
pub(super) fn bytes(what: &'static str, total: Option<u64>) -> ProgressBar {
    let (bar, template) = match total {
        Some(total) => (ProgressBar::new(total), "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec} {eta}"),
        None => (ProgressBar::no_length(), "{msg} {bytes} {bytes_per_sec}"),
    };
    styled(bar, template).with_message(what)
}

/// A line that says what is being waited for.
pub(super) fn waiting() -> ProgressBar {
    let bar = styled(ProgressBar::new_spinner(), "{spinner} {elapsed} {wide_msg}");
    bar.enable_steady_tick(std::time::Duration::from_millis(200));
    bar
}

fn styled(bar: ProgressBar, template: &str) -> ProgressBar {
    match ProgressStyle::with_template(template) {
        Ok(style) => bar.with_style(style),
        // A template of ours that does not parse costs its looks only.
        Err(_) => bar,
    }
}

/// A bar over the jobs of a database, whose number is not known at first.
pub(super) fn jobs(what: &'static str) -> ProgressBar {
    styled(ProgressBar::new(0), "{msg} {wide_bar} {pos}/{len} jobs {eta}").with_message(what)
}

/// Shows that `done` of `total` are done.
pub(super) fn advance(bar: &ProgressBar, done: u64, total: u64) {
    bar.set_length(total);
    bar.set_position(done);
}
