//! What formats without a place for it carry as tags: scope, status, dropped counts, trace state.

use super::otlp::{InstrumentationScope, Span, StatusCode};

/// The facts of a span that other formats carry as tags, under the names of OpenTelemetry's mapping to non-OTLP formats.
#[derive(Debug, Default, PartialEq)]
pub struct SpanNotes<'a> {
    /// Tags with text: `otel.scope.name`, `otel.scope.version`, `otel.status_code`, `w3c.tracestate`.
    pub texts: Vec<(&'static str, &'a str)>,
    /// Tags with a number above zero: `otel.dropped_attributes_count` and its like.
    pub numbers: Vec<(&'static str, i64)>,
    /// The status is an error: its description, perhaps empty.
    pub error: Option<&'a str>,
}

/// Collects the notes of `span`, which was recorded by `scope`.
pub fn span_notes<'a>(scope: Option<&'a InstrumentationScope>, span: &'a Span) -> SpanNotes<'a> {
    let mut notes = SpanNotes::default();
    if let Some(scope) = scope {
        notes.texts.extend(filled("otel.scope.name", &scope.name));
        notes.texts.extend(filled("otel.scope.version", &scope.version));
    }
    notes.texts.extend(filled("w3c.tracestate", &span.trace_state));
    if let Some(status) = &span.status {
        match status.code() {
            StatusCode::Unset => {}
            StatusCode::Ok => notes.texts.push(("otel.status_code", "OK")),
            StatusCode::Error => {
                notes.texts.push(("otel.status_code", "ERROR"));
                notes.error = Some(&status.message);
            }
        }
    }
    let dropped = [
        ("otel.dropped_attributes_count", span.dropped_attributes_count),
        ("otel.dropped_events_count", span.dropped_events_count),
        ("otel.dropped_links_count", span.dropped_links_count),
    ];
    notes
        .numbers
        .extend(dropped.into_iter().filter(|(_, count)| *count > 0).map(|(name, count)| (name, i64::from(count))));
    notes
}

fn filled<'a>(name: &'static str, text: &'a str) -> Option<(&'static str, &'a str)> {
    (!text.is_empty()).then_some((name, text))
}
