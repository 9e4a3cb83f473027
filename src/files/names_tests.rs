use proptest::prelude::*;

use super::*;

fn fault_of(text: &str) -> Option<NameFault> {
    RelativePath::parse(text).err().map(|error| error.fault())
}

#[test]
fn ordinary_names_are_taken_as_they_are() {
    let long = "é".repeat(127) + "x";
    assert_eq!(long.len(), 255);
    let names = [
        "run.sh",
        "data/deep/in put.txt",
        "it's \"quoted\".txt",
        "naïve/蛋白质.pdb",
        "...",
        ".hidden",
        "a..b",
        "-rf",
        "~",
        ".orchestrator.exit",
        "sub/.orchestrator.log",
        &long,
        &vec!["d"; 64].join("/"),
    ];
    for name in names {
        assert_eq!(RelativePath::parse(name).map(|path| path.to_string()).as_deref(), Ok(name));
    }
}

#[test]
fn hostile_names_are_refused_with_their_fault() {
    use NameFault::*;
    let cases = [
        ("", Empty),
        ("/etc/passwd", Absolute),
        ("..", Dots),
        (".", Dots),
        ("../x", Dots),
        ("a/../../x", Dots),
        ("a/./b", Dots),
        ("a//b", Dots),
        ("a/", Dots),
        ("..\\x", Backslash),
        ("C:\\work\\run.sh", Backslash),
        ("a\0b", Control),
        ("a\nb", Control),
        ("a\u{7f}", Control),
        ("a\u{85}", Control),
        (".orchestrator.assignment", Reserved),
        (".orchestrator.assignment.0123456789abcdef0123456789abcdef", Reserved),
        (".orchestrator.log", Reserved),
        (".orchestrator.skipped", Reserved),
        (".orchestrator.parameters", Reserved),
    ];
    for (name, fault) in cases {
        assert_eq!(fault_of(name), Some(fault), "{name:?}");
    }
    assert_eq!(fault_of(&"x".repeat(256)), Some(LongComponent));
    assert_eq!(fault_of(&vec!["d"; 65].join("/")), Some(Deep));
    assert_eq!(fault_of(&"abc/".repeat(1025)), Some(Long));
}

#[test]
fn an_error_names_the_value_escaped_and_shortened() {
    let error = RelativePath::parse(&format!("a\u{1b}[31m{}", "x".repeat(5000))).unwrap_err();
    assert!(error.to_string().len() < 300, "{error}");
    let error = RelativePath::parse("a\u{1b}[31m").unwrap_err();
    assert_eq!(error.to_string(), r#"the file name "a\u{1b}[31m" has a control character"#);
    assert!(error.fault().remedy().contains("rename"));
}

fn claim(names: &[&str]) -> Result<(), NameFault> {
    let mut taken = Taken::default();
    names.iter().try_for_each(|name| taken.claim(&RelativePath::parse(name).unwrap()).map_err(|error| error.fault()))
}

#[test]
fn two_files_of_one_name_and_a_file_that_is_a_directory_are_found() {
    assert_eq!(claim(&["a", "b/a", "b/c", "b/d/e"]), Ok(()));
    assert_eq!(claim(&["b/a", "c", "b/a"]), Err(NameFault::Twice));
    assert_eq!(claim(&["a", "a/b"]), Err(NameFault::FileAndDirectory));
    assert_eq!(claim(&["a/b", "a"]), Err(NameFault::FileAndDirectory));
    assert_eq!(claim(&["a/b", "a/b/c/d"]), Err(NameFault::FileAndDirectory));
}

#[test]
fn what_is_remembered_of_an_upload_is_bounded() {
    let names: Vec<_> = (0..=MAX_ENTRIES).map(|number| number.to_string()).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    assert_eq!(claim(&names[..MAX_ENTRIES]), Ok(()));
    assert_eq!(claim(&names), Err(NameFault::TooMany));
}

proptest! {
    #[test]
    fn a_parsed_name_stays_below_its_directory(text in r"([a./\\ \PC]|\.\./|//){0,40}") {
        if let Ok(path) = RelativePath::parse(&text) {
            let joined = path.below(Path::new("/job"));
            prop_assert!(joined.starts_with("/job") && joined != Path::new("/job"));
            let inner = joined.strip_prefix("/job").unwrap();
            prop_assert!(inner.components().all(|part| matches!(part, std::path::Component::Normal(_))));
            prop_assert_eq!(inner.components().count(), text.split('/').count());
        }
    }
}
