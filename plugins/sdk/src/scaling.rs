//! Scaling policies: how many instances shall a pool have?

use crate::{Description, Settings};

#[doc(hidden)]
pub mod wit {
    wit_bindgen::generate!({
        path: "../wit/v1",
        world: "scaling",
        with: { "job-orchestrator:policy/settings@1.0.0": crate::quota::wit::job_orchestrator::policy::settings },
        additional_derives: [PartialEq, Default],
        additional_derives_ignore: ["phase"],
        pub_export_macro: true,
        runtime_path: "policy_sdk::rt",
        default_bindings_module: "policy_sdk::scaling::wit",
    });
}

pub use wit::job_orchestrator::policy::scaling_types::{
    Answer, Bounds, Input, Instance, InstanceType, Launch, Minute, Phase,
};

/// A scaling policy.
pub trait Policy: Sized {
    /// From the operator's settings; those that are not given have their defaults.
    ///
    /// # Errors
    /// Which setting cannot be, and what would do.
    fn configure(settings: &Settings) -> Result<Self, String>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// What to launch and what to drain?
    fn scale(&self, input: &Input) -> Answer;
}

/// What an instance is first.
impl Default for Phase {
    fn default() -> Self {
        Self::Booting
    }
}

/// Makes a component of a type that is a [`scaling::Policy`](crate::scaling::Policy). Once in a crate. On
/// other machines than wasm32 it only looks whether the type is one.
#[macro_export]
macro_rules! scaling {
    ($policy:ty) => {
        const _: fn() = || {
            fn is_policy<P: $crate::scaling::Policy>() {}
            is_policy::<$policy>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::scaling::{Policy, wit};

            thread_local! {
                static POLICY: $crate::Slot<$policy> = const { $crate::Slot::new() };
            }

            struct Component;

            impl wit::Guest for Component {
                fn configure(settings: Vec<$crate::Setting>) -> Result<(), String> {
                    POLICY.with(|slot| slot.fill(settings, <$policy as Policy>::configure))
                }

                fn describe() -> $crate::Description {
                    POLICY.with(|slot| slot.ask(Policy::describe))
                }

                fn scale(input: $crate::scaling::Input) -> $crate::scaling::Answer {
                    POLICY.with(|slot| slot.ask(|policy| policy.scale(&input)))
                }
            }

    $crate::scaling::wit::export!(Component with_types_in $crate::scaling::wit);
        };
    };
}
