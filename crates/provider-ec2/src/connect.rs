//! The way to AWS: region, credentials, TLS, time limits and repeats.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_ec2::config::retry::RetryConfig;
use aws_sdk_ec2::config::timeout::TimeoutConfig;
use aws_sdk_ec2::{Client, config};
use aws_smithy_http_client::Builder as HttpClient;
use aws_smithy_http_client::tls::Provider;
use aws_smithy_http_client::tls::rustls_provider::CryptoMode;

use crate::attempts::NoRepeatWithoutCapacity;

/// EC2 of one region, as one account sees it. Copies share connections and credentials.
#[derive(Debug, Clone)]
pub struct Ec2 {
    pub(crate) client: Client,
}

/// Where EC2 is, and how long it is waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Such as `eu-west-1`.
    pub region: String,
    /// An address to speak to instead of AWS, such as `http://127.0.0.1:5555`. For tests.
    pub endpoint: Option<String>,
    /// How long, and how often.
    pub patience: Patience,
}

/// How long AWS is waited for, and how often a call is tried.
///
/// The repeats are the SDK's *standard* ones: up to `attempts`, with random pauses that double, out of a budget which all
/// calls share, so that a broken region is not hammered. They are for the hiccup of a second. What lasts longer is the
/// caller's to wait out, by pool and with everything else going on; so they are few, and not *adaptive*: that mode holds
/// calls back before they are sent, those of a healthy pool for the throttling of another, without a limit in time.
///
/// A repeat of a launch is harmless by its token, and of an end by its nature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Tries of one call, the first included.
    pub attempts: u32,
    /// The longest first pause between two tries; the next may be twice as long.
    pub first_pause: Duration,
    /// Until a connection stands, TLS included.
    pub connect: Duration,
    /// One try. RunInstances usually answers in 2 to 6 s.
    pub attempt: Duration,
    /// All tries of one call, with the pauses between.
    pub call: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            attempts: 3,
            first_pause: Duration::from_secs(1),
            connect: Duration::from_secs(3),
            attempt: Duration::from_secs(15),
            // Three tries and the two longest pauses.
            call: Duration::from_secs(48),
        }
    }
}

impl Ec2 {
    /// Gets ready; nothing is sent before the first call. Credentials come from where every program of AWS looks:
    /// environment, the files in `~/.aws`, web identity, the container, the instance's role.
    pub async fn connect(settings: &Settings) -> Self {
        let tls = Provider::Rustls(CryptoMode::Ring);
        let shared = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(HttpClient::new().tls_provider(tls).build_https())
            .region(Region::new(settings.region.clone()))
            .load()
            .await;
        // The endpoint is EC2's alone: credentials keep their own ways.
        let mut own = config::Builder::from(&shared)
            .retry_config(settings.patience.repeats())
            .timeout_config(settings.patience.limits())
            .retry_classifier(NoRepeatWithoutCapacity);
        own.set_endpoint_url(settings.endpoint.clone());
        Self { client: Client::from_conf(own.build()) }
    }
}

impl Patience {
    fn repeats(&self) -> RetryConfig {
        RetryConfig::standard().with_max_attempts(self.attempts).with_initial_backoff(self.first_pause)
    }

    fn limits(&self) -> TimeoutConfig {
        TimeoutConfig::builder()
            .connect_timeout(self.connect)
            .operation_attempt_timeout(self.attempt)
            .operation_timeout(self.call)
            .build()
    }
}
