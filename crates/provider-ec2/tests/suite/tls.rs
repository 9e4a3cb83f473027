//! AWS is spoken to by TLS, and only to whom the system's certificates vouch for.

use std::path::Path;
use std::process::Command;

use provider_ec2::CallError;

use crate::bed::{SERVER, alone, connect, is_alone};
use crate::moto::Moto;

/// Where moto speaks TLS, for the process that trusts it.
const ENDPOINT: &str = "TEST_ENDPOINT";
/// Makes `tls.crt` and `tls.key` for `localhost`, as werkzeug, on which moto stands, does for developers.
const MAKE: &str =
    "import sys; from werkzeug.serving import make_ssl_devcert; make_ssl_devcert(sys.argv[1], 'localhost')";

#[tokio::test]
async fn only_a_server_that_the_system_trusts_is_spoken_to() {
    if let Some(trusted) = std::env::var_os(ENDPOINT).filter(|_| is_alone()) {
        let ec2 = connect(trusted.to_str().unwrap()).await;
        assert_eq!(ec2.describe(SERVER).await.unwrap(), []);
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let certificate = make_certificate(dir.path());
    let key = dir.path().join("tls.key");
    let moto = Moto::start(&["--ssl-cert", &certificate, "--ssl-key", key.to_str().unwrap()]);
    let endpoint = moto.url.replace("127.0.0.1", "localhost");
    assert!(endpoint.starts_with("https://"), "{endpoint}");
    let error = connect(&endpoint).await.describe(SERVER).await.unwrap_err();
    assert!(matches!(&error, CallError::Unreachable { why, .. } if why.contains("certificate")), "{error:?}");
    let env = [("SSL_CERT_FILE", &certificate[..]), (ENDPOINT, &endpoint)];
    let keys = [("AWS_ACCESS_KEY_ID", "moto"), ("AWS_SECRET_ACCESS_KEY", "moto")];
    alone("tls::only_a_server_that_the_system_trusts_is_spoken_to", &[env, keys].concat());
}

fn make_certificate(dir: &Path) -> String {
    let python = std::env::var_os("TEST_PYTHON").unwrap();
    let made = Command::new(python).args(["-c", MAKE]).arg(dir.join("tls")).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    dir.join("tls.crt").to_str().unwrap().to_owned()
}
