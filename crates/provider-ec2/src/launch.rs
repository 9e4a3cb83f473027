//! RunInstances: exactly one instance, or the question whether it would work.

use aws_sdk_ec2::operation::run_instances::builders::RunInstancesFluentBuilder;
use aws_sdk_ec2::types::{
    HttpTokensState, IamInstanceProfileSpecification, InstanceInterruptionBehavior, InstanceMarketOptionsRequest,
    InstanceMetadataEndpointState, InstanceMetadataOptionsRequest, InstanceType, LaunchTemplateSpecification,
    MarketType, Placement, ResourceType, ShutdownBehavior, SpotInstanceType, SpotMarketOptions,
};

use crate::attempts::Watch;
use crate::connect::Ec2;
use crate::error::{CallError, Said};
use crate::instance::Instance;
use crate::request::{LaunchRequest, LaunchTemplate, Market, Place, TemplateName};

const OPERATION: &str = "RunInstances";
/// How AWS says that a dry run would have worked.
const WOULD_WORK: &str = "DryRunOperation";

impl Ec2 {
    /// Launches one instance. The same request again, with the same token, gives the same instance, for as long as AWS
    /// remembers the token; after [`CallError::Unanswered`] that is the way to learn what happened.
    pub async fn launch(&self, request: &LaunchRequest) -> Result<Instance, CallError> {
        let watch = Watch::new();
        let call = self.run_instances(request).client_token(request.token.as_str());
        let sent = call.customize().interceptor(watch.interceptor()).send().await;
        let launched = sent.map_err(|error| watch.error(OPERATION, &error))?;
        let why = || "the answer has no instance".to_owned();
        launched
            .instances()
            .first()
            .and_then(Instance::read)
            .ok_or_else(|| CallError::Unanswered { operation: OPERATION, why: why() })
    }

    /// Asks whether the launch would work: rights, names and values. AWS tries neither capacity nor quotas, and nothing is
    /// launched. The error is what the launch would say.
    pub async fn dry_run(&self, request: &LaunchRequest) -> Result<(), CallError> {
        let watch = Watch::new();
        let call = self.run_instances(request).dry_run(true);
        let Err(error) = call.customize().interceptor(watch.interceptor()).send().await else { return Ok(()) };
        match watch.error(OPERATION, &error) {
            CallError::Refused(Said { code, .. }) if code == WOULD_WORK => Ok(()),
            error => Err(error),
        }
    }

    fn run_instances(&self, request: &LaunchRequest) -> RunInstancesFluentBuilder {
        let call = self
            .client
            .run_instances()
            .min_count(1)
            .max_count(1)
            .instance_type(InstanceType::from(request.machine_type.as_str()))
            .set_image_id(request.image.clone())
            .set_security_group_ids(Some(request.security_groups.clone()).filter(|groups| !groups.is_empty()))
            .set_key_name(request.key_name.clone())
            .set_iam_instance_profile(request.profile.as_deref().map(profile))
            .set_launch_template(request.template.as_ref().map(template))
            .set_instance_market_options(market(request.market))
            .user_data(request.user_data.base64())
            .tag_specifications(request.tags.on(ResourceType::Instance))
            .tag_specifications(request.tags.on(ResourceType::Volume))
            .metadata_options(tokens_only())
            .instance_initiated_shutdown_behavior(ShutdownBehavior::Terminate);
        match &request.place {
            Place::Anywhere => call,
            Place::Zone(zone) => call.placement(Placement::builder().availability_zone(zone).build()),
            Place::Subnet(subnet) => call.subnet_id(subnet),
        }
    }
}

/// Metadata by session tokens only (IMDSv2), and not through one more hop: what a job in a container or a forged request
/// could read otherwise.
fn tokens_only() -> InstanceMetadataOptionsRequest {
    InstanceMetadataOptionsRequest::builder()
        .http_endpoint(InstanceMetadataEndpointState::Enabled)
        .http_tokens(HttpTokensState::Required)
        .http_put_response_hop_limit(1)
        .build()
}

/// One request for one instance, which AWS ends, not stops, when it takes it back. On demand is what the API does by
/// itself.
fn market(market: Market) -> Option<InstanceMarketOptionsRequest> {
    let spot = SpotMarketOptions::builder()
        .spot_instance_type(SpotInstanceType::OneTime)
        .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate);
    match market {
        Market::OnDemand => None,
        Market::Spot => Some(
            InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).spot_options(spot.build()).build(),
        ),
    }
}

fn profile(profile: &str) -> IamInstanceProfileSpecification {
    let named = IamInstanceProfileSpecification::builder();
    if profile.starts_with("arn:") { named.arn(profile).build() } else { named.name(profile).build() }
}

fn template(template: &LaunchTemplate) -> LaunchTemplateSpecification {
    let named = LaunchTemplateSpecification::builder();
    let named = match &template.name {
        TemplateName::Id(id) => named.launch_template_id(id),
        TemplateName::Name(name) => named.launch_template_name(name),
    };
    named.set_version(template.version.clone()).build()
}
