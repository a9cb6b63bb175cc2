//! What is wrong with a configuration: every problem of one run, each with its place and the way out.

#![forbid(unsafe_code)]

pub(super) mod code;
mod excerpt;
pub(super) mod findings;
pub(super) mod invisible_characters;
pub(super) mod lines;
pub(super) mod order;
pub(super) mod problem;
mod render;
pub(super) mod secrets_in_line;
pub(super) mod suggestion;
