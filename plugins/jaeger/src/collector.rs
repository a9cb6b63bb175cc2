//! The collector's Thrift endpoint: one POST for each service in a batch, or more for one with too many spans.

use std::time::{Duration, Instant};

use tracer_plugin_api::BackendError;
use tracer_plugin_http::HttpClient;
use tracer_plugin_kit::spans::otlp::ResourceSpans;
use tracer_plugin_kit::{Refused, spans};

use crate::jaeger_batch::{process, span, write_batch};
use crate::thrift::{Binary, Writer};

/// Posts to `/api/traces` of a collector.
pub(crate) struct Collector {
    client: HttpClient,
}

impl Collector {
    pub(crate) fn new(client: HttpClient) -> Self {
        Collector { client }
    }

    /// Sends the spans of every resource, all of them within `limit`.
    ///
    /// # Errors
    ///
    /// Retryable, or a timeout, as soon as one POST is: the whole batch is sent again, and Jaeger merges what it has
    /// already by span id. If the collector refuses some spans only, a partial success.
    pub(crate) fn send(&self, otlp: &[u8], limit: Duration) -> Result<(), BackendError> {
        let started = Instant::now();
        let sendable = spans::sendable(otlp)?;
        let mut refused = Refused::default();
        for resource_spans in &sendable.request.resource_spans {
            let process = process::<Binary>(resource_spans.resource.as_ref());
            let body_of = |part: &[Vec<u8>]| {
                let mut writer = Binary::default();
                write_batch(&mut writer, &process, part);
                writer.into_bytes()
            };
            let left = limit.saturating_sub(started.elapsed());
            self.client.post_in_parts(CONTENT_TYPE, &encoded(resource_spans), left, body_of, &mut refused)?;
        }
        refused.into_result(sendable.span_count(), sendable.without_ids)
    }
}

fn encoded(resource_spans: &ResourceSpans) -> Vec<Vec<u8>> {
    let spans = resource_spans.scope_spans.iter().flat_map(|scope_spans| {
        let scope = scope_spans.scope.as_ref();
        scope_spans.spans.iter().map(move |otlp| span::<Binary>(scope, otlp))
    });
    spans.collect()
}

const CONTENT_TYPE: &str = "application/x-thrift";
