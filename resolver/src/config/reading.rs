//! One node of a text, or one environment variable, read as the value that is wanted there; for all three readers.

#![forbid(unsafe_code)]

pub(super) mod basic_authorization;
pub(super) mod field;
pub(super) mod names;
pub(super) mod pattern;
pub(super) mod propagators;
pub(super) mod topic_names;
pub(super) mod units;
pub(super) mod variable_reader;
