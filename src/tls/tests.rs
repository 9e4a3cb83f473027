//! What a pin is good for, over a real connection.

use std::net::SocketAddr;

use poem::{Route, Server, get, handler};
use tokio::net::TcpListener;

use super::*;
use crate::runtime::{OnEnd, Tasks};

#[handler]
fn hello() -> &'static str {
    "hello"
}

/// Somebody who answers with this configuration.
async fn answering(config: Arc<ServerConfig>, tasks: &Tasks) -> SocketAddr {
    let socket = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = socket.local_addr().unwrap();
    let server = Server::new_with_acceptor(Listener::new(socket, config, tasks).unwrap());
    tasks.spawn("answering", OnEnd::Done, async move {
        let _ = server.run(Route::new().at("/", get(hello))).await;
    });
    address
}

async fn ask(address: SocketAddr, trusted: &Pin) -> Result<String, String> {
    let http = https(trusted).unwrap().build().unwrap();
    let answer = http.get(format!("https://{address}/")).send().await.map_err(|error| format!("{error:?}"))?;
    answer.text().await.map_err(|error| error.to_string())
}

/// Of the same key, under a name of its own and long over.
fn expired_elsewhere(key: &Key) -> Arc<ServerConfig> {
    let mut certificate = CertificateParams::new(vec!["elsewhere.example".to_owned()]).unwrap();
    certificate.not_before = rcgen::date_time_ymd(2001, 1, 1);
    certificate.not_after = rcgen::date_time_ymd(2002, 1, 1);
    let certificate = certificate.self_signed(&key.0).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.0.serialized_der().to_vec()));
    let config = ServerConfig::builder_with_provider(ring()).with_protocol_versions(&[&TLS13]).unwrap();
    Arc::new(config.with_no_client_auth().with_single_cert(vec![certificate.der().clone()], private).unwrap())
}

/// Shows the certificate of one key, and signs with another.
fn borrowed_certificate(shown: &Key, own: &Key) -> Arc<ServerConfig> {
    let certificate = CertificateParams::new(vec![NOBODY.to_owned()]).unwrap().self_signed(&shown.0).unwrap();
    let private = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(own.0.serialized_der().to_vec()));
    let signing = rustls::crypto::ring::sign::any_supported_type(&private).unwrap();
    let certified = rustls::sign::CertifiedKey::new(vec![certificate.der().clone()], signing);
    let config = ServerConfig::builder_with_provider(ring()).with_protocol_versions(&[&TLS13]).unwrap();
    let resolver = rustls::sign::SingleCertAndKey::from(certified);
    Arc::new(config.with_no_client_auth().with_cert_resolver(Arc::new(resolver)))
}

#[tokio::test]
async fn peer_is_its_key_whatever_its_certificate_says() {
    let dir = tempfile::tempdir().unwrap();
    let [key, other] = ["key.pem", "other.pem"].map(|name| Key::open(&dir.path().join(name)).unwrap());
    let tasks = Tasks::default();
    let address = answering(key.server().unwrap(), &tasks).await;
    assert_eq!(ask(address, &key.pin()).await.as_deref(), Ok("hello"));
    let refused = ask(address, &other.pin()).await.unwrap_err();
    assert!(refused.contains("ApplicationVerificationFailure"), "{refused}");
    let address = answering(expired_elsewhere(&key), &tasks).await;
    assert_eq!(ask(address, &key.pin()).await.as_deref(), Ok("hello"));
    assert!(ask(address, &other.pin()).await.is_err());
}

#[tokio::test]
async fn certificate_alone_proves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let [key, thief] = ["key.pem", "thief.pem"].map(|name| Key::open(&dir.path().join(name)).unwrap());
    let tasks = Tasks::default();
    let address = answering(borrowed_certificate(&key, &thief), &tasks).await;
    let refused = ask(address, &key.pin()).await.unwrap_err();
    assert!(refused.contains("BadSignature"), "{refused}");
}

#[tokio::test]
async fn nobody_is_trusted_without_a_pin() {
    let dir = tempfile::tempdir().unwrap();
    let key = Key::open(&dir.path().join("key.pem")).unwrap();
    let tasks = Tasks::default();
    let address = answering(key.server().unwrap(), &tasks).await;
    assert!(http().unwrap().build().unwrap().get(format!("https://{address}/")).send().await.is_err());
}

#[test]
fn key_is_made_once_and_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secrets/key.pem");
    let made = Key::open(&path).unwrap();
    assert_eq!(made.pin(), Key::open(&path).unwrap().pin());
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "a draft was left behind");
    assert_eq!(format!("{made:?}"), "Key(hidden)");
    std::fs::write(&path, "no key").unwrap();
    assert!(matches!(Key::open(&path), Err(TlsError::Key(_))), "a key that cannot be read is not made anew");
}

/// `openssl pkey -pubout -outform der | openssl dgst -sha256 -binary | openssl base64`, as curl's manual has it.
#[test]
fn pin_is_what_curl_takes() {
    use std::process::{Command, Stdio};
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key.pem");
    let key = Key::open(&path).unwrap();
    let pipe = "openssl pkey -in \"$0\" -pubout -outform der | openssl dgst -sha256 -binary | openssl base64";
    let output = Command::new("sh").args(["-c", pipe]).arg(&path).stderr(Stdio::piped()).output().unwrap();
    let digest = String::from_utf8(output.stdout).unwrap();
    assert_eq!(key.pin().to_string(), format!("sha256//{}", digest.trim()));
    assert_eq!(key.pin().to_string().parse(), Ok(key.pin()));
    for wrong in ["", "sha256//", "sha256//QUJD", &format!("md5//{}", digest.trim())] {
        assert_eq!(wrong.parse::<Pin>(), Err(PinError), "{wrong}");
    }
}
