//! What the file says, or the environment where no file is named: found, read, checked, and turned into values that are
//! right because they exist.
//!
//! The folders are layers. Each uses only those above it in this list, and no two files use each other:
//!
//! - `model`: the checked configuration, plain data. It is what comes out at the end.
//! - `report`: what is wrong: problems with their codes and places, and how they are shown.
//! - `source`: where words come from: the file, the environment variables.
//! - `text`: TOML and JSON as nodes, values with the bytes they stand in; and what was meant by a text that is neither.
//! - `reading`: one node, or one variable, as the value that is wanted there.
//! - `draft`: all that a source says, with its places, not yet judged as a whole.
//! - `toml_file`, `legacy` (the JSON of 2019), `environment` (`OTEL_*`): three readers, each from its source to a draft.
//!   None knows another.
//! - `outline`: the values of a text as they are written, for whoever explains them.
//! - `check`: what the parts of a draft have to say against each other, and the draft as a model.
//! - `load`: which source there is, which reader it gets, and what came of it.
//!
//! Every step reports what it finds and goes on, so that one run shows all problems. Only `source::file` and
//! `model::from_files` touch files; only `source::variables` touches the environment.

mod check;
mod draft;
mod environment;
mod legacy;
mod load;
mod model;
mod outline;
mod reading;
mod report;
mod source;
mod text;
mod toml_file;

pub use load::{Loaded, Source, load, load_with};
pub(crate) use load::{file_of, file_text, nothing};
pub(crate) use model::from_files::referenced_files;
pub use model::*;
pub use outline::{Outline, Written};
pub use reading::units::{written_bytes, written_duration};
pub use report::problem::{Problem, Report, Severity};
pub(crate) use source::file::read_once;
pub use source::variables::Variables;
pub use source::yes_or_no::strict;
pub use toml_file::default_config::DEFAULT_CONFIG;
pub use toml_file::expectations::{Expectation, ExpectedSide, Placed, expectations};

#[cfg(test)]
mod tests;
