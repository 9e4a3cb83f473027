//! Routing policies: where do the granted jobs go?

use crate::{Description, Settings};

#[doc(hidden)]
pub mod wit {
    #![expect(clippy::too_many_arguments, reason = "wit-bindgen makes a function of each record's fields")]
    wit_bindgen::generate!({
        path: "../wit/v1",
        world: "routing",
        with: { "job-orchestrator:policy/settings@1.0.0": crate::quota::wit::job_orchestrator::policy::settings },
        additional_derives: [PartialEq, Default],
        pub_export_macro: true,
        runtime_path: "policy_sdk::rt",
        default_bindings_module: "policy_sdk::routing::wit",
    });
}

pub use wit::job_orchestrator::policy::routing_types::{
    Answer, Client, Input, Job, Kind, Label, Placement, Reason, Shape,
};

/// A routing policy.
pub trait Policy: Sized {
    /// From the operator's settings; those that are not given have their defaults.
    ///
    /// # Errors
    /// Which setting cannot be, and what would do.
    fn configure(settings: &Settings) -> Result<Self, String>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// Who goes where?
    fn place(&self, input: &Input) -> Answer;
}

/// Makes a component of a type that is a [`routing::Policy`](crate::routing::Policy). Once in a crate. On
/// other machines than wasm32 it only looks whether the type is one.
#[macro_export]
macro_rules! routing {
    ($policy:ty) => {
        const _: fn() = || {
            fn is_policy<P: $crate::routing::Policy>() {}
            is_policy::<$policy>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::routing::{Policy, wit};

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

                fn place(input: $crate::routing::Input) -> $crate::routing::Answer {
                    POLICY.with(|slot| slot.ask(|policy| policy.place(&input)))
                }
            }

    $crate::routing::wit::export!(Component with_types_in $crate::routing::wit);
        };
    };
}
