//! The scenarios that the program carries with it.

/// Names and texts of tests/scenarios/*.txt, in the order of the names. A test holds the list complete.
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    SHIPPED
}

macro_rules! scenarios {
    ($($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../tests/scenarios/", $name, ".txt")))),*]
    };
}

const SHIPPED: &[(&str, &str)] = scenarios![
    "all_slots_taken",
    "client_draining",
    "client_quarantined",
    "client_suspect",
    "gpu_head_of_line",
    "gpu_one_free_many_want",
    "labels",
    "large_job_after_reserve_after",
    "large_job_before_reserve_after",
    "large_job_gets_its_client",
    "large_job_waits_its_turn",
    "least_loaded",
    "max_runs",
    "more_than_three_rounds",
    "no_client",
    "priorities",
    "retry_avoids_last_client",
    "runs_per_user",
    "service_removed",
    "two_services_share_a_client",
    "users_in_turn",
];
