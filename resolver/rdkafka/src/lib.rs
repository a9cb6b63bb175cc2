//! The Rust door.
