//! The JSON of 2019: `{"services":[{"service":…,"config":{"sampler":…,"reporter":…},"topics":[…]}]}`.
//!
//! Read as it stands, with the meaning that its documentation gave it and not the one that its reader's mistakes
//! gave it. A field of the file wins over its `JAEGER_*` variable, and that over the default, each for itself.

#![forbid(unsafe_code)]

pub(super) mod document;
mod draft_builder;
pub(super) mod from_variables;
mod jaeger_variables;
mod object;
mod reporter;
mod sampler;
mod sender;
