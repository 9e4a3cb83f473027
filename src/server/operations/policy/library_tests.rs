use domain::policy::{PolicyKind, PolicyName, shipped};

use super::SHIPPED;

/// The first of each kind is the default: [`super::Library::default_of`] relies on both.
#[test]
fn the_components_in_the_program_are_those_of_the_domain() {
    for kind in PolicyKind::ALL {
        let names: Vec<&str> = SHIPPED.iter().filter(|it| it.kind == kind).map(|it| it.name).collect();
        assert_eq!(names, shipped(kind));
        assert!(names.iter().all(|name| name.parse::<PolicyName>().is_ok()));
    }
}
