//! Promise: a context is read from and written in each of the formats that other tracers use, in real messages.

#![expect(clippy::indexing_slicing, clippy::unwrap_used, reason = "a test may fail loudly")]

use rdkafka::message::Message as _;
use rdkafka::producer::BaseRecord;
use tracer_resolver_rdkafka::Processing;
use words::kafka::{header_of, headers_of, next_message};
use words::receivers::ReceivedSpan;
use words::{Traced, send};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const SPAN: &str = "b7ad6b7169203331";
const ALL: &str = "[services.shop]\ntopics = [\"*\"]\n";

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

/// The spans of receiving one message with these headers, by the formats that are read by default.
fn received(headers: &[(&str, &str)]) -> Vec<ReceivedSpan> {
    received_by(ALL, headers)
}

fn received_by(configuration: &str, headers: &[(&str, &str)]) -> Vec<ReceivedSpan> {
    let traced = Traced::start(&["orders"], configuration);
    traced.send_untraced("orders", headers);
    next_message(&traced.consumer("orders"));
    traced.spans()
}

fn parent(spans: &[ReceivedSpan]) -> (&str, &str) {
    assert_eq!(spans.len(), 1, "{spans:#?}");
    (&spans[0].trace_id, &spans[0].parent_span_id)
}

#[test]
fn every_format_is_a_parent() {
    let multi = [
        ("X-B3-TraceId", TRACE),
        ("x-b3-spanid", SPAN),
        ("X-B3-Sampled", "1"),
        ("X-B3-ParentSpanId", "05e3ac9a4f6e3b90"),
    ];
    assert_eq!(parent(&received(&multi)), (TRACE, SPAN), "b3, several headers, any case");
    let cases = [
        ("traceparent", format!("00-{TRACE}-{SPAN}-01")),
        ("traceparent", format!("cc-{TRACE}-{SPAN}-01-what-a-later-version-adds")),
        ("b3", format!("{TRACE}-{SPAN}-1")),
        ("b3", format!("{TRACE}-{SPAN}-1-05e3ac9a4f6e3b90")),
        ("b3", format!("{TRACE}-{SPAN}")),
        ("b3", format!("{TRACE}-{SPAN}-d")),
        ("uber-trace-id", format!("{TRACE}:{SPAN}:0:1")),
        ("Uber-Trace-Id", format!("{TRACE}:{SPAN}:05e3ac9a4f6e3b90:3")),
        ("uber-trace-id", format!("{TRACE}%3A{SPAN}%3A0%3A1")),
    ];
    for (name, value) in cases {
        assert_eq!(parent(&received(&[(name, &value)])), (TRACE, SPAN), "{name}: {value}");
    }
}

/// By the formats that are read if they are named, which is by `OTEL_PROPAGATORS` in programs without a file.
fn received_as(format: &str, headers: &[(&str, &str)]) -> Vec<ReceivedSpan> {
    received_by(&format!("[services.shop]\ntopics = [\"*\"]\npropagators.extract = [\"{format}\"]\n"), headers)
}

#[test]
fn the_formats_of_other_vendors_are_parents_where_they_are_named() {
    // As ddtrace 4.16, the OpenTelemetry propagator for X-Ray 1.0 and elastic-apm 6.26 write this context.
    let datadog = [
        ("x-datadog-trace-id", "9532127138774266268"),
        ("x-datadog-parent-id", "13235353014750950193"),
        ("x-datadog-sampling-priority", "1"),
        ("x-datadog-tags", "_dd.p.dm=-0,_dd.p.tid=0af7651916cd43dd"),
    ];
    let xray = [("X-Amzn-Trace-Id", "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1")];
    let elastic = [("elastic-apm-traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")];
    for (format, headers) in [("datadog", &datadog[..]), ("xray", &xray), ("elastic", &elastic)] {
        assert_eq!(parent(&received_as(format, headers)), (TRACE, SPAN), "{format}");
        assert_eq!(parent(&received(headers)).1, "", "{format} is not read by default");
    }
    let java = "1-NTZhNWUxYzUxOWFlNGM3NmEyYjhiMTFkOTJjZWFkN2YuMTIuMTY1NjM0NzQyOTY0MzAwMDE=-\
                OWMyZmQ0ZWM2YjVhNGQ0ZjhmM2MwYTdkMWUyYjNjNGQuNDEuMTY1NjM0NzQyOTY0MzAwMDA=-2-\
                c2hvcA==-c2hvcC0x-b3JkZXJzL1Byb2R1Y2U=-MTI3LjAuMC4xOjkwOTI=";
    let collector_s = ("56a5e1c515ae4c7613e51e7cf616977f", "a14e71f038a94b02");
    assert_eq!(parent(&received_as("skywalking", &[("sw8", java)])), collector_s);
}

#[test]
fn what_another_vendor_did_not_sample_gets_no_span_and_what_it_left_open_is_ours_to_decide() {
    let datadog = |priority| {
        let ids = [("x-datadog-trace-id", "9532127138774266268"), ("x-datadog-parent-id", "13235353014750950193")];
        received_as("datadog", &[ids[0], ids[1], ("x-datadog-sampling-priority", priority)]).len()
    };
    assert_eq!((datadog("1"), datadog("0"), datadog("-1"), datadog("2")), (1, 0, 0, 1));
    let xray =
        |rest| received_as("xray", &[("X-Amzn-Trace-Id", &format!("Root=1-0af76519-16cd43dd8448eb211c80319c;{rest}"))]);
    assert_eq!(xray("Parent=b7ad6b7169203331;Sampled=0").len(), 0);
    assert_eq!(parent(&xray("Parent=b7ad6b7169203331;Sampled=?")), (TRACE, SPAN));
    assert_eq!(xray("Sampled=0").len(), 0, "no span is named, but a decision: not kept");
    assert_eq!(parent(&xray("Sampled=1")).1, "", "no span is named, but a decision: kept");
}

#[test]
fn hostile_values_of_other_vendors_are_no_parent() {
    let long = "1".repeat(10_000);
    let dashes = "-".repeat(10_000);
    let cases = [
        ("datadog", [("x-datadog-trace-id", "18446744073709551616"), ("x-datadog-parent-id", "1")]),
        ("datadog", [("x-datadog-trace-id", "1"), ("x-datadog-parent-id", long.as_str())]),
        ("datadog", [("x-datadog-trace-id", "1"), ("x-datadog-tags", long.as_str())]),
        ("datadog", [("x-datadog-trace-id", "0"), ("x-datadog-parent-id", "1")]),
        ("xray", [("X-Amzn-Trace-Id", long.as_str()), ("other", "1")]),
        ("xray", [("X-Amzn-Trace-Id", "Root=1-0-0;Parent=b7ad6b7169203331;Sampled=1"), ("other", "1")]),
        ("elastic", [("elastic-apm-traceparent", long.as_str()), ("elasticapmtraceparent", "\0\0short")]),
        ("skywalking", [("sw8", long.as_str()), ("other", "1")]),
        ("skywalking", [("sw8", dashes.as_str()), ("other", "1")]),
        ("skywalking", [("sw8", "1-------"), ("other", "1")]),
    ];
    for (format, headers) in cases {
        assert_eq!(parent(&received_as(format, &headers)).1, "", "{format} {}", headers[0].0);
    }
}

#[test]
fn short_ids_are_padded_with_zeroes() {
    let padded = ("0000000000000000a3ce929d0e0e4736", "00000000000000ff");
    assert_eq!(parent(&received(&[("uber-trace-id", "a3ce929d0e0e4736:ff:0:1")])), padded);
    let b3 = received(&[("b3", "a3ce929d0e0e4736-00000000000000ff-1")]);
    assert_eq!(parent(&b3), padded);
}

#[test]
fn hostile_values_are_no_parent() {
    let long = "f".repeat(10_000);
    let cases = [
        ("traceparent", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
        ("traceparent", "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01"),
        ("b3", "1-2-3-4-5-6"),
        ("b3", long.as_str()),
        ("b3", "0af7651916cd43dd8448eb211c80319c-0000000000000000-1"),
        ("uber-trace-id", "ff"),
        ("uber-trace-id", "ff:ff:ff"),
        ("uber-trace-id", "::"),
        ("uber-trace-id", "0:0:0:1"),
        ("uber-trace-id", long.as_str()),
        ("X-B3-TraceId", "0af7651916cd43dd8448eb211c80319c"),
    ];
    for (name, value) in cases {
        assert_eq!(parent(&received(&[(name, value)])).1, "", "{name}: {value}");
    }
}

#[test]
fn the_first_format_in_the_order_that_yields_a_context_is_taken() {
    let jaeger = format!("00000000000000000000000000000001:{SPAN}:0:1");
    let w3c = format!("00-{TRACE}-{SPAN}-01");
    let both = [("uber-trace-id", jaeger.as_str()), ("traceparent", w3c.as_str())];
    assert_eq!(parent(&received(&both)).0, TRACE, "by default the W3C's");
    let jaeger_first = "[services.shop]\ntopics = [\"*\"]\npropagators.extract = [\"jaeger\", \"tracecontext\"]\n";
    assert_eq!(parent(&received_by(jaeger_first, &both)).0, "00000000000000000000000000000001");
    let broken_first = [("uber-trace-id", "ff:ff"), ("traceparent", w3c.as_str())];
    assert_eq!(parent(&received_by(jaeger_first, &broken_first)).0, TRACE, "a broken one is as good as absent");
    let only_b3 = "[services.shop]\ntopics = [\"*\"]\npropagators.extract = [\"b3\"]\n";
    assert_eq!(parent(&received_by(only_b3, &both)).1, "", "what is not in the list is not read");
}

#[test]
fn the_second_span_of_old_clients_is_the_later_hop_and_never_written() {
    // D14: clients of 2017 to 2019 wrote the consumer's context beside the producer's, under another name.
    let first = format!("{TRACE}:00000000000000aa:0:1");
    let second = format!("{TRACE}:00000000000000bb:00000000000000aa:1");
    let traced =
        Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\npropagators = { inject = [\"jaeger\"] }\n");
    traced.send_untraced("orders", &[("uber-trace-id", &first), ("second_span_uber-trace-id", &second)]);
    let message = next_message(&traced.consumer("orders"));
    send(&traced.producer(), record("orders").headers(message.headers().unwrap().clone()));
    let spans = traced.spans();
    let receive = spans.iter().find(|span| span.name == "receive orders").unwrap();
    assert_eq!((receive.trace_id.as_str(), receive.parent_span_id.as_str()), (TRACE, "00000000000000bb"));
    let passed_on = next_message(&{
        let consumer = traced.kafka.consumer_config("untraced");
        let consumer = words::kafka::assign(&consumer, "orders");
        next_message(&consumer);
        consumer
    });
    assert_eq!(
        headers_of(&passed_on).iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(),
        ["uber-trace-id"],
        "what is older than our context does not stay beside it"
    );
}

#[test]
fn b3_without_a_sampling_state_leaves_the_decision_to_our_sampler() {
    let cases = [("always_on", 1), ("always_off", 0)];
    for (sampler, count) in cases {
        let configuration = format!("[services.shop]\ntopics = [\"*\"]\nsampler = \"{sampler}\"\n");
        assert_eq!(received_by(&configuration, &[("b3", &format!("{TRACE}-{SPAN}"))]).len(), count, "{sampler}");
    }
    assert_eq!(received(&[("b3", "0")]).len(), 0, "no ids, but a decision: not kept");
    let off = "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\n";
    let debug = received_by(off, &[("b3", "d")]);
    assert_eq!(parent(&debug).1, "", "no ids, but a decision: kept");
}

#[test]
fn every_format_is_written_and_read_back_by_the_consumer() {
    let names = [
        ("tracecontext", &["traceparent"][..]),
        ("b3", &["b3"]),
        ("b3multi", &["X-B3-TraceId", "X-B3-SpanId", "X-B3-Sampled"]),
        ("jaeger", &["uber-trace-id"]),
        ("datadog", &["x-datadog-trace-id", "x-datadog-parent-id", "x-datadog-sampling-priority", "x-datadog-tags"]),
        ("xray", &["x-amzn-trace-id"]),
        ("elastic", &["elastic-apm-traceparent"]),
    ];
    for (format, headers) in names {
        let extract = if format == "b3multi" { "b3" } else { format };
        let configuration = format!(
            "[services.shop]\ntopics = [\"*\"]\npropagators = {{ inject = [\"{format}\"], extract = [\"{extract}\"] }}\n"
        );
        let traced = Traced::start(&["orders"], &configuration);
        send(&traced.producer(), record("orders"));
        let message = next_message(&traced.consumer("orders"));
        let written: Vec<_> = headers_of(&message).into_iter().map(|(name, _)| name.to_lowercase()).collect();
        assert_eq!(written, headers.iter().map(|name| name.to_lowercase()).collect::<Vec<_>>(), "{format}");
        assert_eq!(traced.traces(), "shop: send orders\n  shop: receive orders\n", "{format}");
    }
}

#[test]
fn several_formats_are_all_written_and_say_the_same() {
    let configuration = "[services.shop]\ntopics = [\"*\"]\npropagators = { inject = [\"jaeger\", \"b3\", \"tracecontext\", \"datadog\", \"xray\", \"elastic\"] }\n";
    let traced = Traced::start(&["orders"], configuration);
    send(&traced.producer(), record("orders"));
    let span = traced.spans().remove(0);
    let (trace, id) = (span.trace_id, span.span_id);
    let message = traced.read_untraced("orders");
    assert_eq!(header_of(&message, "traceparent"), Some(format!("00-{trace}-{id}-01")));
    assert_eq!(header_of(&message, "b3"), Some(format!("{trace}-{id}-1")));
    assert_eq!(header_of(&message, "uber-trace-id"), Some(format!("{trace}:{id}:0:1")));
    assert_eq!(header_of(&message, "elastic-apm-traceparent"), Some(format!("00-{trace}-{id}-01")));
    let xray = format!("Root=1-{}-{};Parent={id};Sampled=1", &trace[..8], &trace[8..]);
    assert_eq!(header_of(&message, "X-Amzn-Trace-Id"), Some(xray));
    let decimal = |digits: &str| Some(u64::from_str_radix(digits, 16).unwrap().to_string());
    assert_eq!(header_of(&message, "x-datadog-trace-id"), decimal(&trace[16..]));
    assert_eq!(header_of(&message, "x-datadog-parent-id"), decimal(&id));
    assert_eq!(header_of(&message, "x-datadog-tags"), Some(format!("_dd.p.tid={}", &trace[..16])));
}

#[test]
fn an_unsampled_context_is_written_too_in_every_format() {
    let configuration = "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\npropagators = { inject = [\"tracecontext\", \"b3\", \"jaeger\"] }\n";
    let traced = Traced::start(&["orders"], configuration);
    send(&traced.producer(), record("orders"));
    let message = traced.read_untraced("orders");
    assert!(header_of(&message, "traceparent").unwrap().ends_with("-00"));
    assert!(header_of(&message, "b3").unwrap().ends_with("-0"));
    assert!(header_of(&message, "uber-trace-id").unwrap().ends_with(":0:0"));
    assert_eq!(traced.traces(), "");
}

#[test]
fn none_writes_nothing_and_still_makes_spans() {
    // The mode that users of the original asked for (its issue 30): old brokers, no headers.
    let traced =
        Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\npropagators = { inject = [\"none\"] }\n");
    send(&traced.producer(), record("orders"));
    send(&traced.producer(), record("orders").headers(words::kafka::with_headers(&[("mine", "1")])));
    let consumer = words::kafka::assign(&traced.kafka.consumer_config("untraced"), "orders");
    assert!(next_message(&consumer).headers().is_none());
    assert_eq!(headers_of(&next_message(&consumer)), [("mine".to_owned(), "1".to_owned())]);
    assert_eq!(
        traced.traces_with(&["messaging.kafka.offset"]),
        "shop: send orders {offset=0}\nshop: send orders {offset=1}\n"
    );
}

#[test]
fn with_reinject_the_application_reads_the_consumer_s_context_in_place_of_the_producer_s() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nreinject = true\n");
    let sent = format!("00-{TRACE}-{SPAN}-01");
    traced.send_untraced("orders", &[("mine", "1"), ("traceparent", &sent), ("tracestate", "vendor=1")]);
    traced.send_untraced("orders", &[]);
    let consumer = traced.consumer("orders");
    let (message, bare) = (next_message(&consumer), next_message(&consumer));
    let spans = traced.spans();
    assert_eq!(header_of(&message, "traceparent"), Some(format!("00-{TRACE}-{}-01", spans[0].span_id)));
    assert_eq!(header_of(&message, "tracestate").as_deref(), Some("vendor=1"));
    assert_eq!(header_of(&message, "mine").as_deref(), Some("1"));
    assert_eq!(
        header_of(&bare, "traceparent"),
        Some(format!("00-{}-{}-01", spans[1].trace_id, spans[1].span_id)),
        "a message without headers gets them"
    );
}

#[test]
fn without_reinject_the_application_reads_what_was_sent() {
    let traced = Traced::start(&["orders"], ALL);
    let sent = format!("00-{TRACE}-{SPAN}-01");
    traced.send_untraced("orders", &[("mine", "1"), ("traceparent", &sent)]);
    let message = next_message(&traced.consumer("orders"));
    assert_eq!(headers_of(&message), [("mine".to_owned(), "1".to_owned()), ("traceparent".to_owned(), sent)]);
}

#[test]
fn with_reinject_a_processing_guard_still_makes_one_span_of_the_delivery() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nreinject = true\n");
    send(&traced.producer(), record("orders"));
    let message = next_message(&traced.consumer("orders"));
    drop(Processing::start_for(traced.resolver(), None, &message));
    assert_eq!(traced.traces(), "shop: send orders\n  shop: process orders\n");
}

/// What real servers saw on the wire between us and another instrumentation: see `tests/real/others.py`.
#[derive(serde::Deserialize)]
struct Recorded {
    library: String,
    inject: Vec<String>,
    theirs: OneMessage,
    ours: OneMessage,
    /// Ours, sent on by them with all its headers, of which several may have one name.
    passed_by_them: Option<OneMessage>,
}

/// The headers of a message by their names, with their values in hexadecimal digits, and the span that sent it.
#[derive(serde::Deserialize)]
struct OneMessage {
    headers: Vec<(String, String)>,
    trace: String,
    span: String,
}

impl OneMessage {
    fn texts(&self) -> Vec<(&str, String)> {
        let bytes = |hex: &str| {
            (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
        };
        self.headers.iter().map(|(name, value)| (name.as_str(), String::from_utf8(bytes(value)).unwrap())).collect()
    }
}

#[test]
fn what_other_instrumentations_wrote_is_a_parent_and_what_they_read_is_still_written() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/others");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(files.len() >= 7, "{files:?}");
    for file in files {
        let Recorded { library, inject, theirs, ours, passed_by_them } =
            serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        for message in std::iter::once(&theirs).chain(&passed_by_them) {
            let headers = message.texts();
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(parent(&received(&headers)), (&*message.trace, &*message.span), "{library}");
        }
        // With today's ids in place of those of then, it is letter by letter what they took for their parent.
        let traced = Traced::start(&["orders"], &format!("{ALL}propagators.inject = {inject:?}\n"));
        send(&traced.producer(), record("orders"));
        let written = headers_of(&next_message(&traced.consumer("orders")));
        let spans = traced.spans();
        let span = spans.iter().find(|span| span.name == "send orders").unwrap();
        let then = ours.texts().into_iter().map(|(name, value)| {
            (name.to_owned(), value.replace(&ours.trace, &span.trace_id).replace(&ours.span, &span.span_id))
        });
        assert_eq!(written, then.collect::<Vec<_>>(), "{library}");
    }
}
