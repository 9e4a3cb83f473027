//! What can be done with a job.

mod accept;
mod fields;
mod parameters;
mod results;
mod terminate;
mod view;

pub use accept::{AcceptError, Accepted, accept};
pub use results::{Results, ResultsError, partial, results};
pub use terminate::{Terminated, terminate};
pub use view::{JobView, view, wait_until_final};
