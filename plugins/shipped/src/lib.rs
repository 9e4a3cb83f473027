//! Makes a policy of `domain` one of the SDK.
//!
//! The shipped components and the native decisions are the same code: a component only says everything twice, once in the
//! words of the WIT and once in those of the domain. This is the only place that knows both on the guest's side; the
//! host's is `policy-host`.
//!
//! What the host hands over is already valid. Where it is not, the component traps, which the host takes for a fault.

mod quota;
mod routing;
mod scaling;
mod settings;

pub use quota::Quota;
pub use routing::Routing;
pub use scaling::Scaling;
