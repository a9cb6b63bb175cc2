//! What is wrong with a configuration: every problem of one run, each with its place and the way out.

#![forbid(unsafe_code)]

mod excerpt;
mod problem;
mod render;

pub use problem::{Problem, Report, Severity};
