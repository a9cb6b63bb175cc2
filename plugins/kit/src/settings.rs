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
        let message = strip_position(&error.inner().to_string()).to_owned();
        let message = if holds_secret(&pointer, secrets) { without_found_value(&message) } else { message };
        BackendError::config(pointer, message)
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
        Some((_, expected)) => format!("expected {expected} (the value is not shown: it may hold a secret)"),
        None => "the value is not accepted (it is not shown: it may hold a secret)".to_owned(),
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
        assert_eq!(message, "unknown field `cuont`, expected `count`");
    }

    #[test]
    fn a_wrong_type_is_pointed_at() {
        let (field, message) = complaint(r#"{"inner": {"count": "many"}}"#);
        assert_eq!(field, "/inner/count");
        assert_eq!(message, "invalid type: string \"many\", expected u32");
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
