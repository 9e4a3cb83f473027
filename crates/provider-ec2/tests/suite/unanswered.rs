//! A launch that may have happened is never told as one that did not.

use std::time::{Duration, Instant};

use provider_ec2::{CallError, Ec2, Patience, Settings};

use crate::bed::{Bed, SERVER, alone, connect, is_alone, request, settings};
use crate::faulty_ec2::{Fault, FaultyEc2};

#[tokio::test]
async fn a_launch_whose_answers_are_lost_is_found_by_its_tags_and_by_its_token() {
    let bed = Bed::new().await;
    bed.aws.story(|call| if call.operation == "RunInstances" { Fault::LoseAnswer } else { Fault::None });
    let lost = bed.ec2.launch(&request(7)).await.unwrap_err();
    assert!(matches!(lost, CallError::Unanswered { operation: "RunInstances", .. }), "{lost:?}");
    let found = bed.ec2.describe(SERVER).await.unwrap();
    assert_eq!(found.len(), 1, "every repeat had the token of the first");
    assert_eq!(found[0].tags.row, Some(7));
    bed.aws.story(|_| Fault::None);
    assert_eq!(bed.ec2.launch(&request(7)).await.unwrap().id, found[0].id);
}

#[tokio::test]
async fn one_lost_answer_is_made_good_by_a_repeat() {
    let bed = Bed::new().await;
    bed.aws.story(|call| if call.time == 1 { Fault::LoseAnswer } else { Fault::None });
    bed.ec2.launch(&request(7)).await.unwrap();
    bed.aws.story(|_| Fault::None);
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_refusal_after_a_broken_call_leaves_the_launch_in_doubt() {
    for refusal in ["RequestLimitExceeded", "UnauthorizedOperation"] {
        let bed = Bed::without_moto().await;
        bed.aws.story(move |call| if call.time == 1 { Fault::LoseCall } else { Fault::Refuse(refusal) });
        let error = bed.ec2.launch(&request(7)).await.unwrap_err();
        assert!(matches!(&error, CallError::Unanswered { why, .. } if why.contains(refusal)), "{error:?}");
    }
}

#[tokio::test]
async fn a_call_that_broke_before_its_end_is_in_doubt() {
    let bed = Bed::without_moto().await;
    bed.aws.story(|_| Fault::LoseCall);
    let error = bed.ec2.launch(&request(7)).await.unwrap_err();
    assert_eq!(error.code(), "unanswered");
}

#[tokio::test]
async fn a_door_that_closes_after_a_broken_call_leaves_the_launch_in_doubt() {
    let bed = Bed::without_moto().await;
    bed.aws.story(|_| Fault::LoseCall);
    let patience = Patience { first_pause: Duration::from_secs(2), ..Patience::default() };
    let ec2 = Ec2::connect(&Settings { patience, ..settings(&bed.aws.url) }).await;
    let launch = request(7);
    let close = async {
        while bed.aws.calls("RunInstances").is_empty() {
            tokio::task::yield_now().await;
        }
        drop(bed);
    };
    let (launched, ()) = tokio::join!(ec2.launch(&launch), close);
    let error = launched.unwrap_err();
    assert!(matches!(&error, CallError::Unanswered { why, .. } if why.contains("refused")), "{error:?}");
}

#[tokio::test]
async fn where_nobody_listens_nothing_was_launched() {
    let gone = FaultyEc2::before("http://127.0.0.1:9").url.clone();
    let error = connect(&gone).await.launch(&request(7)).await.unwrap_err();
    assert!(matches!(error, CallError::Unreachable { operation: "RunInstances", .. }), "{error:?}");
    assert!(error.to_string().contains("Connection refused"), "{error}");
}

#[tokio::test]
async fn silence_is_waited_for_as_long_as_was_said() {
    let bed = Bed::new().await;
    bed.aws.story(|_| Fault::Silence);
    let second = Duration::from_secs(1);
    let patience = Patience { attempts: 100, attempt: second, call: 3 * second, ..settings("").patience };
    let ec2 = Ec2::connect(&Settings { patience, ..settings(&bed.aws.url) }).await;
    let start = Instant::now();
    let error = ec2.launch(&request(7)).await.unwrap_err();
    assert_eq!(error.code(), "unanswered", "{error:?}");
    assert!(start.elapsed() < 30 * second, "{:?}", start.elapsed());
    assert!(bed.aws.calls("RunInstances").len() > 1, "the first attempt had the whole time");
}

#[tokio::test]
async fn an_answer_that_is_no_answer_leaves_the_launch_in_doubt() {
    let bed = Bed::without_moto().await;
    for body in ["no XML", "<RunInstancesResponse><instancesSet/></RunInstancesResponse>"] {
        bed.aws.story(|_| Fault::Answer(body.to_owned()));
        let error = bed.ec2.launch(&request(7)).await.unwrap_err();
        assert_eq!(error.code(), "unanswered", "{body}: {error:?}");
    }
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    if !is_alone() {
        return alone("unanswered::without_credentials_nothing_is_sent", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    }
    let aws = FaultyEc2::before("http://127.0.0.1:9");
    let error = Ec2::connect(&settings(&aws.url)).await.launch(&request(7)).await.unwrap_err();
    assert!(matches!(error, CallError::NoCredentials { .. }), "{error:?}");
    assert!(aws.calls("RunInstances").is_empty());
}
