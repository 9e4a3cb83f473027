//! The shipped scaling policy `demand` as a component; what it decides is in `domain::policy::scaling::demand`.

use domain::policy::scaling::Demand;
use policy_shipped::Scaling;

policy_sdk::scaling!(Scaling<Demand>);
