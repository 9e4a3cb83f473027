//! DescribeImages: what an image is for.

use aws_sdk_ec2::types;

use crate::attempts::Watch;
use crate::connect::Ec2;
use crate::error::CallError;
use crate::machine::Architecture;

/// An AMI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// Such as `ami-0123456789abcdef0`.
    pub id: String,
    /// For which processors it is.
    pub architecture: Architecture,
    /// Whether an instance can be launched from it.
    pub state: ImageState,
}

/// Whether an instance can be launched from an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageState {
    /// It can.
    Available,
    /// It cannot, in AWS's word.
    Other(String),
}

impl Ec2 {
    /// What these images are for, in no order. An id that the region does not have is an error
    /// ([`CallError::Misconfigured`]), which says which.
    pub async fn images(&self, ids: &[String]) -> Result<Vec<Image>, CallError> {
        let watch = Watch::new();
        let call = self.client.describe_images().set_image_ids(Some(ids.to_vec()));
        let sent = call.customize().interceptor(watch.interceptor()).send().await;
        let told = sent.map_err(|error| watch.error("DescribeImages", &error))?;
        Ok(told.images().iter().map(Image::read).collect())
    }
}

impl Image {
    fn read(told: &types::Image) -> Self {
        let state = match told.state() {
            Some(types::ImageState::Available) => ImageState::Available,
            other => ImageState::Other(other.map_or("none", types::ImageState::as_str).to_owned()),
        };
        Self {
            id: told.image_id().unwrap_or_default().to_owned(),
            architecture: Architecture::read(told.architecture().map_or("none", types::ArchitectureValues::as_str)),
            state,
        }
    }
}
