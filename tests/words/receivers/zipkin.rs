//! A Zipkin server: JSON v2.

use std::collections::BTreeMap;
use std::io;

use serde_json::Value;
use tracer_trace_tree::text;

use super::{Protocol, ReceivedLink, ReceivedSpan, Receiver, Reply, Request, Shelf};

/// Takes `POST /api/v2/spans`; answers 202, as Zipkin does.
pub type ZipkinReceiver = Receiver<Zipkin>;

/// See [`ZipkinReceiver`].
pub struct Zipkin;

impl Protocol for Zipkin {
    const PATH: &'static str = "/api/v2/spans";

    fn start(_: &Shelf) -> io::Result<Self> {
        Ok(Self)
    }

    fn answer(request: &Request, shelf: &Shelf) -> Reply {
        if request.path != Self::PATH {
            return Reply::status(404);
        }
        let Ok(Value::Array(spans)) = serde_json::from_slice(&request.body) else {
            return Reply::status(400).body("Expected a JSON array of spans");
        };
        match spans.iter().map(received_span).collect() {
            Ok(spans) => {
                shelf.put(spans);
                Reply::status(202)
            }
            Err(message) => Reply::status(400).body(message),
        }
    }
}

/// Reads a span as strictly as Zipkin's own codec: ids, kind and types must be right.
fn received_span(span: &Value) -> Result<ReceivedSpan, String> {
    let timestamp = micros(&span["timestamp"])?;
    let duration = micros(&span["duration"])?;
    let mut attributes = BTreeMap::new();
    for (key, value) in span["tags"].as_object().into_iter().flatten() {
        let text = value.as_str().ok_or_else(|| format!("tag {key} is not text"))?;
        attributes.insert(key.clone(), Value::from(text));
    }
    let events =
        span["annotations"].as_array().into_iter().flatten().map(|annotation| {
            Ok((text(&annotation["value"]), micros(&annotation["timestamp"])?.saturating_mul(1_000)))
        });
    let tag = |key: &str| attributes.get(key).map(text).unwrap_or_default();
    let links = attributes.iter().filter(|(key, _)| key.starts_with("otlp.link.")).map(|(_, value)| link(&text(value)));
    Ok(ReceivedSpan {
        service: service_name(span, "/localEndpoint/serviceName").into(),
        scope: tag("otel.scope.name").into(),
        name: span["name"].as_str().unwrap_or_default().to_owned(),
        kind: kind(&span["kind"])?,
        trace_id: id(&span["traceId"], &[16, 32])?,
        span_id: id(&span["id"], &[16])?,
        parent_span_id: if span["parentId"].is_null() { String::new() } else { id(&span["parentId"], &[16])? },
        links: links.collect(),
        events: events.collect::<Result<_, String>>()?,
        start_unix_nano: timestamp.saturating_mul(1_000),
        end_unix_nano: timestamp.saturating_add(duration).saturating_mul(1_000),
        status_code: match tag("otel.status_code").as_str() {
            "" => "unset".to_owned(),
            code => code.to_lowercase(),
        },
        status_message: tag("error"),
        trace_state: tag("w3c.tracestate"),
        remote_service: service_name(span, "/remoteEndpoint/serviceName"),
        attributes,
        ..Default::default()
    })
}

fn service_name(span: &Value, pointer: &str) -> String {
    span.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

fn id(value: &Value, lengths: &[usize]) -> Result<String, String> {
    match value.as_str() {
        Some(id)
            if lengths.contains(&id.len()) && id.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) =>
        {
            Ok(id.to_owned())
        }
        _ => Err(format!("{value} is not a lower-hex id")),
    }
}

fn kind(value: &Value) -> Result<String, String> {
    match value.as_str() {
        Some(kind @ ("CLIENT" | "SERVER" | "PRODUCER" | "CONSUMER")) => Ok(kind.to_lowercase()),
        None if value.is_null() => Ok(String::new()),
        _ => Err(format!("{value} is not a span kind")),
    }
}

fn micros(value: &Value) -> Result<u64, String> {
    if value.is_null() {
        Ok(0)
    } else {
        value.as_u64().ok_or_else(|| format!("{value} is not a number of microseconds"))
    }
}

fn link(text: &str) -> ReceivedLink {
    let mut parts = text.split('|').map(str::to_owned);
    ReceivedLink { trace_id: parts.next().unwrap_or_default(), span_id: parts.next().unwrap_or_default() }
}
