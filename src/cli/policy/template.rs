//! What a new policy's crate consists of: all of it is in the binary, so that it can be written anywhere.

use domain::policy::{PolicyKind, PolicyName};

/// A file of the crate: its path in it, and its text.
pub(super) type File = (&'static str, String);

/// What the SDK is; the crate has a copy, so that it compiles far from this repository and as long as its author likes.
const VENDORED: [(&str, &str); 8] = [
    ("vendor/sdk/Cargo.toml", include_str!("../../../plugins/sdk/Cargo.toml")),
    ("vendor/sdk/src/lib.rs", include_str!("../../../plugins/sdk/src/lib.rs")),
    ("vendor/sdk/src/quota.rs", include_str!("../../../plugins/sdk/src/quota.rs")),
    ("vendor/sdk/src/routing.rs", include_str!("../../../plugins/sdk/src/routing.rs")),
    ("vendor/sdk/src/scaling.rs", include_str!("../../../plugins/sdk/src/scaling.rs")),
    ("vendor/sdk/src/settings.rs", include_str!("../../../plugins/sdk/src/settings.rs")),
    ("vendor/sdk/src/slot.rs", include_str!("../../../plugins/sdk/src/slot.rs")),
    ("vendor/wit/v1/policy.wit", include_str!("../../../plugins/wit/v1/policy.wit")),
];

const CARGO: &str = include_str!("../../../plugins/template/Cargo.toml");
const README: &str = include_str!("../../../plugins/template/README.md");

/// All files of a crate for a policy of that kind and name.
pub(super) fn files(kind: PolicyKind, name: &PolicyName) -> Vec<File> {
    let example = match kind {
        PolicyKind::Quota => include_str!("../../../plugins/template/quota/src/lib.rs"),
        PolicyKind::Routing => include_str!("../../../plugins/template/routing/src/lib.rs"),
        PolicyKind::Scaling => include_str!("../../../plugins/template/scaling/src/lib.rs"),
    };
    let fill = |text: &str| text.replace("KIND", kind.as_str()).replace("my-policy", name.as_str());
    let mut files = vec![
        ("Cargo.toml", fill(CARGO)),
        ("README.md", fill(README)),
        (".gitignore", "/target/\n/*.wasm\n".to_owned()),
        ("src/lib.rs", fill(example)),
    ];
    files.extend(VENDORED.map(|(path, text)| (path, text.to_owned())));
    files
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    #[test]
    fn a_new_crate_has_every_file_of_the_sdk() {
        let sources = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("plugins/sdk/src")).unwrap();
        let sources = sources.map(|entry| format!("vendor/sdk/src/{}", entry.unwrap().file_name().display()));
        let files: BTreeSet<&str> = VENDORED.iter().map(|(path, _)| *path).collect();
        for source in sources {
            assert!(files.contains(source.as_str()), "{source}");
        }
    }

    #[test]
    fn a_new_crate_has_its_own_name_everywhere() {
        for kind in PolicyKind::ALL {
            let files = files(kind, &"mine".parse().unwrap());
            assert!(files[0].1.contains(&format!("name = \"{kind}-mine\"")), "{}", files[0].1);
            let left = files.iter().find(|(_, text)| text.contains("my-policy") || text.contains("KIND"));
            assert!(left.is_none(), "{left:?}");
        }
    }
}
