//! Words the contract tests share.
