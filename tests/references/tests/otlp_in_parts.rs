//! Of a batch that the `otlp` backend sends in parts, what was taken is not sent again.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::atomic::{AtomicUsize, Ordering};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tracer_plugin_api::{Backend, Batch, ErrorKind, Signal};
use tracer_plugin_otlp::Otlp;
use words::backend::create;
use words::receivers::{HttpServer, Reply};
use words::{LIMIT, sample_spans};

fn backend_at(collector: &HttpServer) -> Otlp {
    create(&serde_json::json!({ "endpoint": collector.url() })).unwrap()
}

/// By another instance too, which has not learnt yet what the collector takes.
#[test]
fn of_a_batch_in_parts_another_try_sends_what_was_not_taken_and_nothing_else() {
    let answered = AtomicUsize::new(0);
    let collector = HttpServer::start(move |request| match request.body.len() {
        0..=4_096 if answered.fetch_add(1, Ordering::SeqCst) == 2 => Reply::status(503),
        0..=4_096 => Reply::status(200),
        _ => Reply::status(413),
    });
    let collector = collector.unwrap();
    let request = sample_spans::many("orders", 500);
    let body = sample_spans::bytes(&request);
    let first = Batch::first_try(Signal::Traces, &body, 500, 1);
    let error = backend_at(&collector).export(&first, LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    let again = Batch { attempt: 2, retry_cookie: error.retry_cookie(), ..first };
    let other = backend_at(&collector);
    other.export(&again, LIMIT).unwrap();
    assert_eq!(other.stats().unwrap().items_sent, 500);
    let small = collector.requests().into_iter().filter(|request| request.body.len() <= 4_096);
    let mut parts: Vec<_> =
        small.map(|part| ExportTraceServiceRequest::decode(part.body.as_slice()).unwrap()).collect();
    parts.remove(2);
    let spans = |request: &ExportTraceServiceRequest| request.resource_spans[0].scope_spans[0].spans.clone();
    assert_eq!(parts.iter().flat_map(spans).collect::<Vec<_>>(), spans(&request));
    // What is no word of ours, or of more than there is, is none: the batch goes wholly.
    let before = collector.requests().len();
    other.export(&Batch { retry_cookie: 500, ..first }, LIMIT).unwrap();
    let all: Vec<_> = collector.requests().split_off(before);
    let all = all.iter().filter(|request| request.body.len() <= 4_096);
    let all = all.map(|part| ExportTraceServiceRequest::decode(part.body.as_slice()).unwrap());
    assert_eq!(all.flat_map(|part| spans(&part)).collect::<Vec<_>>(), spans(&request));
}
