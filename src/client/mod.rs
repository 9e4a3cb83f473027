//! The client application: takes payloads from its server, runs each under a keeper, keeps what came of it until the
//! server has it.
pub mod exit;
pub mod keeper;
