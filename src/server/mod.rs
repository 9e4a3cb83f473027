//! The server application: takes jobs, keeps them, gives them to clients, serves what came of them.

pub mod remote;
pub mod wakes;
