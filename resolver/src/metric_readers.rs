//! The ways of metrics out: what `metrics` holds, and how the library itself is, for backends and for Prometheus.
//!
//! ```text
//!   the library itself ─┐                 ┌─▶ encode ─────▶ FinishedBatch ─▶ BackendQueue of each backend that takes metrics
//!                       ├─▶ Vec<Collected>┤
//!   a service's topics ─┘   (model)       └─▶ prometheus ─▶ the port, or a file for node_exporter
//! ```
//!
//! `reader` says when; `RATIONALE.md` says why.

mod encode;
mod own;
mod port;
mod prometheus;
mod reader;

pub(crate) use encode::{Span, metric_fields};
#[cfg(feature = "application-metrics")]
pub(crate) use own::own_kinds;
pub(crate) use own::{BackendSeen, own};
pub(crate) use prometheus::{Target, text};
pub(crate) use reader::Reader;
