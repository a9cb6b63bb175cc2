//! A text that cannot be parsed: what was meant, and the way out, in words of whoever wrote it.

#![forbid(unsafe_code)]

pub(super) mod other_formats;
pub(super) mod toml_mistakes;
mod toml_scanner;
pub(super) mod typographic;
