//! Which service a message belongs to, and the settings it is traced with.
//!
//! Built once from the configuration and immutable from then on, so any number of threads may ask at the same time.
//! An answer costs microseconds and is meant to be kept per client and topic by whoever asks per message.

#![forbid(unsafe_code)]

mod glob;
mod rule;
mod service_map;

pub use service_map::{Candidate, Selection, ServiceMap, Side};
