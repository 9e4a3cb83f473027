//! The shipped quota policy `fair-share` as a component; what it decides is in `domain::policy::quota::fair_share`.

use domain::policy::quota::FairShare;
use policy_shipped::Quota;

policy_sdk::quota!(Quota<FairShare>);
