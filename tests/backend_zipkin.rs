//! The `zipkin` backend says in JSON v2 what the OTLP batch says, and Zipkin can draw the dependencies.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use tracer_plugin_api::{Backend as _, ErrorKind};
use tracer_plugin_zipkin::Zipkin;
use words::LIMIT;
use words::backend::{create, export, export_bytes};
use words::receivers::{HttpServer, ReceivedLink, Reply, ZipkinReceiver};
use words::sample_spans::{self, START};

/// A backend that sends there.
fn to(zipkin: &ZipkinReceiver) -> Zipkin {
    create(&serde_json::json!({"endpoint": zipkin.endpoint()})).unwrap()
}

#[test]
fn spans_of_several_services_arrive_with_all_they_say() {
    let zipkin = ZipkinReceiver::start().unwrap();
    export(&to(&zipkin), &sample_spans::order_and_payment()).unwrap();
    assert_eq!(zipkin.server().requests()[0].header("content-type"), Some("application/json"));
    let spans = zipkin.spans();
    let [sent, received] = spans.as_slice() else { panic!("{spans:?}") };

    assert_eq!((sent.service.as_str(), sent.name.as_str(), sent.kind.as_str()), ("orders", "send orders", "producer"));
    assert_eq!((sent.trace_id.as_str(), sent.parent_span_id.as_str()), ("a0a1a2a3a4a5a6a7a8a9aaabacadaeaf", ""));
    assert_eq!((sent.start_unix_nano, sent.end_unix_nano), (START, START + 3_000));
    assert_eq!(
        (sent.scope.as_str(), sent.trace_state.as_str(), sent.status_code.as_str()),
        ("sample", "vendor=1", "unset")
    );
    assert_eq!(sent.events, [("\"acknowledged\": {\"partition\":3}".to_owned(), START + 2_000)]);
    let attribute = |key: &str| sent.attribute(key).unwrap();
    assert_eq!(attribute("messaging.kafka.offset"), "42");
    assert_eq!(attribute("share"), "0.25");
    assert_eq!(attribute("retried"), "true");
    assert_eq!(attribute("isr"), "[1,2]");
    assert_eq!(attribute("host.name"), "host-1");

    assert_eq!((received.service.as_str(), received.kind.as_str()), ("payments", "consumer"));
    assert_eq!((&received.trace_id, &received.parent_span_id), (&sent.trace_id, &sent.span_id));
    assert_eq!((received.status_code.as_str(), received.status_message.as_str()), ("error", "card refused"));
    assert_eq!(received.links, [ReceivedLink { trace_id: "ee".repeat(16), span_id: "dd".repeat(8) }]);
}

#[test]
fn the_broker_joins_the_producer_and_the_consumer_in_the_graph() {
    let zipkin = ZipkinReceiver::start().unwrap();
    export(&to(&zipkin), &sample_spans::order_and_payment()).unwrap();
    // The rule of Zipkin's DependencyLinker for messaging spans.
    let edges: Vec<_> = zipkin
        .spans()
        .into_iter()
        .map(|span| match span.kind.as_str() {
            "producer" => (span.service.to_string(), span.remote_service),
            "consumer" => (span.remote_service, span.service.to_string()),
            other => panic!("unexpected kind {other}"),
        })
        .collect();
    assert_eq!(edges, [("orders".into(), "kafka".into()), ("kafka".into(), "payments".into())]);
}

#[test]
fn tags_of_the_resource_can_be_left_out_and_bodies_compressed() {
    let zipkin = ZipkinReceiver::start().unwrap();
    let config = serde_json::json!({"endpoint": zipkin.endpoint(), "resource_tags": false, "compression": "gzip"});
    export(&create::<Zipkin>(&config).unwrap(), &sample_spans::many("orders", 3)).unwrap();
    assert_eq!(zipkin.spans().len(), 3);
    assert!(zipkin.spans().iter().all(|span| span.attribute("host.name").is_none()));
    assert_eq!(zipkin.server().requests()[0].header("content-encoding"), Some("gzip"));
}

#[test]
fn a_busy_server_is_tried_again_and_a_refusal_is_not() {
    let zipkin = ZipkinReceiver::start().unwrap();
    let backend = to(&zipkin);
    let batch = sample_spans::many("orders", 2);
    zipkin.fail_with(503);
    assert_eq!(export(&backend, &batch).unwrap_err().kind(), ErrorKind::Retryable);
    zipkin.fail_with(400);
    assert_eq!(export(&backend, &batch).unwrap_err().kind(), ErrorKind::Permanent);
    zipkin.fail_with(200);
    export(&backend, &batch).unwrap();
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.items_rejected, stats.batches_failed), (2, 2, 2));
}

#[test]
fn bytes_that_are_no_batch_are_refused_for_good_and_nothing_is_sent() {
    let zipkin = ZipkinReceiver::start().unwrap();
    let backend = to(&zipkin);
    assert_eq!(export_bytes(&backend, b"\xff\xff", 1, LIMIT).unwrap_err().kind(), ErrorKind::Permanent);
    assert!(zipkin.server().requests().is_empty());
}

#[test]
fn a_span_without_ids_does_not_keep_the_others_back() {
    let zipkin = ZipkinReceiver::start().unwrap();
    let backend = to(&zipkin);
    let mut batch = sample_spans::many("orders", 3);
    batch.resource_spans[0].scope_spans[0].spans[1].trace_id = vec![0; 16];
    let error = export(&backend, &batch).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items(), zipkin.spans().len()), (ErrorKind::Partial, 1, 2));
    batch.resource_spans[0].scope_spans[0].spans.retain(|span| span.trace_id == [0; 16]);
    let error = export(&backend, &batch).unwrap_err();
    assert_eq!((error.rejected_items(), zipkin.server().requests().len()), (1, 1), "an empty request was sent");
}

#[test]
fn a_batch_that_is_too_large_for_the_server_goes_in_parts() {
    // As Zipkin 3 says it.
    let zipkin = HttpServer::start(|request| match request.body.len() {
        0..=16_384 => Reply::status(202),
        _ => Reply::status(500).body("413 Request Entity Too Large\n"),
    });
    let zipkin = zipkin.unwrap();
    let backend: Zipkin = create(&serde_json::json!({"endpoint": zipkin.url()})).unwrap();
    for round in 1..=2 {
        export(&backend, &sample_spans::many("orders", 300)).unwrap();
        assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().items_rejected), (300 * round, 0));
    }
    let requests = zipkin.requests();
    let taken = requests.iter().filter(|request| request.body.len() <= 16_384);
    let spans = taken.flat_map(|request| serde_json::from_slice::<Vec<serde_json::Value>>(&request.body).unwrap());
    let mut ids: Vec<_> = spans.map(|span| span["id"].as_str().unwrap().to_owned()).collect();
    assert_eq!(ids.len(), 600);
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 300, "each span is there, twice");
}
