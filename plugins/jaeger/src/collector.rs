//! The collector's Thrift endpoint: one POST for each service in a batch.

use std::time::{Duration, Instant};

use tracer_plugin_api::{BackendError, ErrorKind};
use tracer_plugin_http::HttpClient;
use tracer_plugin_kit::spans::otlp::ResourceSpans;
use tracer_plugin_kit::spans::{self, Sendable};

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
    /// already by span id. If the collector refuses the spans of some services only, a partial success.
    pub(crate) fn send(&self, otlp: &[u8], limit: Duration) -> Result<(), BackendError> {
        let started = Instant::now();
        let sendable = spans::sendable(otlp)?;
        let batches = &sendable.request.resource_spans;
        let mut refused = Refused::default();
        for batch in batches {
            let left = limit.saturating_sub(started.elapsed());
            match self.client.post("application/x-thrift", &body(batch), left) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Permanent => refused.add(spans::span_count(batch), error),
                Err(error) => return Err(error),
            }
        }
        refused.into_result(&sendable)
    }
}

/// What the collector would not have.
#[derive(Default)]
struct Refused {
    batches: usize,
    spans: u32,
    last: Option<BackendError>,
}

impl Refused {
    fn add(&mut self, spans: u32, error: BackendError) {
        self.batches += 1;
        self.spans = self.spans.saturating_add(spans);
        self.last = Some(error);
    }

    fn into_result(self, sendable: &Sendable) -> Result<(), BackendError> {
        match self.last {
            None => sendable.taken(),
            Some(error) if self.batches == sendable.request.resource_spans.len() => Err(error),
            Some(error) => Err(BackendError::partial(self.spans + sendable.without_ids, error.message())),
        }
    }
}

fn body(resource_spans: &ResourceSpans) -> Vec<u8> {
    let spans = resource_spans.scope_spans.iter().flat_map(|scope_spans| {
        let scope = scope_spans.scope.as_ref();
        scope_spans.spans.iter().map(move |otlp| span::<Binary>(scope, otlp))
    });
    let mut writer = Binary::default();
    write_batch(&mut writer, &process::<Binary>(resource_spans.resource.as_ref()), &spans.collect::<Vec<_>>());
    writer.into_bytes()
}
