//! TLS between a server and the clients of its instances: each side has a key, and trusts exactly one key of the other.
//!
//! Owns keys, certificates and what is checked of them. There is no authority and no name: an instance is told its server's
//! [`Pin`], a server hears the instance's when it registers. Cryptography is ring's everywhere, said explicitly: nothing
//! depends on a default of the process.

mod listen;
mod pin;
#[cfg(test)]
mod tests;

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, PublicKeyData};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};

pub use listen::Listener;
pub use pin::{Pin, PinError};

use crate::files::durable;
use pin::OneKey;

/// What goes wrong with keys and certificates.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("the key cannot be kept")]
    File(#[from] io::Error),
    #[error("the file holds no key")]
    Key(#[from] rcgen::Error),
    #[error("TLS cannot be set up")]
    SetUp(#[from] rustls::Error),
    #[error("the HTTP client cannot be set up")]
    Http(#[from] reqwest::Error),
}

/// A private key. Never printed.
pub struct Key(rcgen::KeyPair);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key(hidden)")
    }
}

impl Key {
    /// The key in a file, which is made where it is not there, for this user's eyes only.
    ///
    /// # Errors
    /// The file cannot be read or written, or holds no key.
    pub fn open(path: &Path) -> Result<Self, TlsError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Ok(Self(rcgen::KeyPair::from_pem(&text)?)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::make(path),
            Err(error) => Err(error.into()),
        }
    }

    fn make(path: &Path) -> Result<Self, TlsError> {
        let key = rcgen::KeyPair::generate()?;
        let (dir, new) = (path.parent().unwrap_or(Path::new(".")), path.with_extension("new"));
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut file = OpenOptions::new().create(true).write(true).truncate(true).mode(0o600).open(&new)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        file.sync_all()?;
        std::fs::rename(&new, path)?;
        durable::fsync_dir(dir)?;
        Ok(Self(key))
    }

    /// What others know it by.
    #[must_use]
    pub fn pin(&self) -> Pin {
        Pin::of(&self.0.subject_public_key_info())
    }

    /// To derive secrets from, which only who has the key can.
    #[must_use]
    pub fn secret(&self) -> &[u8] {
        self.0.serialized_der()
    }

    /// For whoever answers with this key, under a certificate that says nothing but the key.
    ///
    /// # Errors
    /// No certificate can be made of it.
    pub fn server(&self) -> Result<Arc<ServerConfig>, TlsError> {
        let certificate = CertificateParams::new(vec![NOBODY.to_owned()])?.self_signed(&self.0)?;
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(self.0.serialized_der().to_vec()));
        let config = ServerConfig::builder_with_provider(ring())
            .with_protocol_versions(&[&TLS13])?
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)?;
        Ok(Arc::new(config))
    }
}

/// The name in every certificate, which nobody looks at.
const NOBODY: &str = "job-orchestrator.invalid";

fn ring() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// An HTTP client for addresses without TLS; to others it trusts nobody.
///
/// # Errors
/// TLS cannot be set up.
pub fn http() -> Result<reqwest::ClientBuilder, TlsError> {
    let config = ClientConfig::builder_with_provider(ring())
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config).no_proxy())
}

/// An HTTP client that speaks to whoever has this one key, whatever it calls itself.
///
/// # Errors
/// TLS cannot be set up.
pub fn https(pin: &Pin) -> Result<reqwest::ClientBuilder, TlsError> {
    let config = ClientConfig::builder_with_provider(ring())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(OneKey::new(pin.clone(), ring())))
        .with_no_client_auth();
    Ok(reqwest::Client::builder().tls_backend_preconfigured(config).https_only(true).no_proxy())
}
