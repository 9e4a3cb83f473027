//! The shipped quota policy `priority` as a component; what it decides is in `domain::policy::quota::priority`.

use domain::policy::quota::Priority;
use policy_shipped::Quota;

policy_sdk::quota!(Quota<Priority>);
