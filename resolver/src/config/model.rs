//! The checked configuration: plain data that every other module works from.

#![forbid(unsafe_code)]

mod backend;
mod config;
pub(super) mod from_files;
mod metrics;
mod plugins;
mod service;
mod settings;

pub use backend::{Backend, QueueBytes, Retry, Spool};
pub use config::{Batch, Config, Origin, Reload, Untrusted};
pub use metrics::Metrics;
pub use plugins::{PluginEntry, Plugins};
pub use service::{Pattern, Service};
pub use settings::{
    Ambient, Conventions, Measuring, MessageKey, ParentDecision, Propagator, Relation, Sampler, Settings,
    SpanAttributes, Trace,
};
