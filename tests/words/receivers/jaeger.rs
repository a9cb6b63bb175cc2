//! A Jaeger installation: OTLP and Thrift over HTTP, Thrift over UDP.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use super::received_span::{hex, text};
use super::thrift_reader::{Protocol, Thrift};
use super::{HttpServer, ReceivedLink, ReceivedSpan, Reply, Request, Shelf, otlp};

/// Takes `POST /v1/traces` and `POST /api/traces` on one port, and `emitBatch` packets on another.
pub struct JaegerReceiver {
    server: HttpServer,
    agent: Agent,
    shelf: Shelf,
}

struct Agent {
    port: u16,
    stopped: Arc<AtomicBool>,
    largest_packet: Arc<AtomicUsize>,
    packets: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

impl JaegerReceiver {
    /// Starts on free ports of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts HTTP on `port`: to come back where another one was stopped.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let shelf = Shelf::default();
        let spans = shelf.clone();
        let server =
            HttpServer::start_with(port, |stream| Ok(Box::new(stream)), move |request| receive(request, &spans))?;
        let agent = Agent::start(shelf.clone())?;
        Ok(JaegerReceiver { server, agent, shelf })
    }

    /// Its base address for OTLP, `http://127.0.0.1:port`.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.server.address())
    }

    /// The collector's address for Thrift, `http://127.0.0.1:port/api/traces`.
    pub fn collector_endpoint(&self) -> String {
        format!("http://{}/api/traces", self.server.address())
    }

    /// The agent's address, `127.0.0.1:port`.
    pub fn agent_endpoint(&self) -> String {
        format!("127.0.0.1:{}", self.agent.port)
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shelf.spans()
    }

    /// All spans so far, which are then forgotten here.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.shelf.take()
    }

    /// Waits for `count` spans in all, at most `limit`; then returns what there is.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<ReceivedSpan> {
        self.shelf.wait_for(count, limit)
    }

    /// How many packets came to the agent.
    pub fn packets(&self) -> usize {
        self.agent.packets.load(Ordering::SeqCst)
    }

    /// The size of the largest of them, in bytes.
    pub fn largest_packet(&self) -> usize {
        self.agent.largest_packet.load(Ordering::SeqCst)
    }

    /// Answers every request from now on with this status; 200 ends it. UDP has no answers.
    pub fn fail_with(&self, status: u16) {
        self.server.fail_with((status != 200).then(|| Reply::status(status)));
    }

    /// Waits that long before each answer from now on.
    pub fn respond_after(&self, delay: Duration) {
        self.server.respond_after(delay);
    }

    /// Closes the ports and every connection at once.
    pub fn stop(&mut self) {
        self.server.stop();
        self.agent.stop();
    }

    /// The HTTP server below.
    pub fn server(&self) -> &HttpServer {
        &self.server
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

fn receive(request: &Request, shelf: &Shelf) -> Reply {
    if request.path.split('?').next() != Some("/api/traces") {
        return otlp::receive(request, shelf);
    }
    if request.header("content-type") != Some("application/x-thrift") {
        return Reply::status(415);
    }
    match Thrift::read(&request.body, Protocol::Binary) {
        Ok(batch) => {
            shelf.put(received(&batch));
            Reply::status(202)
        }
        Err(message) => Reply::status(400).body(format!("Unable to process request body: {message}")),
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
    let resource = tags(process.list(2));
    batch
        .list(2)
        .iter()
        .map(|span| ReceivedSpan { service: process.text(1), resource: resource.clone(), ..received_span(span) })
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
        scope: tag("otel.scope.name"),
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
