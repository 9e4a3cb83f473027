//! The services in force, and what follows from them for a job.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::{JobRequest, Limits, ServiceName};

use crate::config::settings::{DownloadContract, ServiceSettings};
use crate::protocol::{JobLimits, Network};

/// Cheap to clone.
#[derive(Debug, Clone)]
pub struct Services(Arc<BTreeMap<ServiceName, ServiceSettings>>);

impl Services {
    #[must_use]
    pub fn new(services: BTreeMap<ServiceName, ServiceSettings>) -> Self {
        Self(Arc::new(services))
    }

    #[must_use]
    pub fn get(&self, service: &ServiceName) -> Option<&ServiceSettings> {
        self.0.get(service)
    }

    pub fn names(&self) -> impl Iterator<Item = &ServiceName> {
        self.0.keys()
    }

    /// In the order of their names.
    pub fn all(&self) -> impl Iterator<Item = (&ServiceName, &ServiceSettings)> {
        self.0.iter()
    }

    /// What dispatch has to know of them.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<ServiceName, Limits> {
        self.0.iter().map(|(name, service)| (name.clone(), service.limits)).collect()
    }

    /// The generation of the predecessor's download call that `service` speaks, if it has one of its own.
    #[must_use]
    pub fn download_contract(&self, service: &ServiceName) -> Option<DownloadContract> {
        self.get(service)?.download_contract
    }

    /// How long run.sh of a job may run: what it asks for, and never more than its service allows now.
    #[must_use]
    pub fn walltime(&self, job: &JobRequest) -> Option<Duration> {
        let service = self.get(&job.service).and_then(|service| service.walltime);
        let walltime = [job.walltime, service].into_iter().flatten().min()?;
        Some(Duration::from_secs(walltime.seconds().into()))
    }

    /// Whether scripts of a service may run where nothing can hold them.
    #[must_use]
    pub fn is_trusted(&self, service: &ServiceName) -> bool {
        self.get(service).is_some_and(|service| !service.untrusted)
    }

    /// What one job of a service may use.
    #[must_use]
    pub fn job_limits(&self, service: &ServiceName) -> JobLimits {
        self.get(service).map(|service| service.job_limits).unwrap_or_default()
    }

    /// What of a client's network jobs of a service have.
    #[must_use]
    pub fn network(&self, service: &ServiceName) -> Network {
        self.get(service).map(|service| service.network).unwrap_or_default()
    }

    /// How long an attempt of a service may go on without contact; a service that is no longer configured lets its
    /// attempts finish.
    #[must_use]
    pub fn stop_after(&self, service: &ServiceName, lost_after: Duration) -> Option<Duration> {
        self.get(service)?.on_contact_lost.stop_after(lost_after)
    }
}
