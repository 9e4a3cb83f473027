//! What a pool's check asks before anything is launched.

use provider_ec2::{Architecture, CallError, Image, ImageState, LaunchRequest};

use crate::bed::{Bed, SERVER, request};
use crate::faulty_ec2::Fault;

#[tokio::test]
async fn a_dry_run_says_what_a_launch_would_and_launches_nothing() {
    let bed = Bed::new().await;
    bed.ec2.dry_run(&request(1)).await.unwrap();
    assert_eq!(bed.ec2.describe(SERVER).await.unwrap(), []);
    bed.ec2.launch(&request(1)).await.unwrap();
    let sent = bed.aws.calls("RunInstances");
    assert_ne!(sent[0].fields["ClientToken"], sent[1].fields["ClientToken"], "the token is used up");
    bed.aws.story(|_| Fault::Refuse("UnauthorizedOperation"));
    let refused = bed.ec2.dry_run(&request(1)).await.unwrap_err();
    assert!(matches!(refused, CallError::Denied(_)), "{refused:?}");
}

#[tokio::test]
async fn what_the_account_does_not_have_is_named() {
    let bed = Bed::new().await;
    let no_image = LaunchRequest { image: Some("ami-0123456789abcdef0".to_owned()), ..request(1) };
    let refused = bed.ec2.launch(&no_image).await.unwrap_err();
    assert!(matches!(refused, CallError::Misconfigured(_)), "{refused:?}");
    assert!(refused.to_string().contains("ami-0123456789abcdef0"), "{refused}");
    let no_type = LaunchRequest { machine_type: "c99.huge".to_owned(), ..request(1) };
    let refused = bed.ec2.launch(&no_type).await.unwrap_err();
    assert!(matches!(refused, CallError::Misconfigured(_)), "{refused:?}");
    let refused = bed.ec2.machine_types(&["c99.huge".to_owned()]).await.unwrap_err();
    assert!(matches!(refused, CallError::Misconfigured(_)), "{refused:?}");
    assert!(refused.to_string().contains("c99.huge"), "{refused}");
    let refused = bed.ec2.images(&["ami-0123456789abcdef0".to_owned()]).await.unwrap_err();
    assert!(matches!(refused, CallError::Misconfigured(_)), "{refused:?}");
}

#[tokio::test]
async fn what_machines_and_images_are_for_is_known_before_a_launch() {
    let bed = Bed::new().await;
    let types = bed.ec2.machine_types(&["c7i.large".to_owned(), "c7g.large".to_owned()]).await.unwrap();
    let named = |name: &str| types.iter().find(|machine| machine.name == name).unwrap();
    assert_eq!(named("c7i.large").architectures, [Architecture::X86_64]);
    assert_eq!(named("c7g.large").architectures, [Architecture::Aarch64]);
    assert_eq!((named("c7i.large").vcpus, named("c7i.large").memory_mib), (2, 4096));
    let image = "ami-12c6146b".to_owned();
    let images = bed.ec2.images(std::slice::from_ref(&image)).await.unwrap();
    assert_eq!(images, [Image { id: image, architecture: Architecture::X86_64, state: ImageState::Available }]);
    assert_eq!(Architecture::Aarch64.to_string(), "aarch64");
}
