//! What the file says: found, read, checked, and turned into values that are right because they exist.
//!
//! ```text
//!  load ─▶ file ────▶ toml_text ─▶ document (its sections) ─┐
//!    │                json_text ─▶ legacy (the JSON of 2019) ─┼─▶ draft ─▶ check ─▶ build ─▶ model
//!    └───▶ environment (no file: OTEL_*) ─────────────────────┘
//! ```
//!
//! Every step reports what it finds and goes on, so that one run shows all problems. Only `file` and
//! `reference` touch files; only `variables` touches the environment.

mod backend;
mod base64;
mod build;
mod check;
mod code;
mod defaults;
mod document;
mod draft;
mod environment;
mod field;
mod file;
mod findings;
mod host_section;
mod invisible;
mod json_text;
mod keys;
mod layer;
mod layer_section;
mod legacy;
mod load;
mod model;
mod naming;
mod node;
mod notation;
mod pattern;
mod reference;
mod report;
mod section;
mod secure_execution;
mod suggestion;
mod syntax;
mod toml_text;
mod variables;

pub use defaults::DEFAULT_CONFIG;
pub use load::{Loaded, Source, Untrusted, load, load_with, strict};
pub use model::*;
pub use report::{Problem, Report, Severity};
pub use variables::Variables;
