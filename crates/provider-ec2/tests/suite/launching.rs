//! One launch is one instance, marked, closed and gone when it shuts down.

use provider_ec2::{
    CallError, ClientToken, FoundTags, InstanceState, LaunchRequest, LaunchTemplate, Market, Place, TemplateName,
    UserData, UserDataTooLarge,
};

use crate::bed::{Bed, SERVER, request};
use crate::faulty_ec2::{Call, Fault};

fn field<'a>(call: &'a Call, name: &str) -> Option<&'a str> {
    call.fields.get(name).map(String::as_str)
}

/// Checks parameters of the first launch that went over the wire; nothing means that the parameter is not there.
fn assert_sent(bed: &Bed, expected: &[(&str, Option<&str>)]) {
    let launch = &bed.aws.calls("RunInstances")[0];
    for (name, value) in expected {
        assert_eq!(field(launch, name), *value, "{name} in {launch:#?}");
    }
}

#[tokio::test]
async fn a_launch_makes_one_instance_that_is_marked_as_ours() {
    let bed = Bed::new().await;
    let launched = bed.ec2.launch(&request(7)).await.unwrap();
    assert_eq!(launched.machine_type, "c7i.large");
    assert_eq!(launched.market, Market::OnDemand);
    let marks = FoundTags { pool: Some("burst".to_owned()), server: Some(SERVER.to_owned()), row: Some(7) };
    assert_eq!(launched.tags, marks);
    let described = bed.ec2.describe(SERVER).await.unwrap();
    assert_eq!(described.len(), 1);
    assert_eq!(described[0].id, launched.id);
    assert_eq!(described[0].state, InstanceState::Running);
    assert_eq!(described[0].tags, marks);
    assert!(described[0].zone.as_deref().unwrap().starts_with("eu-west-1"));
    assert!(described[0].private_address.is_some() && described[0].launched_at.is_some());
    assert_eq!(described[0].reason, None);
    assert_sent(
        &bed,
        &[
            ("MinCount", Some("1")),
            ("MaxCount", Some("1")),
            ("ClientToken", Some("5f3c-7")),
            ("TagSpecification.1.ResourceType", Some("instance")),
            ("TagSpecification.1.Tag.1.Key", Some("job-orchestrator:pool")),
            ("TagSpecification.2.ResourceType", Some("volume")),
            ("TagSpecification.2.Tag.3.Key", Some("job-orchestrator:row")),
            ("TagSpecification.2.Tag.3.Value", Some("7")),
            ("UserData", Some("IyEvYmluL3NoCg==")),
        ],
    );
}

#[tokio::test]
async fn an_instance_is_closed_and_gone_when_it_shuts_down() {
    let bed = Bed::new().await;
    bed.ec2.launch(&request(1)).await.unwrap();
    assert_sent(
        &bed,
        &[
            ("MetadataOptions.HttpTokens", Some("required")),
            ("MetadataOptions.HttpPutResponseHopLimit", Some("1")),
            ("InstanceInitiatedShutdownBehavior", Some("terminate")),
            ("IamInstanceProfile.Name", None),
            ("IamInstanceProfile.Arn", None),
            ("KeyName", None),
            ("InstanceMarketOptions.MarketType", None),
        ],
    );
}

#[tokio::test]
async fn a_spot_instance_is_asked_for_once_and_ended_when_taken_back() {
    let bed = Bed::new().await;
    let spot = LaunchRequest { market: Market::Spot, ..request(1) };
    bed.ec2.launch(&spot).await.unwrap();
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap()[0].market, Market::Spot);
    assert_sent(
        &bed,
        &[
            ("InstanceMarketOptions.MarketType", Some("spot")),
            ("InstanceMarketOptions.SpotOptions.SpotInstanceType", Some("one-time")),
            ("InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior", Some("terminate")),
        ],
    );
}

#[tokio::test]
async fn what_a_pool_names_is_asked_for() {
    let bed = Bed::without_moto().await;
    bed.aws.story(|_| Fault::Refuse("InvalidKeyPair.NotFound"));
    let template = LaunchTemplate { name: TemplateName::Name("burst".to_owned()), version: Some("3".to_owned()) };
    let named = LaunchRequest {
        image: None,
        place: Place::Subnet("subnet-1".to_owned()),
        security_groups: vec!["sg-1".to_owned(), "sg-2".to_owned()],
        key_name: Some("ops".to_owned()),
        profile: Some("jobs".to_owned()),
        template: Some(template),
        ..request(1)
    };
    bed.ec2.launch(&named).await.unwrap_err();
    assert_sent(
        &bed,
        &[
            ("ImageId", None),
            ("SubnetId", Some("subnet-1")),
            ("SecurityGroupId.1", Some("sg-1")),
            ("SecurityGroupId.2", Some("sg-2")),
            ("KeyName", Some("ops")),
            ("IamInstanceProfile.Name", Some("jobs")),
            ("LaunchTemplate.LaunchTemplateName", Some("burst")),
            ("LaunchTemplate.Version", Some("3")),
        ],
    );
    let otherwise = LaunchRequest {
        place: Place::Zone("eu-west-1b".to_owned()),
        profile: Some("arn:aws:iam::1:instance-profile/jobs".to_owned()),
        template: Some(LaunchTemplate { name: TemplateName::Id("lt-1".to_owned()), version: None }),
        ..request(2)
    };
    bed.ec2.launch(&otherwise).await.unwrap_err();
    let sent = &bed.aws.calls("RunInstances")[1];
    assert_eq!(field(sent, "Placement.AvailabilityZone"), Some("eu-west-1b"));
    assert_eq!(field(sent, "IamInstanceProfile.Arn"), Some("arn:aws:iam::1:instance-profile/jobs"));
    assert_eq!(field(sent, "LaunchTemplate.LaunchTemplateId"), Some("lt-1"));
    assert_eq!(field(sent, "LaunchTemplate.Version"), None);
}

#[tokio::test]
async fn a_repeat_gives_the_same_instance_and_another_launch_under_its_token_is_refused() {
    let bed = Bed::new().await;
    let first = bed.ec2.launch(&request(1)).await.unwrap();
    let again = bed.ec2.launch(&request(1)).await.unwrap();
    assert_eq!(first.id, again.id);
    let other = LaunchRequest { machine_type: "c6i.large".to_owned(), ..request(1) };
    let refused = bed.ec2.launch(&other).await.unwrap_err();
    assert!(matches!(refused, CallError::TokenMismatch(_)), "{refused}");
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap().len(), 1);
    bed.ec2.terminate(&[first.id]).await[0].1.as_ref().unwrap();
    let refused = bed.ec2.launch(&request(1)).await.unwrap_err();
    assert!(matches!(refused, CallError::TokenSpent(_)), "{refused}");
}

#[test]
fn what_aws_would_not_take_is_refused_before_it_is_sent() {
    assert!(UserData::new(vec![b'#'; 16_384]).is_ok());
    let refused = UserData::new(vec![b'#'; 16_385]).unwrap_err();
    assert_eq!(refused, UserDataTooLarge { bytes: 16_385 });
    assert!(refused.to_string().contains("16385 bytes, AWS takes at most 16384"), "{refused}");
    assert!(ClientToken::new("a".repeat(64)).is_ok());
    for no_token in ["", "with space", "ü", &"a".repeat(65)] {
        ClientToken::new(no_token).unwrap_err();
    }
}

#[test]
fn a_secret_in_user_data_is_never_printed() {
    let request = LaunchRequest { user_data: UserData::new(b"join-secret".to_vec()).unwrap(), ..request(1) };
    assert!(format!("{request:?}").contains("user_data: UserData(11 bytes)"), "{request:?}");
}
