//! A text that cannot be parsed: what was meant, and the way out, in words of whoever wrote it.

#![forbid(unsafe_code)]

mod missing_value;
pub(super) mod other_formats;
mod toml_explanations;
pub(super) mod toml_mistakes;
mod toml_repeats;
mod toml_scanner;
pub(super) mod typographic;
