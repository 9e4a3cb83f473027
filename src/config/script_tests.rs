//! Promises of scripts of the operator's in the configuration file.

use super::*;

/// A start whose file declares this of service `fold`, beside its script.
fn fold(more: &str) -> Start {
    let start = start().file(&format!("[service.fold]\nrun = \"scripts/fold.sh\"\n{more}"));
    let dir = start.file.as_ref().unwrap().0.path().join("scripts");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("fold.sh"), "echo folded").unwrap();
    start
}

#[test]
fn script_beside_the_file_is_held_and_its_parameters_are_told() {
    let start = fold(
        "untrusted = false\n\
         [service.fold.parameters]\n\
         count = { type = \"integer\", min = 1, max = 10, default = 3, description = \"How often\" }\n\
         cutoff = { type = \"number\", min = 0, max = 1.5, default = 1 }\n\
         fast = { type = \"boolean\", default = false }\n\
         note = { type = \"text\", pattern = \"[a-z ]*\", max_length = 100_000, required = false }\n\
         structure = { type = \"file\" }\n\
         [service.fold.parameters.model]\n\
         type = \"choice\"\n\
         choices = [\"small\", \"large\"]\n",
    );
    let in_force = start.server().unwrap();
    let script = in_force.settings.services[&"fold".parse().unwrap()].script.clone().unwrap();
    assert_eq!((&*script.text, script.path.ends_with("scripts/fold.sh")), (&b"echo folded"[..], true));
    let told = |name: &str| {
        let name = format!("service.fold.{name}");
        in_force.report.0.iter().find(|line| line.name == name).unwrap().value.clone()
    };
    let told_script = told("run");
    assert!(told_script.starts_with(&script.path.display().to_string()), "{told_script}");
    assert!(told_script.ends_with(&format!("(sha256 {})", script.digest)), "{told_script}");
    assert_eq!(script.digest.len(), 64);
    let expected = [
        ("count", "integer, 1 to 10, default 3"),
        ("cutoff", "number, from 0, up to 1.5, default 1.0"),
        ("fast", "boolean, default false"),
        ("model", "choice of small, large, required"),
        ("note", "text, at most 100000 bytes, as [a-z ]*"),
        ("structure", "file, required"),
    ];
    for (name, text) in expected {
        assert_eq!(told(&format!("parameters.{name}")), text);
    }
    assert_eq!(script.parameters.len(), expected.len());
}

#[test]
fn script_by_an_absolute_path_is_taken_as_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run it.sh");
    fs::write(&path, "true").unwrap();
    let settings = start().file(&format!("[service.fold]\nrun = {:?}", path.display())).server().unwrap().settings;
    let script = settings.services[&"fold".parse().unwrap()].script.as_ref().unwrap();
    assert_eq!((&script.path, script.parameters.len()), (&path, 0));
}

#[test]
fn script_that_cannot_be_held_is_a_mistake() {
    let with = |text: Option<&[u8]>| {
        let start = start().file("[service.fold]\nrun = \"fold.sh\"");
        let path = start.file.as_ref().unwrap().0.path().join("fold.sh");
        if let Some(text) = text {
            fs::write(path, text).unwrap();
        } else {
            fs::create_dir(path).unwrap();
        }
        start
    };
    let table = [
        (start().file("[service.fold]\nrun = \"none.sh\""), "none.sh cannot be read: No such file"),
        (start().file("[service.fold]\nrun = 5"), "write a text in quotes"),
        (with(None), "is no file"),
        (with(Some(b"")), "is empty"),
        (with(Some(&vec![b'#'; 1024 * 1024 + 1])), "has more than 1048576 bytes"),
        (start().file("[service.fold.parameters.count]\ntype = \"integer\""), "there is no script for them"),
    ];
    for (start, expected) in table {
        let mistake = start.only_mistake();
        assert!(
            mistake.starts_with("[service.fold] ") && mistake.contains(expected),
            "{expected} is not in: {mistake}"
        );
    }
}

#[test]
fn each_mistake_in_a_declaration_names_parameter_value_and_remedy() {
    let table: [(&str, &[&str]); 25] = [
        ("Count = { type = \"integer\" }", &["parameters.Count] = Count (file ", "rename it"]),
        ("count = 3", &["parameters.count] = 3", "it is no table", "{ type = \"integer\" }"]),
        ("count = {}", &["parameters.count] type (file ", "it is missing", "one of: integer, number, text"]),
        ("count = { type = 3 }", &["] type = 3", "in quotes"]),
        ("count = { type = \"intger\" }", &["] type = intger", "did you mean integer?"]),
        ("count = { type = \"integer\", maximum = 3 }", &["] maximum (file ", "known are type, default"]),
        ("count = { type = \"integer\", mix = 3 }", &["] mix (file ", "did you mean max?"]),
        ("count = { type = \"integer\", min = 0.5 }", &["] min = 0.5", "give a whole number from -9007199254740991"]),
        ("count = { type = \"integer\", min = 3, max = 2 }", &["] min = 3", "it is above max"]),
        ("count = { type = \"integer\", max = 2, default = 3 }", &["] default = 3", "out of range", "to 2"]),
        ("count = { type = \"integer\", default = \"3\" }", &["] default = 3", "without quotes"]),
        ("count = { type = \"integer\", pattern = \"x\" }", &["] pattern = x", "type integer has no pattern"]),
        ("share = { type = \"number\", min = \"0\" }", &["] min = 0", "give a number"]),
        ("share = { type = \"number\", max = inf }", &["] max = inf", "give a number"]),
        ("share = { type = \"number\", min = 1, max = 0.5 }", &["] min = 1", "it is above max"]),
        ("note = { type = \"text\", max_length = 100_001 }", &["] max_length = 100001", "from 1 to 100000"]),
        ("note = { type = \"text\", max_length = 2, default = \"abc\" }", &["] default = abc", "it has 3 bytes"]),
        ("note = { type = \"text\", pattern = \"[\" }", &["] pattern = [", "no regular expression"]),
        ("note = { type = \"text\", pattern = \"a\", default = \"b\" }", &["] default = b", "the form"]),
        ("model = { type = \"choice\" }", &["] choices", "give a list of different texts"]),
        ("model = { type = \"choice\", choices = [\"a\", \"a\"] }", &["] choices = [\"a\", \"a\"]", "different"]),
        ("model = { type = \"choice\", choices = [\"a\", 2] }", &["] choices = [\"a\", 2]", "texts"]),
        ("model = { type = \"choice\", choices = [\"aa\"], default = \"ab\" }", &["] default", "did you mean aa?"]),
        ("fast = { type = \"boolean\", required = true, default = true }", &["] default = true", "remove required or"]),
        ("fast = { type = \"boolean\", required = \"no\" }", &["] required = \"no\"", "without quotes"]),
    ];
    for (declared, expected) in table {
        let mistake = fold(&format!("[service.fold.parameters]\n{declared}")).only_mistake();
        for part in ["[service.fold.parameters."].iter().chain(expected) {
            assert!(mistake.contains(part), "{part} is not in: {mistake}");
        }
    }
}

#[test]
fn all_mistakes_in_declarations_are_reported_at_once() {
    let mistakes = fold(
        "[service.fold.parameters]\na = { type = \"choice\" }\nb = { type = \"no\" }\n9 = { typ = \"file\" }\n\
         [service.other]\nrun = \"none\"",
    )
    .mistakes();
    assert_eq!(mistakes.len(), 6, "{mistakes:#?}");
}

#[test]
fn too_many_parameters_are_a_mistake() {
    let declared = (0..101).map(|number| format!("p{number} = {{ type = \"file\" }}"));
    let declared = declared.collect::<Vec<_>>().join("\n");
    let mistake = fold(&format!("[service.fold.parameters]\n{declared}")).only_mistake();
    assert!(mistake.contains("declare at most 100"), "{mistake}");
}
