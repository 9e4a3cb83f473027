//! The only reader of the environment and of the configuration file.

pub mod settings;
