//! A text that cannot be parsed: what was meant, and the way out, in words of whoever wrote it.

#![forbid(unsafe_code)]

mod foreign;
mod scanner;
mod toml_mistakes;
mod typographic;

pub(crate) use foreign::{damage, recognize, template};
pub(crate) use toml_mistakes::explain;
pub(crate) use typographic::strange_character;
