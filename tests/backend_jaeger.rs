//! The `jaeger` backend says the same by OTLP, by Thrift to a collector and by Thrift to an agent.

#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may fail loudly")]

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use tracer_plugin_api::{Backend as _, ErrorKind};
use tracer_plugin_jaeger::Jaeger;
use words::backend::{create, export, export_bytes};
use words::receivers::{HttpServer, JaegerReceiver, ReceivedLink, ReceivedSpan, Reply};
use words::sample_spans::{self, START};
use words::{LIMIT, child, is_child, run};

/// Backends that send there, by each of the three transports.
fn by_otlp(jaeger: &JaegerReceiver) -> Jaeger {
    create(&serde_json::json!({"endpoint": jaeger.endpoint()})).unwrap()
}

fn by_http(collector_endpoint: &str) -> Jaeger {
    create(&serde_json::json!({"transport": "thrift_http", "endpoint": collector_endpoint})).unwrap()
}

fn by_udp(jaeger: &JaegerReceiver, max_packet_size: u32) -> Jaeger {
    let endpoint = jaeger.agent_endpoint();
    let config =
        serde_json::json!({"transport": "thrift_udp", "endpoint": endpoint, "max_packet_size": max_packet_size});
    create(&config).unwrap()
}

fn assert_order_and_payment(spans: &[ReceivedSpan]) {
    let [sent, received] = spans else { panic!("{spans:?}") };
    assert_eq!((sent.service.as_str(), sent.name.as_str(), sent.kind.as_str()), ("orders", "send orders", "producer"));
    assert_eq!(sent.trace_id, "a0a1a2a3a4a5a6a7a8a9aaabacadaeaf");
    assert_eq!((sent.span_id.as_str(), sent.parent_span_id.as_str()), ("c000000000000001", ""));
    assert_eq!((sent.start_unix_nano, sent.end_unix_nano), (START, START + 3_000));
    assert_eq!(sent.events, [("acknowledged".to_owned(), START + 2_000)]);
    assert_eq!((sent.scope.as_str(), sent.trace_state.as_str(), sent.flags & 1), ("sample", "vendor=1", 1));
    assert_eq!(sent.attributes["messaging.kafka.offset"], 42);
    assert_eq!(sent.attributes["share"], 0.25);
    assert_eq!(sent.attributes["retried"], true);
    assert_eq!(sent.attribute("isr").unwrap(), "[1,2]");
    assert_eq!(sent.resource["host.name"], "host-1");
    assert!(sent.links.is_empty());

    assert_eq!((received.service.as_str(), received.kind.as_str()), ("payments", "consumer"));
    assert_eq!((&received.trace_id, &received.parent_span_id), (&sent.trace_id, &sent.span_id));
    assert_eq!(received.links, [ReceivedLink { trace_id: "ee".repeat(16), span_id: "dd".repeat(8) }]);
    assert_eq!((received.status_code.as_str(), received.status_message.as_str()), ("error", "card refused"));
}

#[test]
fn by_otlp_spans_arrive_with_all_they_say() {
    let jaeger = JaegerReceiver::start().unwrap();
    let batch = sample_spans::order_and_payment();
    export(&by_otlp(&jaeger), &batch).unwrap();
    assert_order_and_payment(&jaeger.spans());
    assert_eq!(jaeger.server().requests()[0].body, sample_spans::bytes(&batch));
}

#[test]
fn by_thrift_to_a_collector_spans_arrive_with_all_they_say() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_http(&jaeger.collector_endpoint());
    export(&backend, &sample_spans::order_and_payment()).unwrap();
    let spans = jaeger.spans();
    assert_order_and_payment(&spans);
    assert_eq!((&spans[1].attributes["error"], spans[1].flags), (&true.into(), 1));
    // A Jaeger batch has one process: each service is a POST of its own.
    let requests = jaeger.server().requests();
    assert_eq!(requests.len(), 2);
    assert!(requests.iter().all(|request| request.header("content-type") == Some("application/x-thrift")));
    // The collectors of 2017 and 2018 refuse what is not said to be Thrift in this way.
    assert!(requests.iter().all(|request| request.path == "/api/traces?format=jaeger.thrift"), "{requests:?}");
}

#[test]
fn by_thrift_to_an_agent_spans_arrive_with_all_they_say() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_udp(&jaeger, 65_000);
    export(&backend, &sample_spans::order_and_payment()).unwrap();
    let spans = jaeger.wait_for(2, LIMIT);
    assert_order_and_payment(&spans);
    assert_eq!((&spans[1].attributes["error"], spans[1].flags), (&true.into(), 1));
    assert_eq!((jaeger.packets(), backend.stats().unwrap().reconnects), (2, 0));
}

#[test]
fn a_large_batch_is_split_into_packets_that_are_nearly_full() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_udp(&jaeger, 4_000);
    export(&backend, &sample_spans::many("orders", 600)).unwrap();
    let spans = jaeger.wait_for(600, LIMIT);
    let mut ids: Vec<_> = spans.iter().map(|span| span.span_id.clone()).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 600, "each span arrives once");
    assert!(spans.iter().all(|span| span.service == "orders" && span.resource["host.name"] == "host-1"));
    assert!((3_800..=4_000).contains(&jaeger.largest_packet()), "{}", jaeger.largest_packet());
    let bytes = backend.stats().unwrap().bytes_sent;
    assert_eq!(jaeger.packets() as u64, bytes.div_ceil(4_000), "{bytes} bytes");
}

#[test]
fn a_span_larger_than_a_packet_is_lost_and_said_so_and_the_others_arrive() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_udp(&jaeger, 4_000);
    let mut batch = sample_spans::many("orders", 3);
    let large = &mut batch.resource_spans[0].scope_spans[0].spans[1];
    large.attributes.push(sample_spans::attribute("body", Value::StringValue("x".repeat(4_000))));
    let error = export(&backend, &batch).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items()), (ErrorKind::Partial, 1));
    assert!(error.message().contains("max_packet_size"), "{error}");
    let ids: Vec<_> = jaeger.wait_for(2, LIMIT).into_iter().map(|span| span.span_id).collect();
    assert_eq!(ids, ["c000000000000001", "c000000000000003"]);
    assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().items_rejected), (2, 1));
}

#[test]
fn an_agent_that_is_not_there_is_noticed_and_found_again() {
    let port = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let config = serde_json::json!({"transport": "thrift_udp", "endpoint": format!("127.0.0.1:{port}")});
    let backend: Jaeger = create(&config).unwrap();
    let batch = sample_spans::many("orders", 1);
    // The first packet goes nowhere; the answer to it, that nobody listens, meets the second.
    let error = (0..100).find_map(|_| {
        std::thread::sleep(Duration::from_millis(5));
        export(&backend, &batch).err()
    });
    assert_eq!(error.unwrap().kind(), ErrorKind::Retryable);
    let agent = UdpSocket::bind(("127.0.0.1", port)).unwrap();
    export(&backend, &batch).unwrap();
    agent.set_read_timeout(Some(LIMIT)).unwrap();
    assert!(agent.recv(&mut [0; 65_536]).unwrap() > 0);
    assert_eq!(backend.stats().unwrap().reconnects, 1);
}

#[test]
fn a_parent_that_is_also_linked_stays_the_parent() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_http(&jaeger.collector_endpoint());
    let mut batch = sample_spans::order_and_payment();
    let received = &mut batch.resource_spans[1].scope_spans[0].spans[0];
    received.links[0].trace_id = received.trace_id.clone();
    received.links[0].span_id = received.parent_span_id.clone();
    export(&backend, &batch).unwrap();
    // Field 6 of a span, the references: CHILD_OF (0) is the first of the two, then FOLLOWS_FROM (1), both to one span.
    let body = jaeger.server().requests()[1].body.clone();
    let reference = |kind: u8| {
        let mut bytes = vec![8, 0, 1, 0, 0, 0, kind, 10, 0, 2];
        bytes.extend(0xa8..0xb0);
        bytes
    };
    let position = |wanted: &[u8]| body.windows(wanted.len()).position(|window| window == wanted).unwrap();
    assert!(position(&reference(0)) < position(&reference(1)));
    assert_eq!(jaeger.spans()[1].parent_span_id, "c000000000000001");
}

#[test]
fn a_collector_that_refuses_one_service_has_taken_the_others() {
    let collector = HttpServer::start(|request| {
        let refused = request.body.windows(8).any(|window| window == b"payments");
        Reply::status(if refused { 400 } else { 202 })
    });
    let collector = collector.unwrap();
    let endpoint = collector.url() + "/api/traces";
    let backend = by_http(&endpoint);
    let error = export(&backend, &sample_spans::order_and_payment()).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items()), (ErrorKind::Partial, 1));
    let error = export(&backend, &sample_spans::many("payments", 2)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent);
    collector.fail_with(Some(Reply::status(503).header("retry-after", "3")));
    let error = export(&backend, &sample_spans::order_and_payment()).unwrap_err();
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Retryable, Some(Duration::from_secs(3))));
}

#[test]
fn a_batch_that_is_too_large_for_the_collector_goes_in_parts() {
    let collector = HttpServer::start(|request| Reply::status(if request.body.len() > 16_384 { 413 } else { 202 }));
    let collector = collector.unwrap();
    let endpoint = collector.url() + "/api/traces";
    let backend = by_http(&endpoint);
    export(&backend, &sample_spans::many("orders", 300)).unwrap();
    assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().items_rejected), (300, 0));
    assert!(collector.requests().iter().filter(|request| request.body.len() <= 16_384).count() >= 2);
}

#[test]
fn packets_to_an_agent_do_not_leave_all_at_once() {
    let jaeger = JaegerReceiver::start().unwrap();
    let backend = by_udp(&jaeger, 65_000);
    let started = Instant::now();
    export(&backend, &sample_spans::many("orders", 6_000)).unwrap();
    // At the slowest pace, since nothing came before; a busy machine only makes it longer.
    let bytes = backend.stats().unwrap().bytes_sent;
    assert!((600_000..1_000_000).contains(&bytes), "{bytes}");
    let least = Duration::from_millis((bytes - 65_000) * 1_000 / (2 << 20));
    assert!(started.elapsed() >= least, "{bytes} bytes in {:?}", started.elapsed());
}

#[test]
fn a_span_that_takes_no_time_takes_a_microsecond() {
    let jaeger = JaegerReceiver::start().unwrap();
    let collector = by_http(&jaeger.collector_endpoint());
    let mut batch = sample_spans::many("orders", 3);
    for (span, nanos) in batch.resource_spans[0].scope_spans[0].spans.iter_mut().zip([0, 999, 2_999]) {
        span.end_time_unix_nano = span.start_time_unix_nano + nanos;
    }
    for backend in [&collector, &by_udp(&jaeger, 65_000)] {
        export(backend, &batch).unwrap();
    }
    let lengths: Vec<_> =
        jaeger.wait_for(6, LIMIT).iter().map(|span| span.end_unix_nano - span.start_unix_nano).collect();
    assert_eq!(lengths, [1_000, 1_000, 2_000, 1_000, 1_000, 2_000]);
}

#[test]
fn bytes_that_are_no_batch_are_refused_for_good() {
    let jaeger = JaegerReceiver::start().unwrap();
    let collector = by_http(&jaeger.collector_endpoint());
    for backend in [&collector, &by_udp(&jaeger, 65_000)] {
        assert_eq!(export_bytes(backend, b"\xff\xff", 1, LIMIT).unwrap_err().kind(), ErrorKind::Permanent);
    }
    assert!(jaeger.server().requests().is_empty() && jaeger.packets() == 0);
}

#[test]
fn a_span_without_ids_does_not_keep_the_others_back() {
    let jaeger = JaegerReceiver::start().unwrap();
    let collector = by_http(&jaeger.collector_endpoint());
    let mut batch = sample_spans::many("orders", 3);
    batch.resource_spans[0].scope_spans[0].spans[1].span_id.clear();
    for backend in [&collector, &by_udp(&jaeger, 65_000)] {
        let error = export(backend, &batch).unwrap_err();
        assert_eq!((error.kind(), error.rejected_items()), (ErrorKind::Partial, 1));
    }
    assert_eq!(jaeger.wait_for(4, LIMIT).len(), 4);
}

/// Without the look at the socket in `plugins/kit/src/own_descriptor.rs` the program's peer gets a packet or a request.
#[test]
fn a_program_that_closes_the_socket_and_opens_one_of_its_own_gets_nothing_on_it() {
    let name = "a_program_that_closes_the_socket_and_opens_one_of_its_own_gets_nothing_on_it";
    if is_child() {
        let backend: Jaeger = create(&serde_json::from_str(&child::given("CONFIG")).unwrap()).unwrap();
        export(&backend, &sample_spans::order_and_payment()).unwrap();
        let programs = child::take_over_sockets();
        assert_eq!(programs.len(), 1);
        export(&backend, &sample_spans::order_and_payment()).unwrap();
        programs.into_iter().for_each(child::ProgramsSocket::assert_untouched);
        let programs = child::take_over_sockets();
        drop(backend);
        programs.into_iter().for_each(child::ProgramsSocket::assert_untouched);
        return;
    }
    let jaeger = JaegerReceiver::start().unwrap();
    for config in [
        serde_json::json!({"endpoint": jaeger.endpoint()}),
        serde_json::json!({"transport": "thrift_http", "endpoint": jaeger.collector_endpoint()}),
        serde_json::json!({"transport": "thrift_udp", "endpoint": jaeger.agent_endpoint()}),
    ] {
        run(child(name).env("CONFIG", config.to_string())).expect_success();
        assert_eq!(jaeger.wait_for(4, LIMIT).len(), 4);
        jaeger.take_spans();
    }
}
