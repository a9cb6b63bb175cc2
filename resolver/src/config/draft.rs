//! A configuration that has been read and not yet judged as a whole: values with their places, whatever the source.

#![forbid(unsafe_code)]

pub(super) mod backend;
pub(super) mod config;
pub(super) mod defaults;
pub(super) mod layer;
pub(super) mod metrics;
pub(super) mod sending;
pub(super) mod service;
