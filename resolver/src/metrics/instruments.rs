//! The messaging metrics of the semantic conventions: measured in Kafka's callbacks, read when somebody collects.
//!
//! ```text
//!   a route is made          every message                               a collection
//!   Instruments::of ─▶ Series ─▶ sent / consumed / processed ─▶ Histogram ─▶ Instruments::collect ─▶ Collected
//! ```
//!
//! Which series a message belongs to is decided with its route, so a message costs a pointer and a few atomic additions.
//! `RATIONALE.md`: "Why does a fork begin its metrics at zero, and what else is not counted?"

mod bounds;
mod collection;
mod exemplar_slot;
mod histogram;
mod measurement;
mod outcomes;
mod series;
mod table;

pub(crate) use exemplar_slot::{Exemplars, InSpan};
pub use measurement::{MeasuredIn, Measurement};
pub(crate) use series::{Series, SeriesKey};
pub(crate) use table::Instruments;
