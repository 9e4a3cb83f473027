//! A compiled component of one of the three worlds.

use std::sync::Arc;

use domain::policy::{Digest, PolicyKind, Settings};
use wasmtime::component::Linker;

use crate::budget::Meter;
use crate::engine::{PolicyHost, one_line};
use crate::error::{ConfigureError, LoadError};
use crate::policy::Policy;
use crate::v1;

/// A policy without settings. Compiled code is shared by all who configure it.
pub struct Component {
    pub(crate) host: PolicyHost,
    pub(crate) world: World,
    digest: Digest,
}

/// What is instantiated for a call.
pub(crate) enum World {
    Quota(v1::quota::QuotaPre<Meter>),
    Routing(v1::routing::RoutingPre<Meter>),
    Scaling(v1::scaling::ScalingPre<Meter>),
}

impl std::fmt::Debug for Component {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Component").field("kind", &self.kind()).field("digest", &self.digest).finish_non_exhaustive()
    }
}

impl Component {
    pub(crate) fn new(
        host: PolicyHost,
        digest: Digest,
        compiled: &wasmtime::component::Component,
    ) -> Result<Self, LoadError> {
        let kind = kind_of(&host, compiled).ok_or(LoadError::NoPolicy)?;
        // Nothing is linked: a component that imports more than types does not fit.
        let linker: Linker<Meter> = Linker::new(&host.engine);
        let pre = |kind| {
            let pre = linker.instantiate_pre(compiled);
            pre.map_err(|error| LoadError::World { kind, why: one_line(&error) })
        };
        let unfit = |error| LoadError::World { kind, why: one_line(&error) };
        let world = match kind {
            PolicyKind::Quota => World::Quota(v1::quota::QuotaPre::new(pre(kind)?).map_err(unfit)?),
            PolicyKind::Routing => World::Routing(v1::routing::RoutingPre::new(pre(kind)?).map_err(unfit)?),
            PolicyKind::Scaling => World::Scaling(v1::scaling::ScalingPre::new(pre(kind)?).map_err(unfit)?),
        };
        Ok(Self { host, world, digest })
    }

    /// What it decides about.
    #[must_use]
    pub fn kind(&self) -> PolicyKind {
        match &self.world {
            World::Quota(_) => PolicyKind::Quota,
            World::Routing(_) => PolicyKind::Routing,
            World::Scaling(_) => PolicyKind::Scaling,
        }
    }

    /// Of its bytes.
    #[must_use]
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// A policy to ask: the component with an operator's settings, once it has said that it takes them.
    ///
    /// # Errors
    /// It does not take them, or fails.
    pub fn configure(self: &Arc<Self>, settings: &Settings) -> Result<Policy, ConfigureError> {
        Policy::new(self.clone(), settings)
    }
}

/// By the function that is asked; the types are compared afterwards, so that a misfit is told by its name.
fn kind_of(host: &PolicyHost, compiled: &wasmtime::component::Component) -> Option<PolicyKind> {
    let component = compiled.component_type();
    component.exports(&host.engine).find_map(|(name, _)| match name {
        "grant" => Some(PolicyKind::Quota),
        "place" => Some(PolicyKind::Routing),
        "scale" => Some(PolicyKind::Scaling),
        _ => None,
    })
}
