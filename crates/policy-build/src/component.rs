//! From a core module to a component.

use wit_component::ComponentEncoder;

/// A module that is no policy.
#[derive(Debug, thiserror::Error)]
#[error("the module makes no component; does the crate call `policy_sdk::quota!`, `routing!` or `scaling!` once?\n{0}")]
pub struct ComponentError(String);

/// Wraps a core module, in which the SDK's macro left what its world is, as a component.
///
/// # Errors
/// The module has no world in it, or does not export what its world asks for.
pub fn component(module: &[u8]) -> Result<Vec<u8>, ComponentError> {
    let mut encoder = ComponentEncoder::default();
    let made = encoder.validate(true).module(module).and_then(ComponentEncoder::encode);
    made.map_err(|error| ComponentError(format!("{error:#}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_that_is_no_policy_is_refused() {
        // The smallest module that there is.
        let refused = component(b"\0asm\x01\0\0\0").unwrap_err().to_string();
        assert!(refused.contains("policy_sdk::quota!"), "{refused}");
    }
}
