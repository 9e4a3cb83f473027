//! The JSON of the API: one place where domain words become fields.

mod job;

pub use job::{AcceptedDto, JobDto, StatusDto, TerminatedDto};
