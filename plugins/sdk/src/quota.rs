//! Quota policies: whose turn is it?

use crate::{Description, Settings};

#[doc(hidden)]
pub mod wit {
    #![expect(clippy::too_many_arguments, reason = "wit-bindgen makes a function of each record's fields")]
    wit_bindgen::generate!({
        path: "../wit/v1",
        world: "quota",
        additional_derives: [PartialEq, Default],
        additional_derives_ignore: ["value"],
        pub_export_macro: true,
        runtime_path: "policy_sdk::rt",
        default_bindings_module: "policy_sdk::quota::wit",
    });
}

pub use wit::job_orchestrator::policy::quota_types::{Answer, Grant, Input, Reason, User};

/// A quota policy.
pub trait Policy: Sized {
    /// From the operator's settings; those that are not given have their defaults.
    ///
    /// # Errors
    /// Which setting cannot be, and what would do.
    fn configure(settings: &Settings) -> Result<Self, String>;
    /// What it is, as configured.
    fn describe(&self) -> Description;
    /// Who gets how much?
    fn grant(&self, input: &Input) -> Answer;
}

/// Makes a component of a type that is a [`quota::Policy`](crate::quota::Policy). Once in a crate. On
/// other machines than wasm32 it only looks whether the type is one.
#[macro_export]
macro_rules! quota {
    ($policy:ty) => {
        const _: fn() = || {
            fn is_policy<P: $crate::quota::Policy>() {}
            is_policy::<$policy>();
        };

        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::quota::{Policy, wit};

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

                fn grant(input: $crate::quota::Input) -> $crate::quota::Answer {
                    POLICY.with(|slot| slot.ask(|policy| policy.grant(&input)))
                }
            }

    $crate::quota::wit::export!(Component with_types_in $crate::quota::wit);
        };
    };
}
