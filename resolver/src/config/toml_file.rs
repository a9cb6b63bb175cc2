//! The TOML file, section by section.

#![forbid(unsafe_code)]

mod backends;
pub(super) mod default_config;
pub(super) mod document;
pub(super) mod expectations;
mod header_names;
mod keys;
mod metrics;
mod patterns;
mod plugins;
mod reference;
mod sampler;
mod section;
mod sending;
mod services;
mod settings;
mod upkeep;
