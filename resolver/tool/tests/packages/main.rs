//! Promise: people who write no Rust get the library as packages of their own kind, which hold what they say and run
//! where they say; and a page for their language, where each command does what the page shows.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

mod archive;
mod debian_package;
mod doctor;
mod npm_package;
mod page;
mod pages;
mod release;
mod rpm_package;
mod script;
mod status;
mod support;
mod third_party;
mod tool;
mod wheel;
