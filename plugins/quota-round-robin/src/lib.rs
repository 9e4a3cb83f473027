//! The shipped quota policy `round-robin` as a component; what it decides is in `domain::policy::quota::round_robin`.

use domain::policy::quota::RoundRobin;
use policy_shipped::Quota;

policy_sdk::quota!(Quota<RoundRobin>);
