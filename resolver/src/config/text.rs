//! TOML and JSON as the same nodes, each with the bytes that it stands in; nothing is known of their meaning here.

#![forbid(unsafe_code)]

pub(super) mod json_parser;
pub(super) mod node;
mod syntax_errors;
pub(super) mod toml_parser;
pub(super) mod written_key;
