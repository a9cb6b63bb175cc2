//! Where the spans arrive.

use std::fmt::Write as _;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use words::receivers::{HttpServer, OtlpReceiver, ReceivedSpan, Reply};

/// An OTLP collector that keeps spans until they are taken, or only counts them.
pub(crate) enum Collector {
    Keeping(OtlpReceiver),
    Counting(HttpServer, Count),
}

/// What has come, and what was said of it.
pub(crate) struct Count {
    spans: Arc<AtomicU64>,
    started: Instant,
    said: std::cell::Cell<(Instant, u64)>,
}

impl Collector {
    /// Listens on a free port.
    pub(crate) fn start(counting: bool) -> io::Result<Self> {
        if !counting {
            return Ok(Collector::Keeping(OtlpReceiver::start()?));
        }
        let spans = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&spans);
        let server = HttpServer::start(move |request| match ExportTraceServiceRequest::decode(&*request.body) {
            Ok(batch) => {
                let scopes = batch.resource_spans.iter().flat_map(|of_resource| &of_resource.scope_spans);
                let number: usize = scopes.map(|scope| scope.spans.len()).sum();
                counted.fetch_add(number as u64, Ordering::Relaxed);
                Reply::status(200).header("content-type", "application/x-protobuf")
            }
            Err(error) => Reply::status(400).body(error.to_string()),
        })?;
        let started = Instant::now();
        Ok(Collector::Counting(server, Count { spans, started, said: (started, 0).into() }))
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is to say.
    pub(crate) fn endpoint(&self) -> String {
        match self {
            Collector::Keeping(receiver) => receiver.endpoint(),
            Collector::Counting(server, _) => server.url(),
        }
    }

    /// The spans since the last call; none when they are only counted.
    pub(crate) fn take_spans(&self) -> Vec<ReceivedSpan> {
        match self {
            Collector::Keeping(receiver) => receiver.take_spans(),
            Collector::Counting(..) => Vec::new(),
        }
    }

    /// A line each second in which spans came, when they are only counted.
    pub(crate) fn take_rate(&self) -> String {
        let Collector::Counting(_, count) = self else { return String::new() };
        let (last, before) = count.said.get();
        let took = last.elapsed();
        if took < Duration::from_secs(1) {
            return String::new();
        }
        let spans = count.spans.load(Ordering::Relaxed);
        count.said.set((Instant::now(), spans));
        if spans == before {
            return String::new();
        }
        format!("{spans} spans, {:.0}/s\n", (spans - before) as f64 / took.as_secs_f64())
    }

    /// What came in all, when it was only counted.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        if let Collector::Counting(_, count) = self {
            let (spans, time) = (count.spans.load(Ordering::Relaxed), count.started.elapsed().as_secs_f64());
            // Writing into a `String` cannot fail.
            let _ = writeln!(text, "{spans} spans in {time:.1} s");
        }
        text
    }
}
