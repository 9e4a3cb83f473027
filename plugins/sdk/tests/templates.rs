//! What `job-orchestrator policy new` writes compiles and passes its own tests. They are part of this one, so that no
//! crate has to be written and compiled for it.

#[path = "../../template/quota/src/lib.rs"]
mod quota;
#[path = "../../template/routing/src/lib.rs"]
mod routing;
#[path = "../../template/scaling/src/lib.rs"]
mod scaling;
