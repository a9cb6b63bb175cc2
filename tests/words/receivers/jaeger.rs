//! A Jaeger installation: OTLP and Thrift over HTTP, Thrift over UDP.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;
use tracer_trace_tree::{Resource, text};

use super::received_span::hex;
use super::thrift_reader::{Encoding, Thrift};
use super::{Otlp, Protocol, ReceivedLink, ReceivedSpan, Receiver, Reply, Request, Shelf};

/// Takes `POST /v1/traces` and `POST /api/traces` on one port, and `emitBatch` packets on another.
pub type JaegerReceiver = Receiver<Jaeger>;

/// See [`JaegerReceiver`].
pub struct Jaeger {
    agent: Agent,
}

struct Agent {
    port: u16,
    stopped: Arc<AtomicBool>,
    largest_packet: Arc<AtomicUsize>,
    packets: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl Protocol for Jaeger {
    /// That of OTLP.
    const PATH: &'static str = "";

    fn start(shelf: &Shelf) -> io::Result<Self> {
        Ok(Self { agent: Agent::start(shelf.clone())? })
    }

    fn answer(request: &Request, shelf: &Shelf) -> Reply {
        if request.path.split('?').next() != Some("/api/traces") {
            return Otlp::answer(request, shelf);
        }
        if request.header("content-type") != Some("application/x-thrift") {
            return Reply::status(415);
        }
        match Thrift::read(&request.body, Encoding::Binary) {
            Ok(batch) => {
                shelf.put(received(&batch));
                Reply::status(202)
            }
            Err(message) => Reply::status(400).body(format!("Unable to process request body: {message}")),
        }
    }

    fn stop(&mut self) {
        self.agent.stop();
    }
}

impl JaegerReceiver {
    /// The collector's address for Thrift, `http://127.0.0.1:port/api/traces`.
    pub fn collector_endpoint(&self) -> String {
        format!("{}/api/traces", self.endpoint())
    }

    /// The agent's address, `127.0.0.1:port`.
    pub fn agent_endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.protocol.agent.port)
    }

    /// How many packets came to the agent. UDP has no answers: it cannot be made to fail.
    pub fn packets(&self) -> usize {
        self.protocol.agent.packets.load(Ordering::SeqCst)
    }

    /// The size of the largest of them, in bytes.
    pub fn largest_packet(&self) -> usize {
        self.protocol.agent.largest_packet.load(Ordering::SeqCst)
    }
}

impl Agent {
    fn start(shelf: Shelf) -> io::Result<Self> {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let port = socket.local_addr()?.port();
        let (stopped, largest_packet, packets) = (Arc::default(), Arc::default(), Arc::default());
        let (stop, largest, count): (Arc<AtomicBool>, Arc<AtomicUsize>, Arc<AtomicUsize>) =
            (Arc::clone(&stopped), Arc::clone(&largest_packet), Arc::clone(&packets));
        let thread = std::thread::spawn(move || {
            let mut buffer = vec![0; 65_536];
            while !stop.load(Ordering::SeqCst) {
                let Ok(length) = socket.recv(&mut buffer) else { continue };
                count.fetch_add(1, Ordering::SeqCst);
                largest.fetch_max(length, Ordering::SeqCst);
                // What no agent could read is not received.
                shelf.put(emit_batch(buffer.get(..length).unwrap_or_default()).unwrap_or_default());
            }
        });
        Ok(Agent { port, stopped, largest_packet, packets, thread: Some(thread) })
    }

    fn stop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        if let Some(thread) = self.thread.take() {
            // A panic in it has been printed already.
            let _ = thread.join();
        }
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.stop();
    }
}

fn emit_batch(packet: &[u8]) -> Result<Vec<ReceivedSpan>, String> {
    let (method, arguments) = Thrift::read_call(packet)?;
    match (method.as_str(), arguments.field(1)) {
        ("emitBatch", Some(batch)) => Ok(received(batch)),
        _ => Err(format!("unexpected call {method}")),
    }
}

/// The numbers are those of `jaeger.thrift`.
fn received(batch: &Thrift) -> Vec<ReceivedSpan> {
    let process = batch.field(1).cloned().unwrap_or(Thrift::Struct(Vec::new()));
    let resource = Resource::from(tags(process.list(2)));
    batch
        .list(2)
        .iter()
        .map(|span| ReceivedSpan { service: process.text(1).into(), resource: resource.clone(), ..received_span(span) })
        .collect()
}

fn received_span(span: &Thrift) -> ReceivedSpan {
    let attributes = tags(span.list(10));
    let tag = |key: &str| attributes.get(key).map(text).unwrap_or_default();
    let (start, duration) = (span.int(8) as u64, span.int(9) as u64);
    let trace_id = trace_id(span.int(2), span.int(1));
    let (parents, links): (Vec<_>, Vec<_>) = span.list(6).iter().partition(|reference| reference.int(1) == 0);
    // As Jaeger's collector does: the field, or else the first reference of kind CHILD_OF.
    let parent = match span.int(4) {
        0 => parents.first().map(|reference| reference.int(4)).unwrap_or(0),
        parent => parent,
    };
    let event = |log: &Thrift| {
        (tags(log.list(2)).get("event").map(text).unwrap_or_default(), (log.int(1) as u64).saturating_mul(1_000))
    };
    ReceivedSpan {
        scope: tag("otel.scope.name").into(),
        name: span.text(5),
        kind: tag("span.kind"),
        trace_id,
        span_id: hex(&span.int(3).to_be_bytes()),
        parent_span_id: hex(&parent.to_be_bytes()),
        links: links
            .iter()
            .map(|to| ReceivedLink {
                trace_id: self::trace_id(to.int(3), to.int(2)),
                span_id: hex(&to.int(4).to_be_bytes()),
            })
            .collect(),
        events: span.list(11).iter().map(event).collect(),
        start_unix_nano: start.saturating_mul(1_000),
        end_unix_nano: start.saturating_add(duration).saturating_mul(1_000),
        status_code: match tag("otel.status_code").as_str() {
            "" => "unset".to_owned(),
            code => code.to_lowercase(),
        },
        status_message: tag("otel.status_description"),
        trace_state: tag("w3c.tracestate"),
        flags: span.int(7) as u32,
        attributes,
        ..Default::default()
    }
}

fn trace_id(high: i64, low: i64) -> String {
    hex(&[high.to_be_bytes(), low.to_be_bytes()].concat())
}

fn tags(tags: &[Thrift]) -> BTreeMap<String, Value> {
    tags.iter()
        .map(|tag| {
            let value = match tag.int(2) {
                0 => tag.text(3).into(),
                1 => match tag.field(4) {
                    Some(Thrift::Double(number)) => (*number).into(),
                    _ => Value::Null,
                },
                2 => (tag.field(5) == Some(&Thrift::Bool(true))).into(),
                3 => tag.int(6).into(),
                _ => match tag.field(7) {
                    Some(Thrift::Bytes(bytes)) => bytes.clone().into(),
                    _ => Value::Null,
                },
            };
            (tag.text(1), value)
        })
        .collect()
}
