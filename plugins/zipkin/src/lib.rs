//! Backend plugin `zipkin`: JSON v2 to a Zipkin server, or to whatever speaks its API.
//!
//! ```text
//!   OTLP bytes ──▶ decode ──▶ span: one Zipkin span per OTLP span ──▶ JSON array ──▶ POST /api/v2/spans, or several
//!                             remote: who is at the other end
//! ```

#![forbid(unsafe_code)]

mod kind;
mod remote;
mod settings;
mod span;

use std::sync::Arc;
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Stats, export_plugin};
use tracer_plugin_http::HttpClient;
use tracer_plugin_kit::spans::otlp::ExportTraceServiceRequest;
use tracer_plugin_kit::{Counters, Refused, spans};

use crate::settings::{SCHEMA, Settings};
use crate::span::ZipkinSpan;

/// A Zipkin server.
pub struct Zipkin {
    client: HttpClient,
    resource_tags: bool,
    counters: Arc<Counters>,
}

impl Backend for Zipkin {
    const TYPE_NAME: &'static str = "zipkin";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = SCHEMA;
    const CONCURRENT_EXPORT: bool = true;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        Settings::parse(config_json).map(|_| ())
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let settings = Settings::parse(args.config_json)?;
        let counters = Arc::new(Counters::default());
        let client = HttpClient::new(settings.http, USER_AGENT, args.max_concurrency, Arc::clone(&counters))?;
        Ok(Zipkin { client, resource_tags: settings.resource_tags, counters })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.counters.export(batch, || {
            let sendable = spans::sendable(batch.body)?;
            let mut refused = Refused::default();
            let zipkin_spans = self.spans(&sendable.request)?;
            if !zipkin_spans.is_empty() {
                self.client.post_in_parts("application/json", &zipkin_spans, timeout, body, &mut refused)?;
            }
            refused.into_result(sendable.span_count(), sendable.without_ids)
        })
    }

    fn stats(&self) -> Option<Stats> {
        Some(self.counters.stats())
    }
}

impl Zipkin {
    /// Each span as JSON.
    fn spans(&self, request: &ExportTraceServiceRequest) -> Result<Vec<Vec<u8>>, BackendError> {
        let mut zipkin_spans = Vec::new();
        for resource_spans in &request.resource_spans {
            let resource = resource_spans.resource.as_ref();
            for scope_spans in &resource_spans.scope_spans {
                let scope = scope_spans.scope.as_ref();
                let tagged = resource.filter(|_| self.resource_tags);
                for span in &scope_spans.spans {
                    let span = ZipkinSpan::new(spans::service_name(resource), tagged, scope, span);
                    let span = serde_json::to_vec(&span);
                    zipkin_spans.push(span.map_err(|error| BackendError::internal(format!("JSON: {error}")))?);
                }
            }
        }
        Ok(zipkin_spans)
    }
}

/// The array of some spans.
fn body(spans: &[Vec<u8>]) -> Vec<u8> {
    let mut body = Vec::with_capacity(spans.iter().map(|span| span.len() + 1).sum::<usize>() + 1);
    for (i, span) in spans.iter().enumerate() {
        body.push(if i == 0 { b'[' } else { b',' });
        body.extend_from_slice(span);
    }
    body.push(b']');
    body
}

const USER_AGENT: &str = concat!("tracer-resolver-zipkin/", env!("CARGO_PKG_VERSION"));

export_plugin!(Zipkin);
