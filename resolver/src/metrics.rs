//! Metrics, in OpenTelemetry's data model, and the instruments that measure messages.
//!
//! How they leave is the business of `metric_readers`.

mod instruments;
mod model;

pub(crate) use instruments::{Exemplars, InSpan, Instruments, Series, SeriesKey};
pub use instruments::{MeasuredIn, Measurement};
pub(crate) use model::{Attributes, Collected, Distribution, Exemplar, Metric, Number, Points, Value};
