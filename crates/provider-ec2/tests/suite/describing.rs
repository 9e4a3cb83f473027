//! What is told of a server's instances is all of them and no others.

use std::collections::BTreeSet;

use provider_ec2::{CallError, Cause, InstanceState, LaunchRequest, Market, Tags};

use crate::bed::{Bed, SERVER, request};
use crate::faulty_ec2::Fault;

/// Of another server in the same account.
fn of_another(row: u64) -> LaunchRequest {
    let launch = request(row);
    let tags = Tags { server: "other".to_owned(), ..launch.tags.clone() };
    LaunchRequest { token: provider_ec2::ClientToken::new("other").unwrap(), tags, ..launch }
}

#[tokio::test]
async fn all_pages_are_read_and_only_our_own_instances() {
    let bed = Bed::new().await;
    let mut ours = BTreeSet::new();
    for row in 1..=7 {
        ours.insert(bed.ec2.launch(&request(row)).await.unwrap().id);
    }
    bed.ec2.launch(&of_another(8)).await.unwrap();
    let ended = ours.first().unwrap().clone();
    bed.ec2.terminate(std::slice::from_ref(&ended)).await[0].1.as_ref().unwrap();
    bed.aws.story(|_| Fault::Change("MaxResults", "5"));
    let told = bed.ec2.describe(SERVER).await.unwrap();
    assert_eq!(bed.aws.calls("DescribeInstances").len(), 2);
    assert_eq!(told.iter().map(|instance| instance.id.clone()).collect::<BTreeSet<_>>(), ours);
    let rows: BTreeSet<_> = told.iter().filter_map(|instance| instance.tags.row).collect();
    assert_eq!(rows, (1..=7).collect());
    let gone = told.iter().find(|instance| instance.id == ended).unwrap();
    assert_eq!(gone.state, InstanceState::Terminated);
    assert_eq!(gone.reason.as_ref().unwrap().cause, Cause::Call);
    assert!(gone.reason.as_ref().unwrap().said.contains("User initiated"), "{gone:?}");
}

#[tokio::test]
async fn half_a_list_is_no_list() {
    let bed = Bed::new().await;
    for row in 1..=7 {
        bed.ec2.launch(&request(row)).await.unwrap();
    }
    bed.aws.story(|call| match call.time {
        1 => Fault::Change("MaxResults", "5"),
        _ => Fault::Refuse("UnauthorizedOperation"),
    });
    let error = bed.ec2.describe(SERVER).await.unwrap_err();
    assert!(matches!(error, CallError::Denied(_)), "{error:?}");
}

#[tokio::test]
async fn pages_without_end_are_an_error() {
    let bed = Bed::without_moto().await;
    let page = "<reservationSet/><nextToken>more</nextToken>";
    bed.aws.story(move |_| Fault::Answer(format!("<DescribeInstancesResponse>{page}</DescribeInstancesResponse>")));
    let error = bed.ec2.describe(SERVER).await.unwrap_err();
    assert!(error.to_string().contains("pages do not end"), "{error}");
}

#[tokio::test]
async fn an_instance_that_aws_does_not_tell_of_yet_is_no_error() {
    let bed = Bed::new().await;
    bed.ec2.launch(&request(1)).await.unwrap();
    bed.aws.story(|call| if call.time == 1 { Fault::Forget } else { Fault::None });
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap(), []);
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap().len(), 1);
}

/// moto never takes a spot instance back: this is the shape of AWS's answer.
#[tokio::test]
async fn why_an_instance_ended_is_told() {
    let bed = Bed::without_moto().await;
    for (code, cause) in [
        ("Server.SpotInstanceTermination", Cause::Spot),
        ("Client.InstanceInitiatedShutdown", Cause::Itself),
        ("Client.UserInitiatedShutdown", Cause::Call),
        ("Server.InsufficientInstanceCapacity", Cause::NoCapacity),
        ("Server.InternalError", Cause::Other),
    ] {
        let reason = format!("<stateReason><code>{code}</code><message>{code}: so it was</message></stateReason>");
        let state = "<instanceState><code>48</code><name>terminated</name></instanceState>";
        let marks = "<tagSet><item><key>job-orchestrator:row</key><value>not a number</value></item></tagSet>";
        let lifecycle = "<instanceLifecycle>spot</instanceLifecycle>";
        let item = format!("<item><instanceId>i-1</instanceId>{state}{reason}{lifecycle}{marks}</item>");
        let set = format!("<reservationSet><item><instancesSet>{item}</instancesSet></item></reservationSet>");
        bed.aws.story(move |_| Fault::Answer(format!("<DescribeInstancesResponse>{set}</DescribeInstancesResponse>")));
        let told = bed.ec2.describe(SERVER).await.unwrap();
        assert_eq!((told[0].state.clone(), told[0].market), (InstanceState::Terminated, Market::Spot));
        assert_eq!(told[0].tags.row, None);
        let reason = told[0].reason.clone().unwrap();
        assert_eq!(reason.cause, cause);
        assert_eq!(reason.said, format!("{code}: so it was"));
    }
}
