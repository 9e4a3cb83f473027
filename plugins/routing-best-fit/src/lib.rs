//! The shipped routing policy `best-fit` as a component; what it decides is in `domain::policy::routing::best_fit`.

use domain::policy::routing::BestFit;
use policy_shipped::Routing;

policy_sdk::routing!(Routing<BestFit>);
