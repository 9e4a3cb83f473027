//! The shipped routing policy `least-loaded` as a component; what it decides is in `domain::policy::routing::least_loaded`.

use domain::policy::routing::LeastLoaded;
use policy_shipped::Routing;

policy_sdk::routing!(Routing<LeastLoaded>);
