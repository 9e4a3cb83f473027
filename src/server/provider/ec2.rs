//! Instances of Amazon EC2: what a row is in AWS's words, and what AWS's answers are for a row.

use std::collections::BTreeSet;

use domain::pool::instance::{RefusalKind, Unanswered};
use domain::pool::{Event, InstanceId, Launch, Lifecycle, Listed, ProviderId, ServerId, Tag};
use provider_ec2::{
    CallError, ClientToken, Ec2, Instance, InstanceState, LaunchRequest, LaunchTemplate, Market, Patience, Place, Said,
    Settings, Tags, TemplateName, UserData,
};
use serde::{Deserialize, Serialize};

use super::{Order, ProviderError, refused};
use crate::config::pool_settings::{ANYWHERE, Ec2Account, Ec2Pool};
use crate::runtime::chain;

/// One account in one region.
#[derive(Debug)]
pub struct Ec2Provider(Ec2);

/// What is kept of a launch.
#[derive(Debug, Serialize, Deserialize)]
struct Parameters {
    image: Option<String>,
    security_groups: Vec<String>,
    key_name: Option<String>,
    profile: Option<String>,
    template: Option<Template>,
    user_data: String,
}

#[derive(Debug, Serialize, Deserialize)]
struct Template {
    id: Option<String>,
    name: Option<String>,
    version: Option<String>,
}

/// See [`super::Providers::prepare`].
pub(super) fn prepare(pool: &Ec2Pool, tag: &Tag, launch: &Launch, boot: &[u8]) -> Result<Vec<u8>, ProviderError> {
    let template = pool.template.as_ref().map(|template| {
        let (id, name) = match &template.name {
            TemplateName::Id(id) => (Some(id.clone()), None),
            TemplateName::Name(name) => (None, Some(name.clone())),
        };
        Template { id, name, version: template.version.clone() }
    });
    let parameters = Parameters {
        image: pool.image.clone(),
        security_groups: pool.security_groups.clone(),
        key_name: pool.key_name.clone(),
        profile: pool.profile.clone(),
        template,
        user_data: String::from_utf8_lossy(boot).into_owned(),
    };
    let kept = serde_json::to_vec(&parameters)?;
    // What cannot be asked for is better known before there is a row.
    request(&Order { tag: tag.clone(), launch: launch.clone(), parameters: kept.clone() })?;
    Ok(kept)
}

/// The call that a row stands for.
pub(super) fn request(order: &Order) -> Result<LaunchRequest, ProviderError> {
    let parameters: Parameters = serde_json::from_slice(&order.parameters)?;
    let Order { tag, launch, .. } = order;
    let template = parameters.template.and_then(|template| {
        let name = template.id.map(TemplateName::Id).or(template.name.map(TemplateName::Name))?;
        Some(LaunchTemplate { name, version: template.version })
    });
    let place = launch.place.as_str();
    Ok(LaunchRequest {
        token: ClientToken::new(tag.token())?,
        tags: Tags {
            pool: tag.pool.to_string(),
            server: tag.server.to_string(),
            row: u64::try_from(tag.instance.0).unwrap_or_default(),
        },
        machine_type: launch.of_type.to_string(),
        image: parameters.image,
        place: match place {
            ANYWHERE => Place::Anywhere,
            subnet if subnet.starts_with("subnet-") => Place::Subnet(subnet.to_owned()),
            zone => Place::Zone(zone.to_owned()),
        },
        security_groups: parameters.security_groups,
        key_name: parameters.key_name,
        profile: parameters.profile,
        template,
        user_data: UserData::new(parameters.user_data.into_bytes())?,
        market: match launch.lifecycle {
            Lifecycle::Spot => Market::Spot,
            Lifecycle::OnDemand => Market::OnDemand,
        },
    })
}

impl Ec2Provider {
    /// Gets ready; nothing is sent before the first call.
    pub async fn connect(account: &Ec2Account) -> Self {
        let (region, endpoint) = (account.region.clone(), account.endpoint.clone());
        Self(Ec2::connect(&Settings { region, endpoint, patience: Patience::default() }).await)
    }

    pub(super) async fn launch(&self, order: &Order) -> Event {
        let request = match request(order) {
            Ok(request) => request,
            Err(error) => return refused(RefusalKind::Other, chain(&error)),
        };
        match self.0.launch(&request).await {
            Ok(instance) => match instance.id.as_str().parse() {
                Ok(provider) => Event::Launched(provider),
                Err(_) => Event::LaunchUnanswered(Unanswered::Lost),
            },
            Err(error) => {
                tracing::warn!(instance.id = %order.tag.instance, pool = %order.tag.pool, %error, "not launched");
                failed(&error)
            }
        }
    }

    pub(super) async fn list(&self, servers: &BTreeSet<ServerId>) -> Result<Vec<Listed>, ProviderError> {
        let mut listed = Vec::new();
        for server in servers {
            let instances = self.0.describe(server.as_str()).await?;
            listed.extend(instances.iter().filter_map(listed_as));
        }
        Ok(listed)
    }

    pub(super) async fn terminate(&self, instances: &[ProviderId]) {
        let ids: Vec<_> = instances.iter().map(|id| id.to_string().into()).collect();
        for (id, outcome) in self.0.terminate(&ids).await {
            match outcome {
                Ok(_) | Err(CallError::NotFound(_)) => tracing::info!(provider.id = %id, "instance is ended"),
                Err(error) => tracing::error!(provider.id = %id, %error, "instance is not ended; repeating"),
            }
        }
    }
}

/// What a failed launch is for its row.
fn failed(error: &CallError) -> Event {
    let said = |kind, said: &Said| refused(kind, said.code.clone());
    match error {
        CallError::NoCapacity(words) => said(RefusalKind::NoCapacity, words),
        CallError::Throttled(words) => said(RefusalKind::Throttled, words),
        CallError::Limit(words) => said(RefusalKind::Limit, words),
        CallError::Denied(words) => said(RefusalKind::Denied, words),
        CallError::Unsupported(words)
        | CallError::Misconfigured(words)
        | CallError::NotFound(words)
        | CallError::Refused(words) => said(RefusalKind::Other, words),
        CallError::TokenMismatch(_) | CallError::TokenSpent(_) => Event::LaunchUnanswered(Unanswered::TokenTaken),
        CallError::Unanswered { .. } => Event::LaunchUnanswered(Unanswered::Lost),
        CallError::NoCredentials { .. } => refused(RefusalKind::Denied, error.code()),
        CallError::Unreachable { .. } => refused(RefusalKind::Other, error.code()),
    }
}

/// An id that is no id cannot be ended by it either.
fn listed_as(instance: &Instance) -> Option<Listed> {
    let found = &instance.tags;
    let tag = || {
        let (server, pool) = (found.server.as_deref()?.parse().ok()?, found.pool.as_deref()?.parse().ok()?);
        Some(Tag { server, pool, instance: InstanceId(found.row?.try_into().ok()?) })
    };
    let is_ended = matches!(
        instance.state,
        InstanceState::ShuttingDown | InstanceState::Terminated | InstanceState::Stopping | InstanceState::Stopped
    );
    Some(Listed { provider: instance.id.as_str().parse().ok()?, tag: tag(), is_ended })
}
