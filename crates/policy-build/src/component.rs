//! From a core module to a component.

use wit_component::{ComponentEncoder, DecodedWasm};

/// A module that is no policy.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// It does not have what its world asks for.
    #[error("the module makes no component: {0}")]
    Refused(String),
    /// It has no world.
    #[error("the crate has no policy; does it call `policy_sdk::quota!`, `routing!` or `scaling!`?")]
    NoPolicy,
}

/// Wraps a core module, in which the SDK's macro left what its world is, as a component.
///
/// # Errors
/// The module has no world in it, or does not export what its world asks for.
pub fn component(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let mut encoder = ComponentEncoder::default();
    let made = encoder.validate(true).module(module).and_then(ComponentEncoder::encode);
    let component = made.map_err(|error| ComponentError::Refused(format!("{error:#}")))?;
    // A module without a world makes an empty component, which would be found out only when it is to be used.
    match wit_component::decode(&component) {
        Ok(DecodedWasm::Component(resolve, world)) => {
            let mut exports = resolve.worlds[world].exports.keys();
            let is_policy = exports.any(|key| resolve.name_world_key(key) == "configure");
            if is_policy { Ok(component) } else { Err(ComponentError::NoPolicy) }
        }
        Ok(DecodedWasm::WitPackage(..)) => Err(ComponentError::NoPolicy),
        Err(error) => Err(ComponentError::Refused(format!("{error:#}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_no_policy_is_refused() {
        // The smallest module that there is.
        let refused = component(b"\0asm\x01\0\0\0").unwrap_err();
        assert!(matches!(refused, ComponentError::NoPolicy), "{refused}");
    }
}
