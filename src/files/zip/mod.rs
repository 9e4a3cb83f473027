//! Zips: of a job's directory, and of what came back from one.
//!
//! Packing reads a directory that the job may still be changing, so everything is opened relative to a descriptor and
//! no link is ever followed. Left out and listed in `.orchestrator.skipped`: sockets, FIFOs, devices, what cannot be
//! read, links that lead out, our own names, and names that are not UTF-8: zip has no portable way to carry those bytes,
//! and a listed file is better than one that unpacks under another name. Unpacking never writes outside its directory.

mod check;
mod links;
mod pack;
mod read;
mod stream;
mod unpack;
mod window;

pub use check::check;
pub use pack::{PackError, Packed, Source, pack, pack_file};
pub use read::{names_beginning, read_entry, verify};
pub use stream::stream;
pub use unpack::unpack;

#[cfg(test)]
mod tests;
