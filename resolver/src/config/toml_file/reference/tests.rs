//! References replaced, left alone and refused.

use std::path::Path;

use proptest::prelude::*;

use super::*;

fn value_of(written: &str, variables: &[(&str, &str)]) -> Result<(String, bool), Vec<&'static str>> {
    match replace(written, &Variables::of(variables.iter().copied())) {
        Ok(Text::Written(value)) => Ok((value, false)),
        Ok(Text::Referenced { value, whole, .. }) => Ok((value, whole)),
        Ok(Text::Broken) => Err(vec!["broken"]),
        Err(failures) => Err(failures.into_iter().map(|failure| failure.code).collect()),
    }
}

fn text_of(written: &str, variables: &[(&str, &str)]) -> String {
    value_of(written, variables).unwrap().0
}

#[test]
fn every_form_is_replaced() {
    let variables = [("A", "1"), ("EMPTY", "")];
    assert_eq!(text_of("x${env:A}y${env:A}z", &variables), "x1y1z");
    assert_eq!(text_of("${env:NONE:-d}", &variables), "d");
    assert_eq!(text_of("${env:NONE:-}", &variables), "");
    assert_eq!(text_of("${env:A:-d}", &variables), "1");
    assert_eq!(text_of("${env:EMPTY:-d}", &variables), "d");
    assert_eq!(text_of("${env:EMPTY}", &variables), "");
    assert_eq!(text_of("$${env:A}", &variables), "${env:A}");
    assert_eq!(text_of("$$$$", &variables), "$$");
    assert_eq!(text_of("$$${env:A}", &variables), "$1");
    assert_eq!(text_of("^a$", &variables), "^a$");
    assert_eq!(text_of("$A", &variables), "$A");
}

#[test]
fn only_a_reference_that_is_the_whole_string_is_read_by_type() {
    let variables = [("A", "1")];
    assert_eq!(value_of("${env:A}", &variables), Ok(("1".into(), true)));
    assert_eq!(value_of("${env:A} ", &variables), Ok(("1 ".into(), false)));
    assert_eq!(value_of("${env:A}${env:A}", &variables), Ok(("11".into(), false)));
}

#[test]
fn every_bad_reference_of_a_string_is_reported() {
    assert_eq!(value_of("${env:A}${env:B}", &[]), Err(vec!["C110", "C110"]));
    for malformed in
        ["${A}", "${env:}", "${env:1A}", "${env:A", "${}", "${env:A:-${env:B}}", "${env:A?x}", "${file:/a:-b}"]
    {
        assert_eq!(value_of(malformed, &[]).map_err(|codes| codes.first().copied()), Err(Some("C111")), "{malformed}");
    }
}

#[test]
fn a_value_that_comes_from_files_is_read_anew_from_them_and_another_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "one").unwrap();
    let variables = Variables::of([("WHO", "$me")]);
    let files_of = |written: &str| match replace(written, &variables) {
        Ok(Text::Referenced { value, files, .. }) => (value, files),
        other => panic!("{other:?}"),
    };
    let file = format!("${{file:{}}}", path.display());
    let (value, files) = files_of(&format!("${{env:WHO}} $$5 {file} and {file}"));
    assert_eq!(value, "$me $5 one and one");
    std::fs::write(&path, "another\n").unwrap();
    assert_eq!(files.unwrap().read_anew().unwrap(), "$me $5 another and another");
    assert_eq!(files_of(&file).1.unwrap().read_anew().unwrap(), "another");
    assert!(files_of("${env:WHO}").1.is_none());
}

#[test]
fn a_file_loses_one_line_end_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    for (content, value) in [("s", "s"), ("s\n", "s"), ("s\r\n", "s"), ("s\n\n", "s\n"), ("s\r", "s\r"), ("", "")] {
        let path = folder.path().join("secret");
        std::fs::write(&path, content).unwrap();
        assert_eq!(text_of(&format!("${{file:{}}}", path.display()), &[]), value, "{content:?}");
    }
}

#[test]
fn a_file_that_cannot_be_a_value_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |path: &Path| value_of(&format!("${{file:{}}}", path.display()), &[]) == Err(vec!["C112"]);
    let path = folder.path().join("f");
    assert!(refused(&path), "missing");
    assert!(refused(folder.path()), "a directory");
    assert!(refused(Path::new("relative")), "not absolute");
    std::fs::write(&path, vec![b'a'; 64 << 10]).unwrap();
    assert!(!refused(&path), "64 KiB are enough");
    std::fs::write(&path, vec![b'a'; (64 << 10) + 1]).unwrap();
    assert!(refused(&path), "too large");
    std::fs::write(&path, b"a\0b").unwrap();
    assert!(refused(&path), "a zero byte");
    std::fs::write(&path, b"\xff").unwrap();
    assert!(refused(&path), "not UTF-8");
}

#[test]
fn a_privileged_process_takes_no_value_from_its_environment() {
    let variables = Variables::of([("A", "evil")]).withheld();
    assert!(replace("${env:A}", &variables).is_err());
}

proptest! {
    #[test]
    fn a_value_is_never_replaced_again(value in "[a-z$]{0,4}(\\$\\{env:[A-B](:-x)?\\}|\\$\\$|\\$\\{file:/etc/hostname\\}){0,3}") {
        let variables = [("A", value.as_str()), ("B", "recursion")];
        prop_assert_eq!(text_of("${env:A}", &variables), value.clone());
        prop_assert_eq!(text_of("<${env:A}|${env:A}>", &variables), format!("<{value}|{value}>"));
    }

    #[test]
    fn doubling_every_dollar_sign_keeps_any_text(text in "(?s).{0,40}|[${}:env A-]{0,20}") {
        prop_assert_eq!(text_of(&text.replace('$', "$$"), &[]), text);
    }

    #[test]
    fn a_text_without_references_stays_as_it_is(text in "[^$]{0,40}") {
        prop_assert_eq!(value_of(&text, &[]), Ok((text, false)));
    }

    #[test]
    fn pieces_are_replaced_from_left_to_right(pieces in proptest::collection::vec(0usize..4, 0..8)) {
        let written = ["${env:A}", "$$", "t", "${env:N:-d}"];
        let meant = ["a", "$", "t", "d"];
        let join = |words: [&str; 4]| pieces.iter().filter_map(|piece| words.get(*piece)).copied().collect::<String>();
        prop_assert_eq!(text_of(&join(written), &[("A", "a")]), join(meant));
    }

    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,60}|[${}:envfil/A-]{0,30}") {
        let _ = replace(&text, &Variables::of([("A", "a")]));
    }
}
