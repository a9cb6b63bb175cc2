//! The `otlp` backend gets a batch to a collector as it is, and tells what another try can mend from what it cannot.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::TcpListener;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use tracer_plugin_api::{Backend, BackendError, CreateArgs, ErrorKind};
use tracer_plugin_otlp::Otlp;
use words::backend::{create, export, export_bytes, export_metrics};
use words::metrics_messages::{
    Data, ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse, Metric,
    NumberDataPoint, Numbers, ResourceMetrics, ScopeMetrics,
};
use words::receivers::{HttpServer, OtlpReceiver, Reply, Request};
use words::{LIMIT, child, is_child, run, sample_spans};

fn backend(config: &serde_json::Value) -> Otlp {
    create(config).unwrap()
}

fn backend_at(endpoint: &str) -> Otlp {
    backend(&serde_json::json!({ "endpoint": endpoint }))
}

/// Exports two spans within this limit.
fn export_within(backend: &Otlp, limit: Duration) -> Result<(), BackendError> {
    export_bytes(backend, &sample_spans::bytes(&sample_spans::order_and_payment()), 2, limit)
}

fn export_two(backend: &Otlp) -> Result<(), BackendError> {
    export_within(backend, LIMIT)
}

fn collector_that_answers(reply: Reply) -> HttpServer {
    HttpServer::start(move |_| reply.clone()).unwrap()
}

/// A port whose connections the test serves itself, and a backend that sends there.
fn raw_collector() -> (TcpListener, Otlp) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let backend = backend_at(&format!("http://{}", listener.local_addr().unwrap()));
    (listener, backend)
}

fn answer(reply: Reply) -> BackendError {
    let server = collector_that_answers(reply);
    export_two(&backend_at(&server.url())).unwrap_err()
}

#[test]
fn a_batch_arrives_byte_for_byte() {
    let collector = OtlpReceiver::start().unwrap();
    export_two(&backend_at(&collector.endpoint())).unwrap();
    let requests = collector.server().requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].body, sample_spans::bytes(&sample_spans::order_and_payment()));
    assert_eq!((requests[0].method.as_str(), requests[0].path.as_str()), ("POST", "/v1/traces"));
    let services: Vec<_> = collector.spans().into_iter().map(|span| (span.service, span.name)).collect();
    assert_eq!(services, [("orders".into(), "send orders".into()), ("payments".into(), "process orders".into())]);
}

#[test]
fn the_users_headers_and_our_own_are_sent() {
    let collector = OtlpReceiver::start().unwrap();
    let headers = serde_json::json!({"Authorization": "Bearer token-1", "x-tenant": "bank"});
    export_two(&backend(&serde_json::json!({"endpoint": collector.endpoint(), "headers": headers}))).unwrap();
    let request = &collector.server().requests()[0];
    assert_eq!(request.header("authorization"), Some("Bearer token-1"));
    assert_eq!(request.header("x-tenant"), Some("bank"));
    assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    assert!(request.header("user-agent").unwrap().starts_with("tracer-resolver-otlp/"));
}

#[test]
fn gzip_makes_fewer_bytes_of_the_same_spans() {
    let collector = OtlpReceiver::start().unwrap();
    let backend = backend(&serde_json::json!({"endpoint": collector.endpoint(), "compression": "gzip"}));
    let body = sample_spans::bytes(&sample_spans::many("orders", 500));
    export_bytes(&backend, &body, 500, LIMIT).unwrap();
    let request = &collector.server().requests()[0];
    assert_eq!(request.header("content-encoding"), Some("gzip"));
    assert_eq!(request.body, body);
    let sent = backend.stats().unwrap().bytes_sent;
    assert_eq!(request.header("content-length").unwrap(), sent.to_string());
    assert!(sent < body.len() as u64 / 4, "{sent} bytes of {}", body.len());
}

#[test]
fn a_busy_collector_is_tried_again_when_it_wants() {
    for status in [429, 502, 503, 504] {
        let error = answer(Reply::status(status).header("retry-after", "7").body("busy"));
        assert_eq!(error.kind(), ErrorKind::Retryable, "{status}");
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{status}");
        assert!(error.message().contains(&status.to_string()) && error.message().contains("busy"), "{error}");
    }
    assert_eq!(answer(Reply::status(503)).retry_after(), None);
}

#[test]
fn a_collector_may_say_when_by_date() {
    let date = httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(100));
    let wait = answer(Reply::status(503).header("retry-after", &date)).retry_after().unwrap();
    assert!((90..=100).contains(&wait.as_secs()), "{wait:?}");
}

#[test]
fn what_the_collector_refuses_is_not_tried_again() {
    for status in [400, 404, 413, 500, 501] {
        let error = answer(Reply::status(status).body("x".repeat(1000)).header("retry-after", "7"));
        assert_eq!(error.kind(), ErrorKind::Permanent, "{status}");
        assert!(error.message().contains(&format!("answered {status}")), "{error}");
        assert_eq!(error.message().matches('x').count(), 200, "{error}");
    }
}

/// The host tries again with what a file says by then, if a file says it.
#[test]
fn credentials_that_are_refused_are_told_from_what_is_refused_for_good() {
    for status in [401, 403, 407] {
        let error = answer(Reply::status(status).body("who are you"));
        assert_eq!(error.kind(), ErrorKind::Credentials, "{status}");
        assert!(error.message().contains("who are you (see `headers`)"), "{error}");
    }
}

#[test]
fn a_token_that_the_collector_repeats_is_not_in_the_message() {
    let server = collector_that_answers(Reply::status(401).body("unknown token s3cret-token\r\nINFO all is well"));
    let endpoint = format!("http://{}/?key=s3cret-key", server.address());
    let headers = serde_json::json!({"authorization": "Bearer s3cret-token"});
    let error = export_two(&backend(&serde_json::json!({"endpoint": endpoint, "headers": headers}))).unwrap_err();
    assert!(error.message().contains("unknown token *** INFO all is well"), "{error}");
    assert!(!error.message().contains("s3cret"), "{error}");
}

#[test]
fn a_partial_success_says_how_many_spans_were_refused() {
    let partial = ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() };
    let response = ExportTraceServiceResponse { partial_success: Some(partial) };
    let server = collector_that_answers(Reply::status(200).body(response.encode_to_vec()));
    let backend = backend_at(&server.url());
    let error = export_two(&backend).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items(), error.message()), (ErrorKind::Partial, 1, "too old"));
    let stats = backend.stats().unwrap();
    assert_eq!((stats.batches_sent, stats.items_sent, stats.items_rejected), (1, 1, 1));
}

#[test]
fn a_warning_of_the_collectors_is_no_failure() {
    let warning = ExportTracePartialSuccess { rejected_spans: 0, error_message: "use gzip".to_owned() };
    let response = ExportTraceServiceResponse { partial_success: Some(warning) };
    let server = collector_that_answers(Reply::status(200).body(response.encode_to_vec()));
    export_two(&backend_at(&server.url())).unwrap();
}

#[test]
fn a_slow_collector_is_waited_for_no_longer_than_the_host_or_the_user_says() {
    let collector = OtlpReceiver::start().unwrap();
    collector.respond_after(Duration::from_secs(3));
    let by_host = backend_at(&collector.endpoint());
    let by_user = backend(&serde_json::json!({"endpoint": collector.endpoint(), "timeout": "200ms"}));
    for (backend, limit) in [(&by_host, Duration::from_millis(200)), (&by_user, LIMIT)] {
        let started = Instant::now();
        let error = export_within(backend, limit).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Timeout, "{error}");
        assert!((150..2000).contains(&started.elapsed().as_millis()), "{:?}", started.elapsed());
    }
    assert_eq!(export_within(&by_host, Duration::ZERO).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn connections_are_kept_open_and_counted() {
    let collector = OtlpReceiver::start().unwrap();
    let backend = backend_at(&collector.endpoint());
    for _ in 0..10 {
        export_two(&backend).unwrap();
    }
    assert_eq!(collector.server().connections(), 1);
    let stats = backend.stats().unwrap();
    assert_eq!((stats.batches_sent, stats.items_sent, stats.reconnects, stats.in_flight), (10, 20, 0, 0));
}

#[test]
fn several_threads_export_at_once_over_connections_of_their_own() {
    let collector = OtlpReceiver::start().unwrap();
    collector.respond_after(Duration::from_millis(300));
    let config = serde_json::json!({"endpoint": collector.endpoint()}).to_string();
    let backend =
        Otlp::create(&CreateArgs { max_concurrency: 4, ..CreateArgs::detached("collector", &config) }).unwrap();
    let started = Instant::now();
    for _ in 0..2 {
        std::thread::scope(|scope| {
            let exports: Vec<_> = (0..4).map(|_| scope.spawn(|| export_two(&backend))).collect();
            exports.into_iter().for_each(|export| export.join().unwrap().unwrap());
        });
    }
    assert!(started.elapsed() < Duration::from_millis(1_800), "one after the other: {:?}", started.elapsed());
    assert_eq!(collector.server().connections(), 4, "the second round took the connections of the first");
    assert_eq!((backend.stats().unwrap().batches_sent, backend.stats().unwrap().in_flight), (8, 0));
}

#[test]
fn a_collector_that_dies_in_the_middle_is_worth_another_try_and_is_found_again() {
    let mut collector = OtlpReceiver::start().unwrap();
    let port = collector.server().address().port();
    let backend = backend_at(&collector.endpoint());
    collector.respond_after(Duration::from_secs(5));
    let error = std::thread::scope(|scope| {
        let export = scope.spawn(|| export_two(&backend));
        while collector.server().requests().is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        collector.stop();
        export.join().unwrap().unwrap_err()
    });
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    let error = export_two(&backend).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    let back = OtlpReceiver::start_on(port).unwrap();
    export_two(&backend).unwrap();
    assert_eq!(back.spans().len(), 2);
    let stats = backend.stats().unwrap();
    assert_eq!(
        (stats.reconnects, stats.batches_failed, stats.bytes_sent),
        (1, 2, back.server().requests()[0].body.len() as u64)
    );
}

#[test]
fn a_connection_that_the_collector_closed_is_replaced_without_an_error() {
    let collector = OtlpReceiver::start().unwrap();
    let backend = backend_at(&collector.endpoint());
    export_two(&backend).unwrap();
    collector.server().close_connections();
    std::thread::sleep(Duration::from_millis(50));
    export_two(&backend).unwrap();
    assert_eq!((collector.server().connections(), backend.stats().unwrap().reconnects), (2, 1));
}

#[test]
fn a_connection_that_the_collector_closes_in_place_of_an_answer_is_replaced_without_an_error() {
    let (listener, backend) = raw_collector();
    // Of each connection it answers the first request only, and closes it when the second has come.
    let server = std::thread::spawn(move || {
        for answered in [2, 1] {
            let (mut connection, _) = listener.accept().unwrap();
            for request in 0..answered {
                let mut buffer = [0; 65536];
                assert!(connection.read(&mut buffer).unwrap() > 0);
                if request == 0 {
                    connection.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").unwrap();
                }
            }
        }
    });
    export_two(&backend).unwrap();
    export_two(&backend).unwrap();
    server.join().unwrap();
    assert_eq!((backend.stats().unwrap().reconnects, backend.stats().unwrap().batches_failed), (1, 0));
}

#[test]
fn a_new_connection_that_the_collector_closes_in_place_of_an_answer_is_an_error_at_once() {
    let (server, backend) = raw_collector();
    std::thread::spawn(move || server.incoming().for_each(drop));
    assert_eq!(export_two(&backend).unwrap_err().kind(), ErrorKind::Retryable);
    assert_eq!(backend.stats().unwrap().reconnects, 0, "one connection was made");
}

#[test]
fn a_long_answer_is_not_read_to_its_end() {
    let server = collector_that_answers(Reply::status(200).body(vec![0; 10 << 20]));
    let backend = backend_at(&server.url());
    export_two(&backend).unwrap();
    export_two(&backend).unwrap();
    assert_eq!(server.connections(), 2, "a connection with an answer left in it was used again");
}

#[test]
fn an_answer_that_breaks_off_after_its_status_is_an_answer() {
    let (listener, backend) = raw_collector();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let length = sample_spans::bytes(&sample_spans::order_and_payment()).len();
        let mut request: Vec<u8> = Vec::new();
        while request
            .windows(4)
            .position(|end| end == b"\r\n\r\n")
            .is_none_or(|head| request.len() != head + 4 + length)
        {
            let mut bytes = [0; 4096];
            let count = connection.read(&mut bytes).unwrap();
            request.extend(&bytes[..count]);
        }
        connection.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf").unwrap();
    });
    export_two(&backend).unwrap();
    server.join().unwrap();
}

#[test]
fn a_redirect_is_not_followed() {
    let other = OtlpReceiver::start().unwrap();
    for status in [301, 302, 307, 308] {
        let error =
            answer(Reply::status(status).header("location", &format!("{}/v1/traces?token=s3cret", other.endpoint())));
        assert_eq!(error.kind(), ErrorKind::Permanent, "{status}");
        assert!(error.message().contains(&other.endpoint()) && !error.message().contains("s3cret"), "{error}");
    }
    assert!(other.server().requests().is_empty());
}

#[test]
fn the_environment_names_no_proxy() {
    if is_child() {
        return export_two(&backend_at(&child::given("COLLECTOR"))).unwrap();
    }
    let collector = OtlpReceiver::start().unwrap();
    let proxy = collector_that_answers(Reply::status(502));
    let mut again = child("the_environment_names_no_proxy");
    again.env("COLLECTOR", collector.endpoint());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        again.env(name, proxy.url());
    }
    run(&mut again).expect_success();
    assert_eq!((collector.spans().len(), proxy.connections()), (2, 0));
}

#[test]
fn a_proxy_of_the_configuration_is_used() {
    // It answers the CONNECT, and then, on the same connection, stands for the collector as well.
    let proxy = collector_that_answers(Reply::status(200));
    let address = format!("http://user:s3cret@{}", proxy.address());
    let config = serde_json::json!({"endpoint": "http://collector.invalid:4318", "proxy": address});
    export_two(&backend(&config)).unwrap();
    let requests = proxy.requests();
    assert!(requests.iter().any(|request| request.header("proxy-authorization").is_some()), "{requests:?}");
    assert!(requests.last().unwrap().path.ends_with("/v1/traces"), "{requests:?}");
}

#[test]
fn a_proxy_that_is_not_there_is_named_and_not_the_collector_alone() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let through = |proxy: &str| {
        let config = serde_json::json!({"endpoint": "http://collector.invalid:4318", "proxy": proxy});
        export_two(&backend(&config)).unwrap_err()
    };
    let error = through(&format!("http://{nobody}"));
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    let named = format!("the proxy {nobody} (`proxy`), on the way to http://collector.invalid:4318/v1/traces: ");
    assert!(error.message().starts_with(&named), "{error}");
    let error = through("http://user:s3cret@proxy.invalid:3128");
    assert!(error.message().starts_with("the proxy proxy.invalid:3128 (`proxy`)"), "{error}");
    let refusing = collector_that_answers(Reply::status(407));
    let error = through(&refusing.url());
    assert!(error.message().contains("407") && error.message().contains("belong into `proxy`"), "{error}");
    // It lets us through, but nobody is at the other end: that is not the proxy's fault.
    let open = collector_that_answers(Reply::status(200));
    let config = serde_json::json!({"endpoint": "https://collector.invalid", "proxy": open.url()});
    let error = export_two(&backend(&config)).unwrap_err();
    assert!(error.message().starts_with("https://collector.invalid/v1/traces: "), "{error}");
}

#[test]
fn a_connection_through_a_proxy_counts_once() {
    let proxy = collector_that_answers(Reply::status(200));
    let config = serde_json::json!({"endpoint": "http://c.invalid", "proxy": proxy.url()});
    let backend = backend(&config);
    export_two(&backend).unwrap();
    assert_eq!(backend.stats().unwrap().reconnects, 0);
}

/// What a backend says of a server that greets every connection with `greeting` and closes it.
fn met_with(greeting: &'static [u8]) -> BackendError {
    let (listener, backend) = raw_collector();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.write_all(greeting).unwrap();
        // As gRPC servers do: not all of the request is read when it is closed.
        connection.read_exact(&mut [0; 24]).unwrap();
    });
    let error = export_two(&backend).unwrap_err();
    server.join().unwrap();
    error
}

#[test]
fn a_port_that_speaks_something_else_is_told_by_what_it_says() {
    // The settings of a server for gRPC, an alert of TLS, a stranger, and who waits for TLS and hangs up with all unread.
    for (greeting, word) in [
        (&b"\0\0\x06\x04\0\0\0\0\0\0\x05\0\0\x40\0"[..], "4318"),
        (b"\x15\x03\x01\0\x02\x02\x46", "https://"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0-OpenSSH_9.6"),
        (b"", "does it want https://?"),
    ] {
        let error = met_with(greeting);
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
}

#[test]
fn a_server_that_closes_without_a_word_is_told_so() {
    let (listener, backend) = raw_collector();
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        connection.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
        while connection.read(&mut [0; 4096]).is_ok() {}
    });
    let error = export_two(&backend).unwrap_err();
    server.join().unwrap();
    assert!(error.kind() == ErrorKind::Retryable && error.message().contains("closed without an answer"), "{error}");
}

#[test]
fn a_server_in_go_that_wants_tls_says_so() {
    let error = answer(Reply::status(400).body("Client sent an HTTP request to an HTTPS server.\n"));
    assert!(error.message().ends_with("(https:// in place of http://)"), "{error}");
}

#[test]
fn an_answer_in_the_middle_of_the_request_is_heard() {
    let (listener, backend) = raw_collector();
    // It reads the head and no byte more, whatever is still to come: more than all buffers on the way hold.
    let server = std::thread::spawn(move || {
        let (mut connection, _) = listener.accept().unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            connection.read_exact(&mut byte).unwrap();
            head.extend(byte);
        }
        connection.write_all(b"HTTP/1.1 401 Unauthorized\r\nconnection: close\r\n\r\nwho are you").unwrap();
    });
    let body = vec![0; 32 << 20];
    let error = export_bytes(&backend, &body, 1, LIMIT).unwrap_err();
    server.join().unwrap();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
    assert!(error.message().contains("answered 401") && error.message().contains("who are you"), "{error}");
}

#[test]
fn a_batch_that_is_too_large_for_the_collector_goes_in_parts() {
    for (status, word) in [(413, "at most 16 KiB"), (400, "http: request body too large")] {
        let collector = HttpServer::start(move |request| match request.body.len() {
            0..=16_384 => Reply::status(200),
            _ => Reply::status(status).body(word),
        });
        let collector = collector.unwrap();
        let backend = backend_at(&collector.url());
        let batch = sample_spans::many("orders", 500);
        let send = || export(&backend, &batch);
        send().unwrap();
        let requests = collector.requests();
        let parts = requests.iter().filter(|request| request.body.len() <= 16_384);
        let parts: Vec<_> =
            parts.map(|part| ExportTraceServiceRequest::decode(part.body.as_slice()).unwrap()).collect();
        assert!(parts.iter().all(|part| part.resource_spans[0].resource == batch.resource_spans[0].resource));
        let spans = |request: &ExportTraceServiceRequest| request.resource_spans[0].scope_spans[0].spans.clone();
        assert_eq!(parts.iter().flat_map(spans).collect::<Vec<_>>(), spans(&batch), "{status}");
        // It has learnt: nothing is refused any more.
        send().unwrap();
        let refused = |requests: &[Request]| requests.iter().filter(|request| request.body.len() > 16_384).count();
        assert_eq!(refused(&collector.requests()), refused(&requests), "{status}");
        assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().items_rejected), (1_000, 0));
    }
}

#[test]
fn a_span_that_is_too_large_by_itself_is_lost_and_the_others_are_not() {
    let collector = HttpServer::start(|request| Reply::status(if request.body.len() > 16_384 { 413 } else { 200 }));
    let collector = collector.unwrap();
    let backend = backend_at(&collector.url());
    let mut batch = sample_spans::many("orders", 9);
    batch.resource_spans[0].scope_spans[0].spans[4].name = "x".repeat(20_000);
    let error = export(&backend, &batch).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items()), (ErrorKind::Partial, 1), "{error}");
    assert!(error.message().contains("answered 413"), "{error}");
    let error = export_bytes(&backend, &sample_spans::bytes(&batch), 1, LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Permanent, "what does not hold what it should is not taken apart");
}

#[test]
fn the_password_of_a_proxy_that_fails_is_not_in_the_message() {
    let refusing = collector_that_answers(Reply::status(407));
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for address in [refusing.address(), nobody] {
        let proxy = format!("http://user:s3cret@{address}");
        let error =
            export_two(&backend(&serde_json::json!({"endpoint": "http://c.invalid", "proxy": proxy}))).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
        assert!(!error.message().contains("s3cret"), "{error}");
    }
}

#[test]
fn a_configuration_that_cannot_work_is_refused_before_anything_is_created() {
    let error = Otlp::validate(r#"{"endpoint": "http://c", "tls": {"ca": "x"}}"#).unwrap_err();
    assert_eq!((error.kind(), error.pointer()), (ErrorKind::Config, "/tls/ca"));
    Otlp::validate(r#"{"endpoint": "https://c", "tls": {"ca_file": "/does/not/exist"}}"#).unwrap();
}

#[test]
fn a_port_that_is_none_is_pointed_at_before_anything_is_sent() {
    for key in ["endpoint", "traces_endpoint", "proxy"] {
        for port in ["99999", "4318x", "", "-1", "0"] {
            let error = Otlp::validate(&format!(r#"{{"{key}": "http://127.0.0.1:{port}"}}"#)).unwrap_err();
            assert_eq!((error.kind(), error.pointer()), (ErrorKind::Config, format!("/{key}").as_str()));
            assert!(error.message().contains("port"), "{error}");
        }
    }
}

/// A request of so many metrics, each of which has two data points.
fn metrics(count: u32) -> Vec<u8> {
    let metric = |number: u32| {
        let data_points = vec![NumberDataPoint::default(), NumberDataPoint { flags: number, ..Default::default() }];
        Metric { name: format!("metric.{number}"), data: Some(Data::Sum(Numbers { data_points })) }
    };
    let scope = ScopeMetrics { metrics: (0..count).map(metric).collect() };
    let resource_metrics = vec![ResourceMetrics { scope_metrics: vec![scope], ..Default::default() }];
    ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
}

#[test]
fn metrics_go_to_an_address_of_their_own_as_they_are_and_are_counted_by_their_points() {
    let collector = OtlpReceiver::start().unwrap();
    let backend = backend_at(&collector.endpoint());
    export_metrics(&backend, &metrics(3), 6).unwrap();
    export_two(&backend).unwrap();
    let requests = collector.server().requests();
    assert_eq!((requests[0].path.as_str(), &requests[0].body), ("/v1/metrics", &metrics(3)));
    assert_eq!(requests[1].path, "/v1/traces");
    assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().batches_sent), (8, 2));
}

#[test]
fn a_partial_success_says_how_many_data_points_were_refused() {
    let partial = ExportMetricsPartialSuccess { rejected_data_points: 4, error_message: "out of order".to_owned() };
    let response = ExportMetricsServiceResponse { partial_success: Some(partial) };
    let server = collector_that_answers(Reply::status(200).body(response.encode_to_vec()));
    let backend = backend_at(&server.url());
    let error = export_metrics(&backend, &metrics(3), 6).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items(), error.message()), (ErrorKind::Partial, 4, "out of order"));
    assert_eq!((backend.stats().unwrap().items_sent, backend.stats().unwrap().items_rejected), (2, 4));
}

#[test]
fn metrics_that_are_too_many_at_once_go_in_parts_and_none_is_lost() {
    let most = metrics(50).len();
    let server =
        HttpServer::start(move |request: &Request| Reply::status(if request.body.len() > most { 413 } else { 200 }))
            .unwrap();
    let backend = backend_at(&server.url());
    export_metrics(&backend, &metrics(200), 400).unwrap();
    let requests = server.requests();
    let taken = requests.iter().filter(|request| request.body.len() <= most);
    let names = taken.flat_map(|request| {
        let read = ExportMetricsServiceRequest::decode(request.body.as_slice()).unwrap();
        let scopes = read.resource_metrics.into_iter().flat_map(|of| of.scope_metrics);
        scopes.flat_map(|scope| scope.metrics).map(|metric| metric.name).collect::<Vec<_>>()
    });
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.dedup();
    assert_eq!((names.len(), backend.stats().unwrap().items_sent), (200, 400));
    // What is refused for good by itself is counted by its points, and the others go on.
    let refuses_one = HttpServer::start(move |request: &Request| {
        let has_it = request.body.windows(9).any(|part| part == b"metric.7\x3a");
        Reply::status(if request.body.len() > 300 {
            413
        } else if has_it {
            400
        } else {
            200
        })
    })
    .unwrap();
    let backend = backend_at(&refuses_one.url());
    let error = export_metrics(&backend, &metrics(40), 80).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Partial);
    assert_eq!(backend.stats().unwrap().items_sent + backend.stats().unwrap().items_rejected, 80);
    assert!(backend.stats().unwrap().items_rejected % 2 == 0 && backend.stats().unwrap().items_rejected > 0);
}

#[test]
fn without_an_address_for_metrics_they_are_refused_with_the_key_that_is_missing() {
    let collector = OtlpReceiver::start().unwrap();
    let backend = backend(&serde_json::json!({ "traces_endpoint": format!("{}/in", collector.endpoint()) }));
    let error = export_metrics(&backend, &metrics(1), 2).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("`metrics_endpoint`"), "{error}");
    assert!(collector.server().requests().is_empty());
}
