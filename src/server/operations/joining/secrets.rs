//! The tokens that server and instances show to each other. All follow from the server's private key.

use domain::pool::InstanceId;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// Each use has its own, so that no token is good for another: what an instance shows, and what it is shown.
const OF_INSTANCE: &[u8] = b"job-orchestrator join instance";
const OF_SERVER: &[u8] = b"job-orchestrator join server";

/// Derives tokens. Never printed.
pub struct Secrets(Hmac<Sha256>);

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secrets(hidden)")
    }
}

impl Secrets {
    #[must_use]
    pub fn new(key: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length (RFC 2104, section 3)")]
        Self(Hmac::new_from_slice(key).expect("a key of any length"))
    }

    fn derive(&self, purpose: &[u8], instance: InstanceId) -> String {
        let mut mac = self.0.clone();
        mac.update(purpose);
        mac.update(&instance.0.to_be_bytes());
        super::hex(&mac.finalize().into_bytes())
    }

    /// What an instance shows to the server.
    #[must_use]
    pub fn of_instance(&self, instance: InstanceId) -> String {
        self.derive(OF_INSTANCE, instance)
    }

    /// What the server shows to the instance's client.
    #[must_use]
    pub fn of_server(&self, instance: InstanceId) -> String {
        self.derive(OF_SERVER, instance)
    }

    /// In a time that tells nothing of the token.
    #[must_use]
    pub fn is_instance(&self, instance: InstanceId, token: &str) -> bool {
        self.of_instance(instance).as_bytes().ct_eq(token.as_bytes()).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token_is_good_for_one_instance_one_server_and_one_direction() {
        let (secrets, others) = (Secrets::new(b"one"), Secrets::new(b"two"));
        let token = secrets.of_instance(InstanceId(7));
        assert_eq!(token, Secrets::new(b"one").of_instance(InstanceId(7)), "the same on every repeat");
        assert!(secrets.is_instance(InstanceId(7), &token));
        assert!(!secrets.is_instance(InstanceId(8), &token));
        assert!(!others.is_instance(InstanceId(7), &token));
        assert!(!secrets.is_instance(InstanceId(7), &secrets.of_server(InstanceId(7))));
        assert!(!secrets.is_instance(InstanceId(7), ""));
    }
}
