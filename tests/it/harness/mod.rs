//! The one harness: real binaries, real files, own directory, port 0. Waits for events, never for a time.
//!
//! Dropping a [`Bed`] ends what it started and fails the test if a process or a half-written file is left over.

pub mod beacon;
mod bed;
pub mod caller;
pub mod cloud;
pub mod document;
mod door;
pub mod fake;
mod http;
pub mod hypervisor;
mod init;
#[path = "../../../crates/provider-ec2/tests/suite/moto.rs"]
pub mod moto;
mod mount;
mod no_boxes;
pub mod policies;
pub mod predecessor;
mod process;
mod proxy;
pub mod rig;
mod scripts;
mod trace;
mod wall_clock;
#[path = "../../../crates/policy-host/tests/suite/written.rs"]
pub mod written;
// Of provider-ec2's own tests.
#[expect(dead_code, reason = "those tests use more of it")]
#[path = "../../../crates/provider-ec2/tests/suite/faulty_ec2.rs"]
pub mod faulty_ec2;

pub use bed::{Bed, ClientNode, ServerNode, example};
pub use http::{Answer, Form, Job, unzip};
pub use init::{Init, is_alive, zombies};
pub use mount::Mount;
pub use no_boxes::without_boxes;
pub use process::{PATIENCE, child_named, command, command_without, pass};
pub use proxy::Proxy;
pub use scripts::{Gate, Record};
pub use trace::{Call, Trace};
pub use wall_clock::WallClock;
