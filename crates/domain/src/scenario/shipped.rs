//! The scenarios that the program carries with it.

/// Names and texts of tests/scenarios/*.txt, in the order of the names; see [`super::Scenario`].
#[must_use]
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    SHIPPED
}

/// Names and texts of tests/scenarios/scaling/*.txt, in the order of the names; see [`super::ScalingScenario`].
#[must_use]
pub fn shipped_scaling() -> &'static [(&'static str, &'static str)] {
    SCALING
}

macro_rules! scenarios {
    ($folder:literal: $($name:literal),* $(,)?) => {
        &[$(($name, include_str!(concat!("../../tests/scenarios/", $folder, $name, ".txt")))),*]
    };
}

// A test holds both lists complete.
const SHIPPED: &[(&str, &str)] = scenarios![
    "":
    "all_slots_taken",
    "best_fit",
    "best_fit_gpu_stays_free",
    "best_fit_retry",
    "client_draining",
    "client_quarantined",
    "client_suspect",
    "fair_share",
    "fair_share_equal_use",
    "fair_share_weights",
    "gpu_head_of_line",
    "gpu_head_of_line_best_fit",
    "gpu_head_of_line_fair_share",
    "gpu_head_of_line_priority",
    "gpu_one_free_many_want",
    "labels",
    "large_job_after_reserve_after",
    "large_job_after_reserve_after_fair_share",
    "large_job_before_reserve_after",
    "large_job_gets_its_client",
    "large_job_gets_its_client_fair_share",
    "large_job_waits_its_turn",
    "least_loaded",
    "max_runs",
    "more_than_three_rounds",
    "no_client",
    "priorities",
    "priority",
    "priority_ageing",
    "retry_avoids_last_client",
    "runs_per_user",
    "service_removed",
    "two_policies",
    "two_services_share_a_client",
    "users_in_turn",
];

const SCALING: &[(&str, &str)] = scenarios![
    "scaling/":
    "cooldown_down",
    "cooldown_up",
    "cost_per_hour",
    "cost_per_month",
    "demand_drains_nothing",
    "drains_idle",
    "launches_what_demand_asks",
    "max",
    "max_0",
    "spare_is_kept",
    "spare_is_launched",
    "type_not_available",
];
