//! The `otlp_grpc` backend gets a batch to a collector as it is, and tells what another try can mend from what it cannot.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use h2::Reason;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use prost::Message;
use serde_json::{Value, json};
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, ErrorKind, Signal};
use tracer_plugin_otlp_grpc::OtlpGrpc;
use tracer_resolver_references::{Call, GrpcReply, GrpcServer, Outcome, exported_symbols};
use words::backend::{create, export, export_bytes, export_metrics};
use words::receivers::{HttpServer, Reply};
use words::{LIMIT, child, is_child, run, sample_spans};

fn backend_at(endpoint: &str) -> OtlpGrpc {
    create(&json!({ "endpoint": endpoint })).unwrap()
}

fn server(handler: impl Fn(&Call) -> Outcome + Send + Sync + 'static) -> GrpcServer {
    GrpcServer::start(handler).unwrap()
}

fn export_two(backend: &OtlpGrpc) -> Result<(), BackendError> {
    export(backend, &sample_spans::order_and_payment())
}

/// What becomes of a batch for which the server has this answer.
fn verdict(outcome: Outcome) -> BackendError {
    let server = server(move |_| outcome.clone());
    export_two(&backend_at(&server.url())).unwrap_err()
}

/// The first call ends so, all others well.
fn only_the_first(outcome: Outcome) -> GrpcServer {
    let calls = AtomicUsize::new(0);
    server(move |_| if calls.fetch_add(1, Ordering::SeqCst) == 0 { outcome.clone() } else { Outcome::ok() })
}

/// A server of one connection that says `said` at once, reads what comes, and then hangs up.
fn stranger(said: &'static [u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let _ = socket.write_all(said);
            let _ = socket.read(&mut [0; 1 << 16]);
        }
    });
    url
}

/// `google.rpc.Status` with a `RetryInfo` of so many seconds.
fn wait(seconds: u8) -> Option<String> {
    let kind = b"type.googleapis.com/google.rpc.RetryInfo";
    let any = [&[0x0a, kind.len() as u8][..], kind, &[0x12, 4, 0x0a, 2, 0x08, seconds]].concat();
    let status = [&[0x1a, any.len() as u8][..], &any].concat();
    Some(base64(&status))
}

fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let triple = |three: &[u8]| {
        let word = three.iter().fold(0_u32, |word, byte| word << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        let letters =
            (0..=three.len()).map(move |i| char::from(*LETTERS.get((word >> (18 - 6 * i) & 63) as usize).unwrap()));
        letters.collect::<String>()
    };
    // gRPC leaves the padding out.
    bytes.chunks(3).map(triple).collect()
}

#[test]
fn a_batch_arrives_byte_for_byte_as_a_call_of_otlp() {
    let server = server(|_| Outcome::ok());
    let config =
        json!({ "endpoint": server.url(), "headers": { "Authorization": "Bearer t0ken-t0ken", "tenant-bin": "AAE" } });
    let batch = sample_spans::order_and_payment();
    export(&create::<OtlpGrpc>(&config).unwrap(), &batch).unwrap();
    let calls = server.calls();
    let call = calls.first().unwrap();
    assert_eq!(call.path, "/opentelemetry.proto.collector.trace.v1.TraceService/Export");
    assert_eq!(call.message, sample_spans::bytes(&batch));
    assert_eq!(call.authority, server.address().to_string());
    let header = |name: &str| call.headers.get(name).map(|value| value.to_str().unwrap());
    assert_eq!((header("te"), header("content-type")), (Some("trailers"), Some("application/grpc")));
    assert_eq!((header("authorization"), header("tenant-bin")), (Some("Bearer t0ken-t0ken"), Some("AAE")));
    assert!(header("user-agent").unwrap().starts_with("tracer-resolver-otlp_grpc/"));
    assert_eq!(header("grpc-encoding"), None);
    let timeout: u32 = header("grpc-timeout").unwrap().strip_suffix('m').unwrap().parse().unwrap();
    assert!((1..=10_000).contains(&timeout), "{timeout}");
}

#[test]
fn metrics_are_a_call_of_their_own_on_the_same_connection_or_go_elsewhere() {
    let server = server(|_| Outcome::ok());
    let backend = backend_at(&server.url());
    export_two(&backend).unwrap();
    export_metrics(&backend, b"\x0a\x00", 1).unwrap();
    assert_eq!(server.calls()[1].path, "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export");
    assert_eq!(server.connections(), 1);
    let other = self::server(|_| Outcome::ok());
    let config = json!({ "endpoint": server.url(), "metrics_endpoint": other.url() });
    export_metrics(&create::<OtlpGrpc>(&config).unwrap(), b"\x0a\x00", 1).unwrap();
    assert_eq!((server.calls().len(), other.calls().len()), (2, 1));
}

#[test]
fn gzip_is_sent_and_read() {
    let response = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess { rejected_spans: 1, error_message: "too old".to_owned() }),
    };
    let message = response.encode_to_vec();
    let server = server(move |_| {
        Outcome::Answered(GrpcReply { message: Some(message.clone()), gzip: true, ..GrpcReply::default() })
    });
    let backend: OtlpGrpc = create(&json!({ "endpoint": server.url(), "compression": "gzip" })).unwrap();
    let error = export_two(&backend).unwrap_err();
    assert_eq!((error.kind(), error.rejected_items(), error.message()), (ErrorKind::Partial, 1, "too old"));
    assert_eq!(server.calls()[0].message, sample_spans::bytes(&sample_spans::order_and_payment()));
    assert_eq!(server.calls()[0].headers.get("grpc-encoding").unwrap(), "gzip");
    let stats = backend.stats().unwrap();
    assert_eq!((stats.items_sent, stats.items_rejected, stats.batches_sent), (1, 1, 1));
}

#[test]
fn every_status_of_grpc_is_what_the_specification_of_otlp_says_it_is() {
    use ErrorKind::{Credentials, Permanent, Retryable, Timeout};
    for (code, name, kind) in [
        (1, "CANCELLED", Retryable),
        (2, "UNKNOWN", Permanent),
        (3, "INVALID_ARGUMENT", Permanent),
        (4, "DEADLINE_EXCEEDED", Timeout),
        (5, "NOT_FOUND", Permanent),
        (6, "ALREADY_EXISTS", Permanent),
        (7, "PERMISSION_DENIED", Credentials),
        (8, "RESOURCE_EXHAUSTED", Permanent),
        (9, "FAILED_PRECONDITION", Permanent),
        (10, "ABORTED", Retryable),
        (11, "OUT_OF_RANGE", Retryable),
        (12, "UNIMPLEMENTED", Permanent),
        (13, "INTERNAL", Permanent),
        (14, "UNAVAILABLE", Retryable),
        (15, "DATA_LOSS", Retryable),
        (16, "UNAUTHENTICATED", Credentials),
        (99, "UNKNOWN", Permanent),
    ] {
        let error = verdict(Outcome::refused(code, "said%20so"));
        assert_eq!((error.kind(), error.retry_after()), (kind, None), "{error}");
        assert!(error.message().contains(name) && error.message().contains("said so"), "{error}");
        // In the trailers, behind a message.
        let error = verdict(Outcome::Answered(GrpcReply { message: Some(Vec::new()), code, ..GrpcReply::default() }));
        assert_eq!(error.kind(), kind, "{error}");
    }
}

#[test]
fn a_server_that_says_when_to_come_back_is_obeyed() {
    for code in [8, 14, 4] {
        let error = verdict(Outcome::Answered(GrpcReply { code, details: wait(7), ..GrpcReply::default() }));
        assert_eq!(error.retry_after(), Some(Duration::from_secs(7)), "{error}");
        assert_ne!(error.kind(), ErrorKind::Permanent, "{error}");
    }
    let error = verdict(Outcome::Answered(GrpcReply { code: 3, details: wait(7), ..GrpcReply::default() }));
    assert_eq!(error.kind(), ErrorKind::Permanent, "what is malformed stays so");
}

#[test]
fn a_header_of_ours_that_comes_back_is_not_repeated() {
    let server = server(|_| Outcome::refused(16, "no%20user%20for%20s3cret-token"));
    let config = json!({ "endpoint": server.url(), "headers": { "authorization": "Bearer s3cret-token" } });
    let error = export_two(&create(&config).unwrap()).unwrap_err();
    assert!(error.message().contains("no user for ***") && error.message().contains("`headers`"), "{error}");
}

#[test]
fn what_is_not_handled_goes_again_and_what_is_answered_does_not() {
    for outcome in [Outcome::GoesAway(Reason::NO_ERROR), Outcome::HangsUp, Outcome::Reset(Reason::REFUSED_STREAM)] {
        // On a connection that is new it is the host that tries again.
        let error = verdict(outcome.clone());
        assert_eq!(error.kind(), ErrorKind::Retryable, "{outcome:?}: {error}");
    }
    let error = verdict(Outcome::Reset(Reason::INTERNAL_ERROR));
    assert!(error.kind() == ErrorKind::Retryable && error.message().contains("RST_STREAM, INTERNAL_ERROR"), "{error}");
    let error = verdict(Outcome::GoesAway(Reason::ENHANCE_YOUR_CALM));
    assert!(error.message().contains("GOAWAY, ENHANCE_YOUR_CALM"), "{error}");
    assert_eq!(verdict(Outcome::NoStatus).kind(), ErrorKind::Retryable);
}

#[test]
fn a_connection_that_was_kept_and_is_gone_is_no_failure() {
    let second = |outcome: Outcome| {
        let calls = AtomicUsize::new(0);
        server(move |_| if calls.fetch_add(1, Ordering::SeqCst) == 1 { outcome.clone() } else { Outcome::ok() })
    };
    for outcome in [Outcome::HangsUp, Outcome::GoesAway(Reason::NO_ERROR)] {
        let server = second(outcome);
        let backend = backend_at(&server.url());
        export_two(&backend).unwrap();
        export_two(&backend).unwrap();
        assert_eq!((server.connections(), backend.stats().unwrap().reconnects), (2, 1));
    }
    // What was said of this call alone is an answer, and the connection lives.
    let server = second(Outcome::Reset(Reason::CANCEL));
    let backend = backend_at(&server.url());
    export_two(&backend).unwrap();
    export_two(&backend).unwrap_err();
    export_two(&backend).unwrap();
    assert_eq!(server.connections(), 1);
}

#[test]
fn a_server_that_says_goodbye_between_two_batches_is_connected_to_anew() {
    let server = only_the_first(Outcome::LastOne);
    let backend = backend_at(&server.url());
    for _ in 0..3 {
        export_two(&backend).unwrap();
    }
    assert_eq!((server.calls().len(), server.connections()), (3, 2));
}

#[test]
fn batches_one_after_the_other_have_one_connection() {
    let server = server(|_| Outcome::ok());
    let backend = backend_at(&server.url());
    for _ in 0..50 {
        export_two(&backend).unwrap();
    }
    assert_eq!((server.calls().len(), server.connections()), (50, 1));
}

#[test]
fn batches_at_the_same_time_have_connections_of_their_own_which_are_kept() {
    let together = Arc::new(Barrier::new(4));
    let server = server(|_| Outcome::ok());
    server.delay(Duration::from_millis(100));
    let args = CreateArgs { max_concurrency: 4, ..CreateArgs::detached("tested", "") };
    let config = json!({ "endpoint": server.url() }).to_string();
    let backend = OtlpGrpc::create(&CreateArgs { config_json: &config, ..args }).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                together.wait();
                for _ in 0..5 {
                    export_two(&backend).unwrap();
                }
            });
        }
    });
    assert_eq!(server.calls().len(), 20);
    assert!(server.connections() <= 4, "{}", server.connections());
}

#[test]
fn a_large_batch_passes_through_small_windows() {
    let server = server(|_| Outcome::ok());
    server.window(1000);
    let batch = sample_spans::many("orders", 20_000);
    export(&backend_at(&server.url()), &batch).unwrap();
    assert!(server.calls()[0].message == sample_spans::bytes(&batch), "the bytes differ");
}

#[test]
fn a_batch_that_is_too_large_goes_in_halves_and_the_limit_is_remembered() {
    for (code, words) in [
        (8, "grpc: received message larger than max (30000 vs. 4000)"),
        (8, "gRPC message exceeds maximum size 4000: 30000"),
        (11, "Error, decoded message length too large: found 30000 bytes, the limit is: 4000 bytes"),
        (8, "Received message exceeds the maximum configured message size."),
    ] {
        let server =
            server(move |call| if call.message.len() > 4000 { Outcome::refused(code, words) } else { Outcome::ok() });
        let backend = backend_at(&server.url());
        let batch = sample_spans::many("orders", 400);
        export(&backend, &batch).unwrap();
        let taken = |server: &GrpcServer| -> usize {
            let calls = server.calls().into_iter().filter(|call| call.message.len() <= 4000);
            let batches = calls.map(|call| ExportTraceServiceRequest::decode(&*call.message).unwrap());
            batches.map(|batch| sample_spans::count(&batch) as usize).sum()
        };
        assert_eq!(taken(&server), 400, "{words}");
        let calls = server.calls().len();
        export(&backend, &batch).unwrap();
        let again = &server.calls()[calls..];
        assert!(again.iter().all(|call| call.message.len() <= 4000), "{words}");
    }
}

#[test]
fn of_a_batch_in_parts_another_try_sends_what_was_not_taken_and_nothing_else() {
    let small = AtomicUsize::new(0);
    let server = server(move |call| match call.message.len() {
        4001.. => Outcome::refused(8, "grpc: received message larger than max"),
        _ if small.fetch_add(1, Ordering::SeqCst) == 2 => Outcome::refused(16, "expired"),
        _ => Outcome::ok(),
    });
    let (request, first) = (sample_spans::many("orders", 400), backend_at(&server.url()));
    let body = sample_spans::bytes(&request);
    let batch = Batch::first_try(Signal::Traces, &body, 400, 1);
    let error = first.export(&batch, LIMIT).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Credentials, "{error}");
    // With other credentials it is another instance that gets it.
    let again = Batch { attempt: 2, retry_cookie: error.retry_cookie(), ..batch };
    backend_at(&server.url()).export(&again, LIMIT).unwrap();
    let mut calls: Vec<_> = server.calls().into_iter().filter(|call| call.message.len() <= 4000).collect();
    calls.remove(2);
    let taken = calls.iter().map(|call| ExportTraceServiceRequest::decode(&*call.message).unwrap());
    let taken: Vec<_> = taken.flat_map(|part| part.resource_spans[0].scope_spans[0].spans.clone()).collect();
    assert_eq!(taken, request.resource_spans[0].scope_spans[0].spans);
}

#[test]
fn a_server_that_never_answers_is_given_up_in_time() {
    let server = server(|_| Outcome::Silence);
    let mute = TcpListener::bind("127.0.0.1:0").unwrap();
    for url in [server.url(), format!("http://{}", mute.local_addr().unwrap())] {
        for scheme in ["http", "https"] {
            let backend = backend_at(&url.replacen("http", scheme, 1));
            let started = Instant::now();
            let bytes = sample_spans::bytes(&sample_spans::order_and_payment());
            let error = export_bytes(&backend, &bytes, 2, Duration::from_millis(300)).unwrap_err();
            let is_late = started.elapsed() > Duration::from_secs(5);
            // What speaks no TLS says so at once, which is no time-out.
            let is_plain = scheme == "https" && url == server.url();
            assert!(is_plain || error.kind() == ErrorKind::Timeout, "{scheme}: {error}");
            assert!(!is_late, "{scheme}: {:?}", started.elapsed());
        }
    }
}

#[test]
fn the_settings_own_limit_counts_too() {
    let server = server(|_| Outcome::Silence);
    let backend: OtlpGrpc = create(&json!({ "endpoint": server.url(), "timeout": "200ms" })).unwrap();
    assert_eq!(export_two(&backend).unwrap_err().kind(), ErrorKind::Timeout);
}

#[test]
fn a_server_that_stops_in_the_middle_of_a_call_is_worth_another_try() {
    let mut server = server(|_| Outcome::Silence);
    let backend = backend_at(&server.url());
    std::thread::scope(|scope| {
        let call = scope.spawn(|| export_two(&backend));
        let started = Instant::now();
        while server.calls().is_empty() && started.elapsed() < LIMIT {
            std::thread::sleep(Duration::from_millis(5));
        }
        server.stop();
        let error = call.join().unwrap().unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    });
    let error = export_two(&backend).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && error.message().contains("refused"), "{error}");
}

#[test]
fn whoever_answers_in_another_protocol_is_named() {
    for (said, words) in [
        (&b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n"[..], "plugin = \"otlp\""),
        (b"\x15\x03\x01\x00\x02\x02\x46", "https:// in place of http://"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "SSH-2.0-OpenSSH_9.2"),
        (b"", "want https://?"),
    ] {
        let error = export_two(&backend_at(&stranger(said))).unwrap_err();
        assert!(error.kind() == ErrorKind::Retryable && error.message().contains(words), "{said:?}: {error}");
    }
    let http = HttpServer::start(|_| Reply::status(200)).unwrap();
    let error = export_two(&backend_at(&http.url())).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && !error.message().is_empty(), "{error}");
    // TLS, to what speaks gRPC without it.
    let plain = server(|_| Outcome::ok());
    let error = export_two(&backend_at(&plain.url().replace("http", "https"))).unwrap_err();
    assert!(error.message().contains("does not speak TLS: http:// in place of https://"), "{error}");
}

#[test]
fn an_answer_in_http_alone_counts_as_grpc_s_table_has_it() {
    for (status, kind) in [
        (200, ErrorKind::Permanent),
        (400, ErrorKind::Permanent),
        (401, ErrorKind::Credentials),
        (403, ErrorKind::Credentials),
        (404, ErrorKind::Permanent),
        (429, ErrorKind::Retryable),
        (500, ErrorKind::Permanent),
        (502, ErrorKind::Retryable),
        (503, ErrorKind::Retryable),
        (504, ErrorKind::Retryable),
    ] {
        let error = verdict(Outcome::Http(status, "text/html", "<p>not\nhere"));
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.message().contains("not in gRPC") && error.message().contains("<p>not here"), "{error}");
    }
}

#[test]
fn an_answer_without_end_is_not_read_to_its_end() {
    let long = vec![0; 200_000];
    let answer = Outcome::Answered(GrpcReply { message: Some(long), ..GrpcReply::default() });
    assert!(verdict(answer).message().contains("too long"));
}

#[test]
fn a_name_that_nobody_has_and_a_port_where_nobody_listens_are_worth_another_try() {
    for (url, words) in [("http://nobody.invalid:4317", "the host's name is not known"), (&*closed_port(), "refused")] {
        let error = export_two(&backend_at(url)).unwrap_err();
        assert!(error.kind() == ErrorKind::Retryable && error.message().contains(words), "{error}");
        assert!(error.message().starts_with(url), "{error}");
    }
}

fn closed_port() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

#[test]
fn a_socket_of_this_machine_is_an_address_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("otel.sock");
    let config = json!({ "endpoint": format!("unix://{}", path.display()) });
    let backend: OtlpGrpc = create(&config).unwrap();
    let error = export_two(&backend).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && error.message().contains("No such file"), "{error}");
    let server = server(|_| Outcome::ok());
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let address = server.address();
    std::thread::spawn(move || {
        for near in listener.incoming() {
            relay(near.unwrap().into(), address);
        }
    });
    export_two(&backend).unwrap();
    assert_eq!(server.calls()[0].authority, "localhost");
}

/// Hands the bytes of a connection on, in both directions.
fn relay(near: std::os::fd::OwnedFd, to: std::net::SocketAddr) {
    let far = TcpStream::connect(to).unwrap();
    let near = std::fs::File::from(near);
    let pairs: [(Box<dyn Read + Send>, Box<dyn Write + Send>); 2] =
        [(Box::new(near.try_clone().unwrap()), Box::new(far.try_clone().unwrap())), (Box::new(far), Box::new(near))];
    for (mut from, mut to) in pairs {
        std::thread::spawn(move || std::io::copy(&mut from, &mut to));
    }
}

/// A proxy that answers CONNECT so, and hands on if that is a yes; and what it was asked.
fn proxy(answer: &'static str, to: std::net::SocketAddr) -> (u16, std::sync::mpsc::Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, asked) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for socket in listener.incoming() {
            let mut socket = socket.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                socket.read_exact(&mut byte).unwrap();
                head.extend(byte);
            }
            sender.send(String::from_utf8(head).unwrap()).unwrap();
            socket.write_all(answer.as_bytes()).unwrap();
            if answer.contains(" 200 ") {
                relay(socket.into(), to);
            }
        }
    });
    (port, asked)
}

fn through(port: u16, endpoint: &str) -> Value {
    json!({ "endpoint": endpoint, "proxy": format!("http://me:s3cret%21@127.0.0.1:{port}") })
}

#[test]
fn a_proxy_is_asked_for_the_way_and_is_named_where_it_refuses() {
    let server = server(|_| Outcome::ok());
    let (port, asked) = proxy("HTTP/1.1 200 Connection established\r\nx: y\r\n\r\n", server.address());
    export_two(&create(&through(port, "http://collector.example:4317")).unwrap()).unwrap();
    let question = asked.recv_timeout(LIMIT).unwrap();
    assert!(question.starts_with("CONNECT collector.example:4317 HTTP/1.1\r\n"), "{question}");
    assert!(question.contains(&format!("Proxy-Authorization: Basic {}", base64(b"me:s3cret!"))), "{question}");
    assert_eq!(server.calls()[0].authority, "collector.example:4317");

    let (port, _asked) = proxy("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", server.address());
    let error = export_two(&create(&through(port, "http://collector.example:4317")).unwrap()).unwrap_err();
    let expected = format!("the proxy 127.0.0.1:{port} (`proxy`), on the way to http://collector.example:4317");
    assert!(error.kind() == ErrorKind::Retryable && error.message().starts_with(&expected), "{error}");
    assert!(error.message().contains("407") && !error.message().contains("s3cret"), "{error}");
    let (port, _asked) = proxy("", server.address());
    let error = export_two(&create(&through(port, "http://collector.example:4317")).unwrap()).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && error.message().starts_with("the proxy"), "{error}");
}

#[test]
fn a_forked_child_connects_by_itself() {
    const NAME: &str = "a_forked_child_connects_by_itself";
    let Some(url) = std::env::var("GRPC_SERVER").ok().filter(|_| is_child()) else {
        let server = server(|_| Outcome::ok());
        run(child(NAME).env("GRPC_SERVER", server.url()));
        assert_eq!(server.connections(), 2, "the child's instance has a connection of its own");
        assert_eq!(server.span_names().len(), 6);
        return;
    };
    let backend = backend_at(&url);
    export_two(&backend).unwrap();
    // SAFETY: the child exports by an instance of its own, as the contract has it, and ends.
    match unsafe { libc::fork() } {
        0 => {
            let is_out = export_two(&backend_at(&url)).is_ok();
            // SAFETY: ends the child at once, without what belongs to its parent.
            unsafe { libc::_exit(i32::from(!is_out)) }
        }
        pid => {
            let mut status = -1;
            // SAFETY: `status` is ours, and the child is.
            unsafe { libc::waitpid(pid, &raw mut status, 0) };
            assert_eq!(status, 0);
            export_two(&backend).unwrap();
        }
    }
}

#[test]
fn the_plugin_exports_its_entry_point_and_nothing_else() {
    assert_eq!(exported_symbols("otlp_grpc"), ["tracer_plugin_v1"]);
}

/// Without the look at the socket in `plugins/kit/src/own_descriptor.rs` the program's peer gets a request.
#[test]
fn a_program_that_closes_the_socket_and_opens_one_of_its_own_gets_no_request_on_it() {
    let name = "a_program_that_closes_the_socket_and_opens_one_of_its_own_gets_no_request_on_it";
    if is_child() {
        let backend = backend_at(&child::given("COLLECTOR"));
        export_two(&backend).unwrap();
        let programs = child::take_over_sockets();
        assert_eq!(programs.len(), 1);
        export_two(&backend).unwrap();
        programs.into_iter().for_each(child::ProgramsSocket::assert_untouched);
        let programs = child::take_over_sockets();
        drop(backend);
        programs.into_iter().for_each(child::ProgramsSocket::assert_untouched);
        return;
    }
    let server = server(|_| Outcome::ok());
    run(child(name).env("COLLECTOR", server.url())).expect_success();
    assert_eq!(server.calls().len(), 2);
}
