//! A file that is no policy is refused with the reason.

use domain::policy::PolicyKind;
use policy_host::LoadError;

use crate::guest::{DECENT, Guest, host};

#[test]
fn a_component_is_of_the_kind_that_its_functions_say() {
    assert_eq!(DECENT.load(&host()).unwrap().kind(), PolicyKind::Quota);
}

#[test]
fn what_is_no_component_is_told_apart() {
    let module = wat::parse_str("(module)").unwrap();
    let core = host().load(&module).unwrap_err();
    assert!(core.to_string().contains("policy build"), "the remedy is told: {core}");
    assert!(matches!(host().load(b"hello").unwrap_err(), LoadError::NotAComponent(_)));
    let mut half = DECENT.component();
    half.truncate(half.len() / 2);
    assert!(matches!(host().load(&half).unwrap_err(), LoadError::NotAComponent(_)));
}

#[test]
fn a_component_without_the_functions_is_no_policy() {
    let component = wat::parse_str("(component)").unwrap();
    assert!(matches!(host().load(&component).unwrap_err(), LoadError::NoPolicy));
}

#[test]
fn a_component_that_wants_more_than_the_types_does_not_fit() {
    let component = wat::parse_str(
        r#"(component
            (import "wasi:clocks/wall-clock@0.2.0" (instance $clock (export "now" (func (result u64)))))
            (core module $m (func (export "grant")))
            (core instance $i (instantiate $m))
            (func (export "grant") (canon lift (core func $i "grant"))))"#,
    )
    .unwrap();
    let refused = host().load(&component).unwrap_err();
    assert!(
        matches!(&refused, LoadError::World { kind: PolicyKind::Quota, why } if why.contains("wasi:clocks")),
        "{refused}"
    );
}

#[test]
fn a_function_of_another_type_does_not_fit() {
    let component = wat::parse_str(
        r#"(component
            (core module $m (func (export "grant")))
            (core instance $i (instantiate $m))
            (func (export "grant") (canon lift (core func $i "grant"))))"#,
    )
    .unwrap();
    assert!(matches!(host().load(&component).unwrap_err(), LoadError::World { kind: PolicyKind::Quota, .. }));
}

/// What one component does has no effect on another of the same host.
#[test]
fn a_host_serves_many_components() {
    let host = host();
    let decent = DECENT.load(&host).unwrap().configure(&domain::policy::Settings::default()).unwrap();
    let broken = Guest { grant: "unreachable", ..DECENT }.load(&host).unwrap();
    let broken = broken.configure(&domain::policy::Settings::default()).unwrap();
    assert!(crate::guest::ask(&broken, 1).answer.is_err());
    assert!(crate::guest::ask(&decent, 1).answer.is_ok());
    assert_ne!(decent.author().digest, broken.author().digest);
}
