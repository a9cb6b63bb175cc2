//! Where the words come from: a file, or the environment variables.

pub(super) mod file;
mod pipe;
mod secure_execution;
pub(super) mod variables;
pub(super) mod yes_or_no;
