//! The `config` of a `file` backend.

use std::path::PathBuf;

use serde::Deserialize;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{ByteSize, settings};

/// Checked settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) path: Target,
    pub(crate) format: Format,
    /// A file is rotated before it grows beyond this.
    pub(crate) max_bytes: ByteSize,
    pub(crate) max_files: FileCount,
}

/// What is written.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// A line per batch, for programs.
    OtlpJson,
    /// A line per span, for people.
    Text {
        /// Attributes to show, where a span has them.
        attributes: Vec<String>,
    },
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Table {
    path: Target,
    format: FormatName,
    attributes: Option<Vec<String>>,
    max_bytes: ByteSize,
    max_files: FileCount,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormatName {
    OtlpJson,
    Text,
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
        let Table { path, format, attributes, max_bytes, max_files } = settings::parse(config_json, &[])?;
        let format = match (format, attributes) {
            (FormatName::Text, attributes) => {
                Format::Text { attributes: attributes.unwrap_or_else(|| SHOWN.map(str::to_owned).to_vec()) }
            }
            (FormatName::OtlpJson, None) => Format::OtlpJson,
            (FormatName::OtlpJson, Some(_)) => {
                let message = "has no effect with format = \"otlp_json\", which holds every attribute; leave it out, or set \
                               format = \"text\"";
                return Err(BackendError::config("/attributes", message));
            }
        };
        Ok(Settings { path, format, max_bytes, max_files })
    }
}

impl Default for Table {
    fn default() -> Self {
        Table {
            path: Target::Stderr,
            format: FormatName::OtlpJson,
            attributes: None,
            max_bytes: ByteSize::mebibytes(100),
            max_files: FileCount(10),
        }
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

/// Where the message is in Kafka.
const SHOWN: [&str; 2] = ["messaging.destination.partition.id", "messaging.kafka.offset"];

/// Replaced in a path, so that processes with one configuration do not write to one file.
const PROCESS_ID: &str = "{pid}";

pub(crate) const SCHEMA: &str = r#"{
  "$schema": "https://json-schema.org/draft/2020-12/schema",
  "title": "file",
  "description": "Spans as lines, for programs or for people, to a file, stdout or stderr.",
  "type": "object",
  "additionalProperties": false,
  "properties": {
    "path": {
      "description": "A file in a directory that exists, \"stdout\" or \"stderr\". {pid} in it is the process id.",
      "type": "string",
      "minLength": 1,
      "default": "stderr"
    },
    "format": {
      "description": "\"otlp_json\": a line per batch, for programs. \"text\": a line per span or data point, for people.",
      "type": "string",
      "enum": ["otlp_json", "text"],
      "default": "otlp_json"
    },
    "attributes": {
      "description": "With \"text\" only: the attributes to show, where a span has them.",
      "type": "array",
      "items": { "type": "string" },
      "default": ["messaging.destination.partition.id", "messaging.kafka.offset"]
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
    fn without_settings_lines_go_to_stderr_for_stdout_is_the_applications() {
        assert_eq!(Settings::parse("{}").unwrap().path, Target::Stderr);
        assert_eq!(Settings::parse(r#"{"path": "stdout"}"#).unwrap().path, Target::Stdout);
    }

    #[test]
    fn attributes_are_chosen_for_people_only() {
        let format = |json: &str| Settings::parse(json).unwrap().format;
        assert_eq!(format("{}"), Format::OtlpJson);
        assert_eq!(format(r#"{"format": "text"}"#), Format::Text { attributes: SHOWN.map(str::to_owned).to_vec() });
        assert_eq!(format(r#"{"format": "text", "attributes": []}"#), Format::Text { attributes: Vec::new() });
        assert_eq!(complaint(r#"{"attributes": []}"#), "/attributes");
        assert_eq!(complaint(r#"{"format": "json"}"#), "/format");
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
        let (mut plain, mut for_people) = (defaults.clone(), defaults);
        plain.remove("attributes");
        for_people.insert("format".into(), "text".into());
        let parsed = |json: serde_json::Map<_, _>| Settings::parse(&serde_json::Value::from(json).to_string()).unwrap();
        assert_eq!(format!("{:?}", parsed(plain)), format!("{:?}", Settings::parse("{}").unwrap()));
        let short = Settings::parse(r#"{"format": "text"}"#).unwrap();
        assert_eq!(format!("{:?}", parsed(for_people)), format!("{short:?}"));
        assert_eq!(
            Settings::parse(r#"{"?": 1}"#).unwrap_err().message().matches('`').count() / 2 - 1,
            properties.len()
        );
    }
}
