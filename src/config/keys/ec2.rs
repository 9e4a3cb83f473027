//! The keys of `[provider.ec2]`.

/// The name of the provider, here and in pools.
pub const EC2: &str = "ec2";
pub const REGION: &str = "region";
/// To speak to instead of AWS, for tests.
pub const ENDPOINT: &str = "endpoint";

pub const IN_FILE: [&str; 2] = [REGION, ENDPOINT];
