//! Reading OTLP batches, for the backends that turn spans into another format.
//!
//! The rules are those of OpenTelemetry's "mapping to non-OTLP formats"; each backend adds those of its own format.

mod decode;
mod ids;
pub mod otlp;
mod span_notes;
mod value_text;

pub use decode::{Sendable, decode, sendable, service_name};
pub use ids::{hex, is_set};
pub use span_notes::{SpanNotes, span_notes};
pub use value_text::{base64, value_json, value_text};
