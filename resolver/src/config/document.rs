//! The TOML file, section by section.

#![forbid(unsafe_code)]

mod backends;
mod plugins;
mod services;
mod top;

pub(crate) use top::read;
