//! Words that come from outside are checked, and read the same however they were spaced.

use std::collections::BTreeMap;

use domain::schedule::explain;
use domain::{Labels, WaitReason};

#[test]
fn spaces_in_labels_do_not_count() {
    let labels: Labels = " gpu , arch = arm64".parse().unwrap();
    assert_eq!((labels.get("gpu"), labels.get("arch")), (Some("true"), Some("arm64")));
}

#[test]
fn labels_from_the_wire_are_checked_like_typed_ones() {
    for (key, value) in [("a b", "1"), ("", "1"), ("a", "1,b=2"), ("a", "1\n"), ("a", " 1")] {
        let labels = BTreeMap::from([(key.to_owned(), value.to_owned())]);
        assert!(Labels::try_from(labels).is_err(), "{key}={value}");
    }
}

#[test]
fn an_explanation_names_reason_numbers_and_place() {
    let reason = WaitReason::UserLimit { active: 5, limit: 5 };
    assert_eq!(
        explain(&reason, 3),
        "The job waits: the user already has 5 of 5 jobs of this service active. 2 jobs of the same user go first."
    );
}
