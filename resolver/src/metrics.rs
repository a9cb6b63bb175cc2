//! Metrics, as OpenTelemetry has them: what is measured, and how it leaves.
//!
//! ```text
//!   the library itself ─┐                 ┌─▶ encode ─────▶ FinishedBatch ─▶ BackendQueue of each backend that takes metrics
//!                       ├─▶ Vec<Collected>┤
//!   a service's topics ─┘   (model)       └─▶ prometheus ─▶ the port, or a file for node_exporter
//! ```
//!
//! `reader` says when; `RATIONALE.md` says why.

mod encode;
mod instruments;
mod model;
mod own;
mod port;
mod prometheus;
mod reader;

pub(crate) use encode::{Span, metric_fields};
pub(crate) use instruments::{Exemplars, InSpan, Instruments, Series, SeriesKey};
pub use instruments::{MeasuredIn, Measurement};
pub(crate) use model::{Collected, Metric};
pub(crate) use own::{BackendSeen, own};
pub(crate) use prometheus::{Target, text};
pub(crate) use reader::Reader;
