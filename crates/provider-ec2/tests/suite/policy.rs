//! The rights that docs/autoscaling.md asks for are those that the calls need.

use std::collections::BTreeSet;
use std::path::Path;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
/// Needed for the tags in the call that launches, though nobody calls it.
const TAGS: &str = "ec2:CreateTags";

#[test]
fn the_policy_in_the_document_names_the_calls_that_are_made() {
    assert_eq!(allowed(), called());
}

/// The actions of the policy.
fn allowed() -> BTreeSet<String> {
    let document = std::fs::read_to_string(Path::new(ROOT).join("../../docs/autoscaling.md")).unwrap();
    let policy = document.split("```json\n").nth(1).unwrap().split("```").next().unwrap();
    let policy: serde_json::Value = serde_json::from_str(policy).unwrap();
    let statements = policy["Statement"].as_array().unwrap();
    let actions = statements.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    actions.map(|action| action.as_str().unwrap().to_owned()).filter(|action| action != TAGS).collect()
}

/// What the sources call on the SDK's client: `.client.run_instances()` is `ec2:RunInstances`.
fn called() -> BTreeSet<String> {
    let files = std::fs::read_dir(Path::new(ROOT).join("src")).unwrap();
    let sources = files.map(|file| std::fs::read_to_string(file.unwrap().path()).unwrap());
    let sources: String = sources.collect::<String>().split_whitespace().collect();
    let calls = sources.split("self.client.").skip(1).map(|rest| rest.split('(').next().unwrap());
    calls.map(|call| format!("ec2:{}", call.split('_').map(capitalized).collect::<String>())).collect()
}

fn capitalized(word: &str) -> String {
    let (first, rest) = word.split_at(1);
    first.to_uppercase() + rest
}
