use proptest::prelude::*;

use super::*;

fn read(header: impl AsRef<[u8]>) -> (Option<String>, Option<String>) {
    let disposition = Disposition::parse(header.as_ref()).unwrap();
    (disposition.name, disposition.file_name)
}

fn file_name(header: impl AsRef<[u8]>) -> String {
    read(header).1.unwrap()
}

#[test]
fn a_field_and_a_file_are_told_apart() {
    assert_eq!(read("form-data; name=\"user_id\""), (Some("user_id".into()), None));
    assert_eq!(read("form-data; name=file; filename=run.sh"), (Some("file".into()), Some("run.sh".into())));
    assert_eq!(read("form-data; name=\"\"; filename=\"\""), (Some(String::new()), Some(String::new())));
    assert_eq!(read("form-data"), (None, None));
    assert_eq!(read(""), (None, None));
}

#[test]
fn a_file_name_cannot_pose_as_another_field() {
    let header = "form-data; filename=\"a; name=user_id\"; name=\"file\"";
    assert_eq!(read(header), (Some("file".into()), Some("a; name=user_id".into())));
}

#[test]
fn parameters_may_be_upper_case_spaced_and_in_any_order() {
    assert_eq!(read("Form-Data;FILENAME = \"a\" ; Name= b ;;x"), (Some("b".into()), Some("a".into())));
}

#[test]
fn quotes_and_backslashes_are_unescaped() {
    assert_eq!(file_name(r#"form-data; filename="a\"b\".txt""#), r#"a"b".txt"#);
    assert_eq!(file_name(r#"form-data; filename="ends in\\"; name="file""#), r"ends in\");
    assert_eq!(file_name(r#"form-data; filename="C:\dir\x""#), r"C:\dir\x");
}

#[test]
fn what_browsers_escape_is_decoded_and_nothing_else() {
    assert_eq!(file_name("form-data; filename=\"a%22b%0D%0Ac%0a\""), "a\"b\r\nc\n");
    assert_eq!(file_name("form-data; filename=\"100%25 %2e%2e%2F %\""), "100%25 %2e%2e%2F %");
}

#[test]
fn utf8_and_latin1_bytes_are_read() {
    assert_eq!(file_name("form-data; filename=\"蛋白质.pdb\""), "蛋白质.pdb");
    assert_eq!(file_name(b"form-data; filename=\"na\xefve\""), "naïve");
}

#[test]
fn the_extended_form_wins_wherever_it_stands() {
    let extended = "filename*=UTF-8''na%C3%AFve%20%22x%22";
    assert_eq!(file_name(format!("form-data; {extended}")), "naïve \"x\"");
    assert_eq!(file_name(format!("form-data; {extended}; filename=\"naive\"")), "naïve \"x\"");
    assert_eq!(file_name(format!("form-data; filename=\"naive\"; {extended}")), "naïve \"x\"");
    assert_eq!(file_name("form-data; filename*=iso-8859-1'en'na%EFve"), "naïve");
}

#[test]
fn what_can_be_read_in_two_ways_is_refused() {
    use DispositionError::*;
    let cases = [
        ("form-data; filename=\"a", Unterminated),
        ("form-data; filename=\"a\\\"", Unterminated),
        ("form-data; filename=\"a\"b", Trailing),
        ("form-data; filename=a; filename=b", Twice("filename")),
        ("form-data; name=a; NAME=b", Twice("name")),
        ("form-data; filename*=naive", Extended("filename*")),
        ("form-data; filename*=UTF-8''%E", Extended("filename*")),
        ("form-data; filename*=UTF-8''%FF", Extended("filename*")),
        ("form-data; filename*=UTF-8''%zz", Extended("filename*")),
        ("form-data; filename*=koi8-r''a", Extended("filename*")),
    ];
    for (header, error) in cases {
        assert_eq!(Disposition::parse(header.as_bytes()), Err(error), "{header}");
    }
}

proptest! {
    #[test]
    fn any_header_is_read_or_refused(header in prop::collection::vec(any::<u8>(), 0..80)) {
        let _ = Disposition::parse(&header);
    }

    #[test]
    fn nearly_right_headers_are_read_or_refused(header in r#"form-data(; ?(file)?name\*?=("|UTF-8''|[a%\\"; ]){0,6}){0,4}"#) {
        let _ = Disposition::parse(header.as_bytes());
    }

    #[test]
    fn a_quoted_name_comes_back(name in r"[^%\x00]{0,30}") {
        let quoted = name.replace('\\', "\\\\").replace('"', "\\\"");
        prop_assert_eq!(file_name(format!("form-data; name=\"file\"; filename=\"{quoted}\"")), name);
    }
}
