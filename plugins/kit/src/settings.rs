//! Reading a plugin's `config` so that every error points at its field.

use serde::de::DeserializeOwned;
use serde_path_to_error::{Path, Segment};
use tracer_plugin_api::BackendError;

/// Reads the JSON text of a plugin's `config` into `T`.
///
/// An empty text is an empty table. `secrets` are JSON pointers (`"/headers"`): a message about one of these fields, or
/// anything below it, says what was expected and never repeats what was found.
///
/// # Errors
///
/// A configuration error with the JSON pointer of the first field that is unknown, missing or wrong.
pub fn parse<T: DeserializeOwned>(config_json: &str, secrets: &[&str]) -> Result<T, BackendError> {
    let text = if config_json.trim().is_empty() { "{}" } else { config_json };
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let pointer = pointer(error.path());
        let found = error.inner().to_string();
        let message = strip_position(&found);
        let is_secret = holds_secret(&pointer, secrets);
        BackendError::config(pointer, if is_secret { without_found_value(message) } else { readable(message) })
    })?;
    deserializer.end().map_err(|_| BackendError::config("", "the configuration is not one JSON object"))?;
    Ok(value)
}

/// The JSON pointer (RFC 6901) of a path: the root is the empty text.
fn pointer(path: &Path) -> String {
    path.iter().fold(String::new(), |mut pointer, segment| {
        match segment {
            Segment::Seq { index } => pointer.push_str(&format!("/{index}")),
            Segment::Map { key } => {
                pointer.push('/');
                pointer.push_str(&key.replace('~', "~0").replace('/', "~1"));
            }
            Segment::Enum { variant } => pointer.push_str(&format!("/{variant}")),
            Segment::Unknown => {}
        }
        pointer
    })
}

/// serde_json ends its messages with a position in the JSON text, which the user never wrote.
fn strip_position(message: &str) -> &str {
    message.rsplit_once(" at line ").map_or(message, |(text, _)| text)
}

fn holds_secret(pointer: &str, secrets: &[&str]) -> bool {
    secrets
        .iter()
        .any(|secret| pointer.strip_prefix(secret).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// serde writes `invalid type: string "…", expected a map`; what follows the last `expected` is ours and holds no value.
fn without_found_value(message: &str) -> String {
    match message.rsplit_once("expected ") {
        Some((_, expected)) => {
            format!("expected {} (the value is not shown: it may hold a secret)", in_words(expected))
        }
        None => "the value is not accepted (it is not shown: it may hold a secret)".to_owned(),
    }
}

/// serde's sentence as one for whoever wrote the file: no names of Rust's types, and no value, which stands in the file.
/// Sentences of our own stay as they are.
fn readable(message: &str) -> String {
    let (what, expected) = message.rsplit_once(", expected ").unwrap_or((message, ""));
    let first_name = || what.split('`').nth(1).unwrap_or_default();
    if what.starts_with("unknown field ") || what.starts_with("unknown variant ") {
        let known: Vec<_> = expected.split('`').skip(1).step_by(2).map(|name| format!("`{name}`")).collect();
        let known = known.join(", ");
        return match (what.starts_with("unknown field"), known.is_empty()) {
            (true, true) => format!("unknown key `{}`; no key is allowed here", first_name()),
            (true, false) => format!("unknown key `{}`; known: {known}", first_name()),
            (false, _) => format!("`{}` is none of what is known: {known}", first_name()),
        };
    }
    if what.starts_with("missing field ") {
        return format!("the key `{}` is missing", first_name());
    }
    if what.starts_with("duplicate field ") {
        return format!("the key `{}` stands here twice", first_name());
    }
    if let Some(found) = what.strip_prefix("invalid type: ") {
        return format!("takes {}; this is {}", in_words(expected), kind(found));
    }
    if what.starts_with("invalid value: ") || what.starts_with("invalid length ") {
        return format!("takes {}; this is out of its range", in_words(expected));
    }
    message.to_owned()
}

/// What serde found, without the value.
fn kind(found: &str) -> &'static str {
    let kinds = [
        ("string", "a text"),
        ("character", "a text"),
        ("integer", "a whole number"),
        ("floating point", "a number with a point"),
        ("boolean", "true or false"),
        ("sequence", "a list"),
        ("map", "a table"),
        ("unit", "nothing"),
        ("null", "nothing"),
    ];
    kinds.iter().find(|(name, _)| found.starts_with(name)).map_or("something else", |(_, words)| words)
}

/// What serde expects, in the words of the file.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" | "u16" | "u32" | "u64" | "usize" => "a whole number that is not negative",
        "i8" | "i16" | "i32" | "i64" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "a borrowed string" | "string" | "a character" => "a text",
        "a map" => "a table",
        "a sequence" => "a list",
        _ if expected.starts_with("struct ") || expected.starts_with("internally tagged") => "a table",
        _ if expected.starts_with("tuple ") || expected.starts_with("an array of") => "a list",
        _ if expected.starts_with("string or map") || expected.starts_with("enum ") => "one of the known words",
        _ => expected,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Outer {
        inner: Inner,
        headers: BTreeMap<String, String>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(deny_unknown_fields, default)]
    struct Inner {
        count: u32,
    }

    fn complaint(json: &str) -> (String, String) {
        let error = parse::<Outer>(json, &["/headers"]).unwrap_err();
        (error.pointer().to_owned(), error.message().to_owned())
    }

    #[test]
    fn an_empty_text_is_an_empty_table() {
        assert_eq!(parse::<Outer>("", &[]).unwrap().inner.count, 0);
    }

    #[test]
    fn an_unknown_key_is_pointed_at_and_the_known_ones_are_named() {
        let (field, message) = complaint(r#"{"inner": {"cuont": 1}}"#);
        assert_eq!(field, "/inner/cuont");
        assert_eq!(message, "unknown key `cuont`; known: `count`");
    }

    #[test]
    fn a_wrong_type_is_pointed_at_without_the_names_of_types_in_rust() {
        let (field, message) = complaint(r#"{"inner": {"count": "many"}}"#);
        assert_eq!(field, "/inner/count");
        assert_eq!(message, "takes a whole number that is not negative; this is a text");
        assert_eq!(
            complaint(r#"{"inner": {"count": 1.5}}"#).1,
            "takes a whole number that is not negative; this is a number with a point"
        );
        assert_eq!(
            complaint(r#"{"inner": {"count": -1}}"#).1,
            "takes a whole number that is not negative; this is out of its range"
        );
        assert_eq!(complaint(r#"{"inner": 1}"#).1, "takes a table; this is a whole number");
        assert_eq!(complaint(r#"{"inner": {"count": 1, "count": 2}}"#).1, "the key `count` stands here twice");
    }

    #[test]
    fn what_serde_says_is_said_in_the_words_of_the_file_and_a_sentence_of_ours_as_it_is() {
        for (found, said) in [
            ("unknown field `a`, expected one of `b`, `c`, `d`", "unknown key `a`; known: `b`, `c`, `d`"),
            ("unknown field `a`, expected `b` or `c`", "unknown key `a`; known: `b`, `c`"),
            ("unknown field `a`, there are no fields", "unknown key `a`; no key is allowed here"),
            ("unknown variant `a`, expected `b` or `c`", "`a` is none of what is known: `b`, `c`"),
            ("missing field `a`", "the key `a` is missing"),
            ("a port is expected, as in host:port", "a port is expected, as in host:port"),
            (
                "invalid type: boolean `true`, expected a time such as \"5s\"",
                "takes a time such as \"5s\"; this is true or false",
            ),
        ] {
            assert_eq!(readable(found), said);
        }
    }

    #[test]
    fn a_key_with_a_slash_is_escaped_as_json_pointers_want_it() {
        let (field, _) = complaint(r#"{"a/b~c": 1}"#);
        assert_eq!(field, "/a~1b~0c");
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_repeated() {
        for json in [
            r#"{"headers": "Bearer s3cret"}"#,
            r#"{"headers": ["s3cret, expected a map"]}"#,
            r#"{"headers": {"authorization": 12345}}"#,
        ] {
            let (field, message) = complaint(json);
            assert!(field.starts_with("/headers"), "{field}");
            assert!(!message.contains("s3cret") && !message.contains("12345"), "{message}");
        }
    }

    #[test]
    fn text_after_the_table_is_refused() {
        assert!(parse::<Outer>("{} {}", &[]).is_err());
    }
}
