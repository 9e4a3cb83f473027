//! The shipped policies as a whole.

use domain::policy::{NativePolicy, PolicyKind, Settings, kind_of, shipped};

#[test]
fn every_shipped_policy_is_found_by_its_name_and_describes_itself() {
    for kind in PolicyKind::ALL {
        for name in shipped(kind) {
            let description = NativePolicy::configure(kind, name, &Settings::default()).unwrap().describe();
            assert_eq!(description.name.as_str(), *name);
            assert_eq!(kind_of(name), Some(kind));
            assert!(!description.summary.is_empty() && !description.version.is_empty());
        }
    }
}

#[test]
fn every_shipped_policy_takes_the_settings_that_it_describes_and_no_other() {
    for (kind, name) in PolicyKind::ALL.into_iter().flat_map(|kind| shipped(kind).iter().map(move |name| (kind, name)))
    {
        let described = NativePolicy::configure(kind, name, &Settings::default()).unwrap();
        let settings = described.describe().settings;
        let defaults = settings.into_iter().map(|doc| (doc.name.replace('*', "1"), doc.default)).collect();
        let configured = NativePolicy::configure(kind, name, &Settings(defaults)).unwrap();
        assert_eq!(configured.describe(), described.describe(), "{name}");

        let unknown = Settings([("colour".to_owned(), domain::policy::Value::Flag(true))].into());
        let error = NativePolicy::configure(kind, name, &unknown).unwrap_err().to_string();
        assert!(error.starts_with("`colour` is no setting of this policy"), "{name}: {error}");
    }
}

#[test]
fn a_policy_that_is_not_shipped_is_refused_with_those_that_are() {
    let error = NativePolicy::configure(PolicyKind::Quota, "best-fit", &Settings::default()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "`best-fit` is no quota policy that this program has; it has round-robin, fair-share, priority"
    );
}
