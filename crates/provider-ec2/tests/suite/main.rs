//! What the EC2 provider promises, by the real SDK against moto's server and the faults before it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on shall stop there")]

mod asking;
mod bed;
mod describing;
mod ending;
mod faulty_ec2;
mod launching;
mod moto;
mod policy;
mod refused;
mod tls;
mod unanswered;
