//! Words the contract tests share.

pub mod receivers;
pub mod sample_spans;
pub mod schema;
