//! How the binary can run: each mode builds its parts from its settings, starts them, and drains.

pub mod keep;
