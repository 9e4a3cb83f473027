//! The services in force: replaced as a whole when the configuration is read again, never changed in place.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use domain::{JobRequest, Limits, ServiceName};

use crate::config::settings::{DownloadContract, ServiceSettings};

type All = Arc<BTreeMap<ServiceName, ServiceSettings>>;

/// Cheap to clone; all clones see the same.
#[derive(Debug, Clone)]
pub struct Services(Arc<RwLock<All>>);

impl Services {
    #[must_use]
    pub fn new(services: BTreeMap<ServiceName, ServiceSettings>) -> Self {
        Self(Arc::new(RwLock::new(Arc::new(services))))
    }

    /// As they are now; who holds it does not see a later change.
    #[must_use]
    pub fn current(&self) -> All {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub fn replace(&self, services: BTreeMap<ServiceName, ServiceSettings>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(services);
    }

    /// What dispatch has to know of them.
    #[must_use]
    pub fn limits(&self) -> BTreeMap<ServiceName, Limits> {
        self.current().iter().map(|(name, service)| (name.clone(), service.limits)).collect()
    }

    /// The generation of the predecessor's download call that `service` speaks, if it has one of its own.
    #[must_use]
    pub fn download_contract(&self, service: &ServiceName) -> Option<DownloadContract> {
        self.current().get(service)?.download_contract
    }

    /// How long run.sh of a job may run: what it asks for, and never more than its service allows now.
    #[must_use]
    pub fn walltime(&self, job: &JobRequest) -> Option<Duration> {
        let service = self.current().get(&job.service).and_then(|service| service.walltime);
        let walltime = [job.walltime, service].into_iter().flatten().min()?;
        Some(Duration::from_secs(walltime.seconds().into()))
    }

    /// How long an attempt of a service may go on without contact; a service that is no longer configured lets its
    /// attempts finish.
    #[must_use]
    pub fn stop_after(&self, service: &ServiceName, lost_after: Duration) -> Option<Duration> {
        self.current().get(service)?.on_contact_lost.stop_after(lost_after)
    }
}
