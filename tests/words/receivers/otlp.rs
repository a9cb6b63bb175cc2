//! A collector: OTLP/HTTP with protobuf bodies.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as OtlpValue;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use prost::Message;
use serde_json::Value;

use super::otlp_faults::faults_of;
use super::received_span::hex;
use super::{HttpServer, ReceivedLink, ReceivedSpan, Reply, Request, Shelf};

/// Takes `POST /v1/traces`.
pub struct OtlpReceiver {
    server: HttpServer,
    shelf: Shelf,
    faults: Arc<Mutex<Vec<String>>>,
    /// Bodies that were taken unread.
    unread: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl OtlpReceiver {
    /// Starts on a free port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts on `port`: to come back where another one was stopped.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_on(port: u16) -> io::Result<Self> {
        Self::start_as(port, Reading::AtOnce)
    }

    /// Starts on a free port, and takes every batch unread: it is read when spans are asked for. Such a receiver is as fast
    /// as a real collector, also where it is built without optimization.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_reading_later() -> io::Result<Self> {
        Self::start_as(0, Reading::Later)
    }

    fn start_as(port: u16, reading: Reading) -> io::Result<Self> {
        let unread = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&unread);
        let shelf = Shelf::default();
        let spans = shelf.clone();
        let faults = Arc::new(Mutex::new(Vec::new()));
        let found = Arc::clone(&faults);
        let answer = move |request: &Request| {
            if reading == Reading::Later {
                return refusal(request).unwrap_or_else(|| {
                    taken.lock().unwrap_or_else(PoisonError::into_inner).push(request.body.clone());
                    accepted()
                });
            }
            if let Ok(batch) = ExportTraceServiceRequest::decode(request.body.as_slice()) {
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(faults_of(&batch));
            }
            receive(request, &spans)
        };
        let server = HttpServer::start_with(port, |stream| Ok(Box::new(stream)), answer)?;
        Ok(OtlpReceiver { server, shelf, faults, unread })
    }

    /// Its base address, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.read();
        self.shelf.spans()
    }

    /// All spans so far, which are then forgotten here.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.read();
        self.shelf.take()
    }

    /// Waits for `count` spans in all, at most `limit`; then returns what there is.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<ReceivedSpan> {
        assert!(self.unread().is_empty(), "one that reads later does not know how many came");
        self.shelf.wait_for(count, limit)
    }

    /// Answers every request from now on with this status; 200 ends it.
    pub fn fail_with(&self, status: u16) {
        self.server.fail_with((status != 200).then(|| Reply::status(status)));
    }

    /// Waits that long before each answer from now on.
    pub fn respond_after(&self, delay: Duration) {
        self.server.respond_after(delay);
    }

    /// Closes the port and every connection at once.
    pub fn stop(&mut self) {
        self.server.stop();
    }

    /// What in the batches so far broke the rules of OTLP, though a lenient collector takes it.
    pub fn faults(&self) -> Vec<String> {
        self.read();
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The server below.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }

    /// Reads what was taken unread; panics when it is no batch.
    fn read(&self) {
        for body in std::mem::take(&mut *self.unread()) {
            let batch = ExportTraceServiceRequest::decode(body.as_slice()).unwrap();
            self.faults.lock().unwrap_or_else(PoisonError::into_inner).extend(faults_of(&batch));
            self.shelf.put(received(batch));
        }
    }

    fn unread(&self) -> MutexGuard<'_, Vec<Vec<u8>>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When a batch is read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    AtOnce,
    Later,
}

/// The answer of a collector to one request.
pub(crate) fn receive(request: &Request, shelf: &Shelf) -> Reply {
    if let Some(refusal) = refusal(request) {
        return refusal;
    }
    match ExportTraceServiceRequest::decode(request.body.as_slice()) {
        Ok(batch) => {
            shelf.put(received(batch));
            accepted()
        }
        Err(error) => Reply::status(400).body(error.to_string()),
    }
}

/// The answer to a request that is no batch of spans.
fn refusal(request: &Request) -> Option<Reply> {
    if request.path != "/v1/traces" {
        return Some(Reply::status(404));
    }
    (request.header("content-type") != Some("application/x-protobuf")).then(|| Reply::status(415))
}

fn accepted() -> Reply {
    Reply::status(200).header("content-type", "application/x-protobuf")
}

fn received(batch: ExportTraceServiceRequest) -> Vec<ReceivedSpan> {
    let mut spans = Vec::new();
    for resource_spans in batch.resource_spans {
        let resource = attributes(resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = resource.get("service.name").and_then(Value::as_str).unwrap_or_default().to_owned();
        for scope_spans in resource_spans.scope_spans {
            let scope = scope_spans.scope.map(|scope| scope.name).unwrap_or_default();
            for span in scope_spans.spans {
                spans.push(ReceivedSpan {
                    service: service.clone(),
                    scope: scope.clone(),
                    resource: resource.clone(),
                    ..received_span(span)
                });
            }
        }
    }
    spans
}

fn received_span(span: Span) -> ReceivedSpan {
    let kind = match span.kind() {
        SpanKind::Unspecified => "",
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    };
    let status = span.status.unwrap_or_default();
    let status_code = match status.code() {
        StatusCode::Unset => "unset",
        StatusCode::Ok => "ok",
        StatusCode::Error => "error",
    };
    let link = |trace_id: &[u8], span_id: &[u8]| ReceivedLink { trace_id: hex(trace_id), span_id: hex(span_id) };
    ReceivedSpan {
        name: span.name,
        kind: kind.to_owned(),
        trace_id: hex(&span.trace_id),
        span_id: hex(&span.span_id),
        parent_span_id: hex(&span.parent_span_id),
        links: span.links.iter().map(|to| link(&to.trace_id, &to.span_id)).collect(),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(|event| (event.name, event.time_unix_nano)).collect(),
        start_unix_nano: span.start_time_unix_nano,
        end_unix_nano: span.end_time_unix_nano,
        status_code: status_code.to_owned(),
        status_message: status.message,
        trace_state: span.trace_state,
        flags: span.flags,
        ..Default::default()
    }
}

fn attributes(attributes: Vec<KeyValue>) -> BTreeMap<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key, json(attribute.value))).collect()
}

fn json(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None | Some(OtlpValue::StringValueStrindex(_)) => Value::Null,
        Some(OtlpValue::StringValue(text)) => text.into(),
        Some(OtlpValue::BoolValue(truth)) => truth.into(),
        Some(OtlpValue::IntValue(number)) => number.into(),
        Some(OtlpValue::DoubleValue(number)) => number.into(),
        Some(OtlpValue::BytesValue(bytes)) => bytes.into(),
        Some(OtlpValue::ArrayValue(array)) => array.values.into_iter().map(|value| json(Some(value))).collect(),
        Some(OtlpValue::KvlistValue(list)) => Value::Object(attributes(list.values).into_iter().collect()),
    }
}
