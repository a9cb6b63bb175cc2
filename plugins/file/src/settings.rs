//! The `config` of a `file` backend.

use std::path::PathBuf;

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{ByteSize, settings};

/// Checked settings.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Settings {
    pub(crate) path: Target,
    /// A file is rotated before it grows beyond this.
    pub(crate) max_bytes: ByteSize,
    pub(crate) max_files: FileCount,
}

/// Where lines go.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) enum Target {
    Stdout,
    Stderr,
    File(PathBuf),
}

/// How many files are kept, the one being written among them: 1 to 1000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "u32")]
pub(crate) struct FileCount(pub(crate) u32);

impl Settings {
    pub(crate) fn parse(config_json: &str) -> Result<Self, BackendError> {
        settings::parse(config_json, &[])
    }
}

impl Default for Settings {
    fn default() -> Self {
        Settings { path: Target::Stdout, max_bytes: ByteSize::mebibytes(100), max_files: FileCount(10) }
    }
}

impl TryFrom<String> for Target {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        match text.as_str() {
            "" => Err("a file name, \"stdout\" or \"stderr\" is expected"),
            "stdout" => Ok(Target::Stdout),
            "stderr" => Ok(Target::Stderr),
            _ if text.ends_with('/') => {
                Err("a file name is expected, this is a directory: end it in, say, spans.jsonl")
            }
            _ => Ok(Target::File(PathBuf::from(text.replace(PROCESS_ID, &std::process::id().to_string())))),
        }
    }
}

impl TryFrom<u32> for FileCount {
    type Error = &'static str;

    fn try_from(count: u32) -> Result<Self, &'static str> {
        if (1..=1000).contains(&count) { Ok(FileCount(count)) } else { Err("the number of files is from 1 to 1000") }
    }
}

/// Replaced in a path, so that processes with one configuration do not write to one file.
const PROCESS_ID: &str = "{pid}";

pub(crate) const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "file",
  "description": "OTLP/JSON lines to a file, stdout or stderr.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "path": {
      "description": "A file in a directory that exists, \"stdout\" or \"stderr\". {pid} in it is the process id.",
      "type": "string",
      "minLength": 1,
      "default": "stdout"
    },
    "max_bytes": {
      "description": "A file is rotated before it grows beyond this: \"100MiB\", or a whole number of bytes.",
      "type": ["string", "integer"],
      "pattern": "^[0-9]+(B|KiB|MiB|GiB)?$",
      "x-explained": true,
      "minimum": 1,
      "default": "100MiB"
    },
    "max_files": {
      "description": "How many files are kept, the one being written among them; older ones are PATH.1, PATH.2 and so on.",
      "type": "integer",
      "minimum": 1,
      "maximum": 1000,
      "default": 10
    }
  }
}"#;

#[cfg(test)]
mod tests {
    use super::*;

    fn complaint(json: &str) -> String {
        Settings::parse(json).unwrap_err().pointer().to_owned()
    }

    #[test]
    fn without_settings_lines_go_to_stdout() {
        assert_eq!(Settings::parse("{}").unwrap().path, Target::Stdout);
        assert_eq!(Settings::parse(r#"{"path": "stderr"}"#).unwrap().path, Target::Stderr);
    }

    #[test]
    fn the_process_id_can_be_part_of_the_name() {
        let settings = Settings::parse(r#"{"path": "/tmp/spans-{pid}.jsonl"}"#).unwrap();
        assert_eq!(settings.path, Target::File(format!("/tmp/spans-{}.jsonl", std::process::id()).into()));
    }

    #[test]
    fn errors_point_at_their_field() {
        assert_eq!(complaint(r#"{"pathh": "x"}"#), "/pathh");
        assert_eq!(complaint(r#"{"path": ""}"#), "/path");
        assert_eq!(complaint(r#"{"path": "/tmp/"}"#), "/path");
        assert_eq!(complaint(r#"{"max_bytes": "1 MB"}"#), "/max_bytes");
        assert_eq!(complaint(r#"{"max_files": 0}"#), "/max_files");
        assert_eq!(complaint(r#"{"max_files": -1}"#), "/max_files");
    }

    #[test]
    fn the_schema_has_the_same_keys_and_defaults() {
        let schema: serde_json::Value = serde_json::from_str(SCHEMA).unwrap();
        let properties = schema.pointer("/properties").unwrap().as_object().unwrap();
        let defaults: serde_json::Map<_, _> =
            properties.iter().map(|(name, property)| (name.clone(), property["default"].clone())).collect();
        let from_schema = Settings::parse(&serde_json::Value::from(defaults).to_string()).unwrap();
        assert_eq!(format!("{from_schema:?}"), format!("{:?}", Settings::default()));
        assert_eq!(
            Settings::parse(r#"{"?": 1}"#).unwrap_err().message().matches('`').count() / 2 - 1,
            properties.len()
        );
    }
}
