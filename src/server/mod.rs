//! The server application: takes jobs, keeps them, gives them to clients, serves what came of them.
//!
//! Three entrances, `api` (somebody asks), `join` (an instance comes) and `loops` (time passed or something woke), over the
//! same `operations`. They never call each other: they meet in the store's transactions and in `Wakes`.

pub mod api;
pub mod join;
pub mod loops;
pub mod operations;
pub mod outlook;
pub mod parts;
pub mod provider;
pub mod remote;
pub mod services;
pub mod wakes;
