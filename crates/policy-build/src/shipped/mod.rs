//! The components in policies/: which there are, how they are made, and whether they are of these sources.

mod list;
mod manifest;
mod sources;

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use domain::policy::{Description, Digest};
use policy_build::{Built, Toolchain};
use sha2::{Digest as _, Sha256};

use list::{SHIPPED, Shipped};
use manifest::{Entry, Manifest};

/// How a run ended.
pub(crate) enum Outcome {
    Good,
    /// What is there is not what would be made; it was printed.
    Differs,
}

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Makes all components, their settings and the manifest.
pub(crate) fn write(root: &Path, target: &Path) -> Result<Outcome> {
    let dir = root.join("policies");
    fs::create_dir_all(&dir)?;
    let mut manifest = Manifest::default();
    for (shipped, built, entry) in make(root, target)? {
        let package = &built.package;
        fs::write(dir.join(format!("{package}.wasm")), &built.component)?;
        fs::write(dir.join(format!("{package}.toml")), settings(shipped))?;
        println!("policies/{package}.wasm: {} bytes, {}", built.component.len(), entry.component.short());
        manifest.components.insert(built.package, entry);
    }
    fs::write(dir.join(manifest::NAME), manifest.to_text()?)?;
    Ok(Outcome::Good)
}

/// Makes all components again and compares.
pub(crate) fn check(root: &Path, target: &Path) -> Result<Outcome> {
    let dir = root.join("policies");
    let kept = Manifest::read(&dir)?;
    let mut differs = false;
    for (shipped, built, entry) in make(root, target)? {
        let package = &built.package;
        let verdict = match kept.components.get(package) {
            None => Err("is not in policies/MANIFEST.toml".to_owned()),
            Some(old) => compare(&dir, shipped, old, &entry),
        };
        differs |= verdict.is_err();
        println!("{package}: {}", verdict.unwrap_or_else(|why| format!("{why}; run cargo xtask policies")));
    }
    Ok(if differs { Outcome::Differs } else { Outcome::Good })
}

fn compare(dir: &Path, shipped: &Shipped, old: &Entry, new: &Entry) -> std::result::Result<String, String> {
    let package = shipped.package();
    if old.source != new.source {
        return Err("was made of other sources".to_owned());
    }
    let kept = fs::read(dir.join(format!("{package}.wasm"))).map_err(|error| format!("cannot be read: {error}"))?;
    if digest(&kept) != old.component {
        return Err("is not what the manifest says".to_owned());
    }
    if fs::read_to_string(dir.join(format!("{package}.toml"))).ok() != Some(settings(shipped)) {
        return Err("has another list of settings".to_owned());
    }
    if old.toolchain != new.toolchain {
        return Ok(format!(
            "of these sources, but made by {}, not {}: the bytes are not compared; the tests hold its answers to the \
             native ones",
            old.toolchain, new.toolchain
        ));
    }
    if old.component != new.component {
        return Err("comes out with other bytes".to_owned());
    }
    Ok("the same bytes".to_owned())
}

fn make(root: &Path, target: &Path) -> Result<Vec<(&'static Shipped, Built, Entry)>> {
    let root = &root.canonicalize()?;
    let toolchain = Toolchain::find(root)?;
    let name = toolchain.name(root);
    println!("compiling with {name}");
    let packages: Vec<String> = SHIPPED.iter().map(Shipped::package).collect();
    let packages: Vec<&str> = packages.iter().map(String::as_str).collect();
    // Apart from what cargo builds for the host: nobody waits for the other.
    let built = policy_build::build(&toolchain, root, &target.join("policies"), &packages)?;
    let mut made = Vec::new();
    for shipped in SHIPPED {
        let package = shipped.package();
        let built = built.iter().find(|built| built.package == package).ok_or(format!("{package} was not built"))?;
        let component = digest(&built.component);
        let entry = Entry { source: sources::digest(root, &package)?, component, toolchain: name.clone() };
        made.push((shipped, built.clone(), entry));
    }
    Ok(made)
}

fn digest(bytes: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(bytes).into())
}

/// The file of settings: every one with its default, commented out.
fn settings(shipped: &Shipped) -> String {
    let Description { name, summary, settings, .. } = (shipped.describe)();
    let kind = shipped.kind;
    let mut text = format!("# Settings of the {kind} policy `{name}`: {summary}.\n");
    if settings.is_empty() {
        text.push_str("# It takes none.\n");
        return text;
    }
    text.push_str("# Every line has the default; take away the # and change it.\n");
    for setting in settings {
        let default = toml::Value::try_from(&setting.default).map_or_else(|_| String::new(), |value| value.to_string());
        let name = setting.name.replace(".*", ".NAME");
        // Writing to a String cannot fail.
        let _ = write!(text, "\n# {}\n# {name} = {default}\n", setting.doc);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shipped_components_are_of_these_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).unwrap();
        let manifest = Manifest::read(&root.join("policies")).unwrap();
        assert_eq!(manifest.components.len(), SHIPPED.len());
        for shipped in SHIPPED {
            let package = shipped.package();
            let entry = &manifest.components[&package];
            let remedy = "run cargo xtask policies";
            assert_eq!(entry.source, sources::digest(root, &package).unwrap(), "{package}: {remedy}");
            let component = fs::read(root.join("policies").join(format!("{package}.wasm"))).unwrap();
            assert_eq!(entry.component, digest(&component), "{package}: {remedy}");
            let kept = fs::read_to_string(root.join("policies").join(format!("{package}.toml"))).unwrap();
            assert_eq!(kept, settings(shipped), "{package}: {remedy}");
        }
    }
}
