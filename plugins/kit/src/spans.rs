//! Reading OTLP batches, for the backends that turn spans into another format.
//!
//! The rules are those of OpenTelemetry's "mapping to non-OTLP formats"; each backend adds those of its own format.

mod decode;
mod ids;
mod span_notes;
mod value_text;

pub use decode::{Sendable, decode, sendable, service_name};
pub use ids::{hex, is_set};
pub use span_notes::{SpanNotes, span_notes};
pub use value_text::{base64, value_json, value_text};

/// The OTLP types, as `opentelemetry-proto` generates them.
pub mod otlp {
    pub use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    pub use opentelemetry_proto::tonic::common::v1::any_value::Value;
    pub use opentelemetry_proto::tonic::common::v1::{
        AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList,
    };
    pub use opentelemetry_proto::tonic::resource::v1::Resource;
    pub use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
    pub use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
    pub use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
}
