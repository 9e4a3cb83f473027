//! Instances end, whatever is wrong with others.

use provider_ec2::{CallError, InstanceId, InstanceState};

use crate::bed::{Bed, SERVER, request};
use crate::faulty_ec2::{Call, Fault};

#[tokio::test]
async fn an_instance_that_is_not_there_keeps_no_other_from_its_end() {
    let bed = Bed::new().await;
    let first = bed.ec2.launch(&request(1)).await.unwrap().id;
    let second = bed.ec2.launch(&request(2)).await.unwrap().id;
    let unknown = InstanceId::from("i-0123456789abcdef0".to_owned());
    let ends = bed.ec2.terminate(&[first.clone(), unknown.clone(), second.clone()]).await;
    let ids: Vec<_> = ends.iter().map(|(id, _)| id.clone()).collect();
    assert_eq!(ids, [first, unknown, second]);
    assert_eq!(ends[0].1, Ok(InstanceState::ShuttingDown));
    assert!(matches!(ends[1].1, Err(CallError::NotFound(_))), "{ends:?}");
    assert_eq!(ends[2].1, Ok(InstanceState::ShuttingDown));
    let told = bed.ec2.describe(SERVER).await.unwrap();
    assert!(told.iter().all(|instance| instance.state == InstanceState::Terminated), "{told:?}");
}

#[tokio::test]
async fn to_end_an_instance_again_is_no_error() {
    let bed = Bed::new().await;
    let id = bed.ec2.launch(&request(1)).await.unwrap().id;
    for _ in 0..2 {
        bed.ec2.terminate(std::slice::from_ref(&id)).await[0].1.as_ref().unwrap();
    }
    assert!(bed.ec2.terminate(&[]).await.is_empty());
}

#[tokio::test]
async fn an_end_without_an_answer_is_in_doubt_for_each() {
    let bed = Bed::new().await;
    let id = bed.ec2.launch(&request(1)).await.unwrap().id;
    let other = bed.ec2.launch(&request(2)).await.unwrap().id;
    bed.aws.story(|call| if call.operation == "TerminateInstances" { Fault::LoseAnswer } else { Fault::None });
    let ends = bed.ec2.terminate(&[id, other]).await;
    assert!(ends.iter().all(|(_, end)| matches!(end, Err(CallError::Unanswered { .. }))), "{ends:?}");
    assert_eq!(bed.aws.calls("TerminateInstances").len(), 3, "throttling and doubt are not asked one by one");
}

#[tokio::test]
async fn one_that_may_not_be_ended_keeps_no_other_from_its_end() {
    let bed = Bed::new().await;
    let strange = bed.ec2.launch(&request(1)).await.unwrap().id;
    let ours = bed.ec2.launch(&request(2)).await.unwrap().id;
    let named = strange.clone();
    bed.aws.story(move |call: &Call| {
        let is_named = call.fields.values().any(|value| value == named.as_str());
        if is_named { Fault::Refuse("UnauthorizedOperation") } else { Fault::None }
    });
    let ends = bed.ec2.terminate(&[strange, ours]).await;
    assert!(matches!(ends[0].1, Err(CallError::Denied(_))), "{ends:?}");
    assert_eq!(ends[1].1, Ok(InstanceState::ShuttingDown));
}
