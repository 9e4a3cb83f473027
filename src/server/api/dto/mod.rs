//! The JSON of the API: one place where domain words become fields.

mod job;

pub use job::{AcceptedDto, HistoryDto, JobDto, OutcomeDto, ReasonDto, StatusDto, TerminatedDto};
