//! What the library tells of itself, by the names of OpenTelemetry's conventions for SDKs, and by names of its own
//! (`tracer_resolver.…`) where these have none. `docs/metrics.md` lists them all.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::export::{
    BackendState, DURATION_BOUNDS, DropReason, Operations, PluginCounts, ServiceCounters, Signal, SpoolStats,
};
use crate::metrics::{Attributes, Collected, Distribution, Metric, Number, Points, Value};
use crate::status::ServiceStats;

/// One backend as its queue sees it.
pub(crate) struct BackendSeen {
    pub name: String,
    pub plugin: String,
    pub state: BackendState,
    pub retries: u64,
    pub held_bytes: usize,
    pub queue_bytes: usize,
    /// By service's number.
    pub services: Vec<ServiceCounters>,
    pub data_points: ServiceCounters,
    pub spool: Option<SpoolStats>,
    /// By its plugin, if it counts.
    pub counted: Option<PluginCounts>,
    pub operations: Vec<Operations>,
}

/// What is known of the services, each with its number, and of the backends: those of each service, and those of the process.
pub(crate) fn own(services: &[(usize, ServiceStats)], backends: &[BackendSeen]) -> Vec<Collected> {
    let of_services = services.iter().map(|(number, stats)| Collected {
        service: Some(*number),
        metrics: spans_of(stats).into_iter().chain(way_of_spans(*number, backends)).collect(),
    });
    let of_process = Collected { service: None, metrics: of_backends(backends) };
    of_services.chain(std::iter::once(of_process)).collect()
}

/// All of these metrics, with nothing counted.
#[cfg(feature = "application-metrics")]
pub(crate) fn own_kinds() -> Vec<Metric> {
    own(&[(0, ServiceStats::default())], &[]).into_iter().flat_map(|of| of.metrics).collect()
}

fn spans_of(stats: &ServiceStats) -> Vec<Metric> {
    let result = |word: &'static str| vec![("otel.span.sampling_result", Value::Text(Cow::Borrowed(word)))];
    vec![
        metric(
            "otel.sdk.span.started",
            "The number of created spans.",
            "{span}",
            Points::Sum(vec![
                number(result("RECORD_AND_SAMPLE"), stats.spans + stats.dropped_buffer_full),
                number(result("DROP"), stats.sampled_out),
            ]),
        ),
        metric(
            "tracer_resolver.traces.shed",
            "Traces that did not begin because a backend's queue was nearly full.",
            "{trace}",
            Points::Sum(vec![number(Vec::new(), stats.shed)]),
        ),
        metric(
            "otel.sdk.span.live",
            "The number of created spans with recording=true for which the end operation has not been called yet.",
            "{span}",
            Points::UpDown(vec![number(result("RECORD_AND_SAMPLE"), stats.unacknowledged)]),
        ),
        metric(
            "tracer_resolver.messages.not_injected",
            "Messages sent without a context header, because of their size or number of headers, or because brokers refuse it.",
            "{message}",
            Points::Sum(vec![number(Vec::new(), stats.not_injected)]),
        ),
        metric(
            "tracer_resolver.parents.lost",
            "Spans exported without their parent, because too many messages were in flight.",
            "{span}",
            Points::Sum(vec![number(Vec::new(), stats.parents_lost)]),
        ),
    ]
}

/// Where the spans of one service went, backend by backend.
fn way_of_spans(service: usize, backends: &[BackendSeen]) -> Vec<Metric> {
    let (mut processed, mut queued, mut in_flight, mut exported) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for backend in backends {
        let Some(spans) = backend.services.get(service).filter(|spans| spans.offered > 0) else { continue };
        let processor = || component(&backend.name, Cow::Borrowed("batching_span_processor"));
        let exporter = || component(&backend.name, exporter_type(&backend.plugin, Signal::Traces));
        let (early, late): (Vec<_>, Vec<_>) = DropReason::ALL
            .into_iter()
            .map(|reason| (reason, spans.dropped_for(reason)))
            .filter(|(_, lost)| *lost > 0)
            .partition(|(reason, _)| is_before_the_exporter(*reason));
        let handed_over = spans.exported + spans.rejected + late.iter().map(|(_, lost)| lost).sum::<u64>();
        processed.push(number(processor(), handed_over + spans.in_flight));
        processed.extend(early.iter().map(|(reason, lost)| number(failed(processor(), *reason), *lost)));
        queued.push(number(processor(), spans.waiting.saturating_sub(spans.in_flight)));
        in_flight.push(number(exporter(), spans.in_flight));
        exported.extend(ends(spans, &late, exporter));
    }
    vec![
        metric(
            "otel.sdk.processor.span.processed",
            "The number of spans for which the processing has finished, either successful or failed.",
            "{span}",
            Points::Sum(processed),
        ),
        metric(
            "otel.sdk.processor.span.queue.size",
            "The number of spans in the queue of a given instance of an SDK span processor.",
            "{span}",
            Points::UpDown(queued),
        ),
        metric(
            "otel.sdk.exporter.span.inflight",
            "The number of spans which were passed to the exporter, but that have not been exported yet (neither successful, nor failed).",
            "{span}",
            Points::UpDown(in_flight),
        ),
        metric(
            "otel.sdk.exporter.span.exported",
            "The number of spans for which the export has finished, either successful or failed.",
            "{span}",
            Points::Sum(exported),
        ),
    ]
}

fn of_backends(backends: &[BackendSeen]) -> Vec<Metric> {
    let name = |backend: &BackendSeen| vec![("otel.component.name", Value::Text(Cow::Owned(backend.name.clone())))];
    let each =
        |value: fn(&BackendSeen) -> u64| backends.iter().map(|of| number(name(of), value(of))).collect::<Vec<_>>();
    // What one that is not there any more has counted stays counted; but it has no state and no queue.
    let each_now = |value: fn(&BackendSeen) -> u64| {
        let there = backends.iter().filter(|of| of.state != BackendState::Removed);
        there.map(|of| number(name(of), value(of))).collect::<Vec<_>>()
    };
    let counted = |value: fn(&PluginCounts) -> u64| {
        let of = |backend: &BackendSeen| backend.counted.as_ref().map(|of| number(name(backend), value(of)));
        backends.iter().filter_map(of).collect::<Vec<_>>()
    };
    let in_spool = |value: fn(&SpoolStats) -> u64| {
        let of = |backend: &BackendSeen| backend.spool.as_ref().map(|of| number(name(backend), value(of)));
        backends.iter().filter_map(of).collect::<Vec<_>>()
    };
    let (mut in_flight, mut exported, mut durations, mut states) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for backend in backends {
        let exporter = || component(&backend.name, exporter_type(&backend.plugin, Signal::Metrics));
        let points = &backend.data_points;
        if points.offered > 0 {
            let lost = DropReason::ALL.into_iter().map(|reason| (reason, points.dropped_for(reason)));
            // Newer values of the same metrics went on in their place.
            let lost: Vec<_> = lost.filter(|(reason, lost)| *lost > 0 && *reason != DropReason::Superseded).collect();
            in_flight.push(number(exporter(), points.waiting));
            exported.extend(ends(points, &lost, exporter));
        }
        durations.extend(backend.operations.iter().map(|of| duration(backend, of)));
        let is_there = backend.state != BackendState::Removed;
        for state in BackendState::ALL.into_iter().filter(|_| is_there) {
            let attributes = [name(backend), vec![("tracer_resolver.backend.state", Value::Text(state.name().into()))]];
            states.push(number(attributes.concat(), u64::from(backend.state == state)));
        }
    }
    vec![
        metric(
            "otel.sdk.exporter.operation.duration",
            "The duration of exporting a batch of telemetry records.",
            "s",
            Points::Histogram { bounds: &DURATION_BOUNDS, points: durations },
        ),
        metric(
            "otel.sdk.exporter.metric_data_point.inflight",
            "The number of metric data points which were passed to the exporter, but that have not been exported yet (neither successful, nor failed).",
            "{data_point}",
            Points::UpDown(in_flight),
        ),
        metric(
            "otel.sdk.exporter.metric_data_point.exported",
            "The number of metric data points for which the export has finished, either successful or failed.",
            "{data_point}",
            Points::Sum(exported),
        ),
        metric(
            "tracer_resolver.backend.queue.usage",
            "Bytes of batches that wait or are on their way.",
            "By",
            Points::UpDown(each_now(|of| of.held_bytes as u64)),
        ),
        metric(
            "tracer_resolver.backend.queue.limit",
            "How many bytes there may be: queue_bytes.",
            "By",
            Points::UpDown(each_now(|of| of.queue_bytes as u64)),
        ),
        metric(
            "tracer_resolver.backend.spool.usage",
            "Bytes of batches in the spool, of all processes that share it.",
            "By",
            Points::UpDown(in_spool(|of| of.bytes)),
        ),
        metric(
            "tracer_resolver.backend.spool.spans",
            "Spans in the spool that wait there for this process to send them.",
            "{span}",
            Points::UpDown(in_spool(|of| of.spans + of.spans_of_others)),
        ),
        metric(
            "tracer_resolver.backend.retries",
            "Exports beyond the first of a batch.",
            "{export}",
            Points::Sum(each(|of| of.retries)),
        ),
        metric(
            "tracer_resolver.backend.bytes_sent",
            "Bytes that the plugin sent, after compression, retries included.",
            "By",
            Points::Sum(counted(|of| of.bytes_sent)),
        ),
        metric(
            "tracer_resolver.backend.reconnects",
            "Connections that the plugin opened after the first one.",
            "{connection}",
            Points::Sum(counted(|of| of.reconnects)),
        ),
        metric(
            "tracer_resolver.backend.state",
            "1 for the state that the backend is in, 0 for the others.",
            "",
            Points::Gauge(states),
        ),
    ]
}

/// What was taken, and what was not, by reason.
fn ends(of: &ServiceCounters, lost: &[(DropReason, u64)], exporter: impl Fn() -> Attributes) -> Vec<Number> {
    let mut ends = vec![number(exporter(), of.exported)];
    let mut refused = of.rejected;
    for (reason, count) in lost {
        if *reason == DropReason::Rejected {
            refused += count;
        } else {
            ends.push(number(failed(exporter(), *reason), *count));
        }
    }
    if refused > 0 {
        ends.push(number(failed(exporter(), DropReason::Rejected), refused));
    }
    ends
}

fn duration(backend: &BackendSeen, of: &Operations) -> Distribution {
    let exporter = component(&backend.name, exporter_type(&backend.plugin, of.signal));
    let attributes = match of.lost {
        Some(reason) => failed(exporter, reason),
        None => exporter,
    };
    Distribution { attributes, counts: of.counts.to_vec(), sum: of.sum, exemplars: Vec::new() }
}

/// Whether what is lost for this reason never came to the exporter.
fn is_before_the_exporter(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::QueueFull
            | DropReason::BufferFull
            | DropReason::NotEncoded
            | DropReason::NoBackend
            | DropReason::NotStarted
    )
}

fn component(name: &str, kind: Cow<'static, str>) -> Attributes {
    vec![("otel.component.name", Value::Text(Cow::Owned(name.to_owned()))), ("otel.component.type", Value::Text(kind))]
}

/// As the conventions call it, where they have a word for it.
fn exporter_type(plugin: &str, signal: Signal) -> Cow<'static, str> {
    match (plugin, signal) {
        ("otlp", Signal::Traces) => "otlp_http_span_exporter".into(),
        ("otlp", Signal::Metrics) => "otlp_http_metric_exporter".into(),
        ("otlp_grpc", Signal::Traces) => "otlp_grpc_span_exporter".into(),
        ("otlp_grpc", Signal::Metrics) => "otlp_grpc_metric_exporter".into(),
        ("zipkin", Signal::Traces) => "zipkin_http_span_exporter".into(),
        (other, Signal::Traces) => format!("{other}_span_exporter").into(),
        (other, Signal::Metrics) => format!("{other}_metric_exporter").into(),
    }
}

fn failed(mut attributes: Attributes, reason: DropReason) -> Attributes {
    attributes.push(("error.type", Value::Text(Cow::Borrowed(reason.name()))));
    attributes
}

fn metric(name: &'static str, description: &'static str, unit: &'static str, points: Points) -> Metric {
    Metric { name, description, unit, points }
}

fn number(attributes: Attributes, value: u64) -> Number {
    Number { attributes, value: i64::try_from(value).unwrap_or(i64::MAX) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(collected: &[Collected], service: Option<usize>, name: &str) -> Vec<(String, i64)> {
        let of = collected.iter().find(|of| of.service == service).unwrap();
        let metric = of.metrics.iter().find(|metric| metric.name == name).unwrap();
        let (Points::Sum(points) | Points::UpDown(points) | Points::Gauge(points)) = &metric.points else { panic!() };
        let text = |attributes: &Attributes| {
            let pair = |(key, value): &(&str, Value)| match value {
                Value::Text(text) => format!("{key}={text}"),
                Value::Int(number) => format!("{key}={number}"),
                Value::Bool(is) => format!("{key}={is}"),
            };
            attributes.iter().map(pair).collect::<Vec<_>>().join(" ")
        };
        points.iter().map(|point| (text(&point.attributes), point.value)).collect()
    }

    #[test]
    fn every_span_is_in_one_place_on_its_way_by_the_names_of_the_conventions() {
        let mut spans = ServiceCounters {
            offered: 100,
            exported: 60,
            rejected: 5,
            waiting: 20,
            in_flight: 8,
            ..Default::default()
        };
        spans.dropped[DropReason::QueueFull as usize] = 3;
        spans.dropped[DropReason::BufferFull as usize] = 1;
        spans.dropped[DropReason::RetriesExhausted as usize] = 7;
        spans.dropped[DropReason::Rejected as usize] = 4;
        let mut data_points = ServiceCounters { offered: 13, exported: 9, ..Default::default() };
        data_points.dropped[DropReason::Superseded as usize] = 4;
        let backend = BackendSeen {
            name: "collector".to_owned(),
            plugin: "otlp".to_owned(),
            state: BackendState::Retrying,
            retries: 2,
            held_bytes: 10,
            queue_bytes: 100,
            services: vec![ServiceCounters::default(), spans],
            data_points,
            spool: Some(SpoolStats { bytes: 300, spans: 5, spans_of_others: 2, ..SpoolStats::default() }),
            counted: Some(PluginCounts { bytes_sent: 4096, ..PluginCounts::default() }),
            operations: Vec::new(),
        };
        let gone = BackendSeen {
            name: "gone".to_owned(),
            plugin: "file".to_owned(),
            state: BackendState::Removed,
            retries: 3,
            held_bytes: 0,
            queue_bytes: 0,
            services: Vec::new(),
            data_points: ServiceCounters::default(),
            spool: None,
            counted: None,
            operations: Vec::new(),
        };
        let service = ServiceStats { spans: 99, sampled_out: 7, ..Default::default() };
        let services = [(0, ServiceStats::default()), (1, service)];
        let all = own(&services, &[backend, gone]);
        let result = "otel.span.sampling_result";
        assert_eq!(
            read(&all, Some(1), "otel.sdk.span.started"),
            [(format!("{result}=RECORD_AND_SAMPLE"), 99), (format!("{result}=DROP"), 7)]
        );
        let of = |kind: &str, error: &str| {
            let error = if error.is_empty() { String::new() } else { format!(" error.type={error}") };
            format!("otel.component.name=collector otel.component.type={kind}{error}")
        };
        let (processor, exporter) = ("batching_span_processor", "otlp_http_span_exporter");
        assert_eq!(
            read(&all, Some(1), "otel.sdk.processor.span.processed"),
            [(of(processor, ""), 84), (of(processor, "queue_full"), 3), (of(processor, "buffer_full"), 1)]
        );
        assert_eq!(read(&all, Some(1), "otel.sdk.processor.span.queue.size"), [(of(processor, ""), 12)]);
        assert_eq!(read(&all, Some(1), "otel.sdk.exporter.span.inflight"), [(of(exporter, ""), 8)]);
        assert_eq!(
            read(&all, Some(1), "otel.sdk.exporter.span.exported"),
            [(of(exporter, ""), 60), (of(exporter, "retries_exhausted"), 7), (of(exporter, "rejected"), 9)]
        );
        assert_eq!(read(&all, Some(0), "otel.sdk.exporter.span.exported"), [], "it sent nothing there");
        let metrics = "otlp_http_metric_exporter";
        assert_eq!(read(&all, None, "otel.sdk.exporter.metric_data_point.exported"), [(of(metrics, ""), 9)], "no loss");
        let sent = read(&all, None, "tracer_resolver.backend.bytes_sent");
        assert_eq!(sent, [("otel.component.name=collector".to_owned(), 4096)]);
        let states = read(&all, None, "tracer_resolver.backend.state");
        let on: Vec<_> = states.iter().filter(|(_, value)| *value == 1).map(|(name, _)| name.as_str()).collect();
        assert_eq!(on, ["otel.component.name=collector tracer_resolver.backend.state=retrying"]);
        assert!(
            states.iter().all(|(name, _)| !name.contains("gone")),
            "a backend that is gone is in no state: {states:?}"
        );
        let limit = read(&all, None, "tracer_resolver.backend.queue.limit");
        assert_eq!(limit, [("otel.component.name=collector".to_owned(), 100)]);
        assert_eq!(read(&all, None, "tracer_resolver.backend.retries")[1].1, 3, "what was counted stays");
    }
}
