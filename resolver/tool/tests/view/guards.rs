//! What anybody may send to the ports.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use words::sample_spans;

use crate::running::{Running, ask, head, line, post};

const JSON: &str = "Content-Type: application/json";
const PROTOBUF: &str = "Content-Type: application/x-protobuf";
const GZIP: &str = "Content-Encoding: gzip";

/// A page of three files; what they say does not matter here.
fn with_page(words: &[&str]) -> (Running, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    for name in ["index.html", "app.js", "app.css"] {
        std::fs::write(folder.path().join(name), name).unwrap();
    }
    std::fs::write(folder.path().join("secret"), "secret").unwrap();
    let page = folder.path().to_str().unwrap().to_owned();
    (Running::start(&[words, &["--web", "127.0.0.1:0", "--page", &page]].concat()), folder)
}

fn zipped(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const SPANS: &str = "resolver/tool/tests/view/spans.jsonl";

#[test]
fn spans_are_taken_as_protobuf_and_as_json_with_gzip_and_without() {
    let running = Running::start(&["--listen", "127.0.0.1:0"]);
    let address = running.address();
    let protobuf = sample_spans::bytes(&sample_spans::order_and_payment());
    let (status, answer) = post(&address, &[PROTOBUF], &protobuf);
    assert!(status == 200 && answer.contains("content-type: application/x-protobuf"), "{answer}");
    assert_eq!(post(&address, &[PROTOBUF, GZIP], &zipped(&protobuf)).0, 200);
    assert_eq!(post(&address, &[PROTOBUF], b"").0, 200, "a batch of nothing");
    for (name, lines) in [("one", &["Content-Type: application/json; charset=utf-8"][..]), ("three", &[JSON, GZIP])] {
        let body = if lines.len() > 1 { zipped(line(name).as_bytes()) } else { line(name).into_bytes() };
        let (status, answer) = post(&address, lines, &body);
        assert!(status == 200 && answer.ends_with("\r\n\r\n{}"), "{answer}");
    }
    let no_ids = br#"{"resourceSpans":[{"scopeSpans":[{"spans":[{"name":"x"}]}]}]}"#;
    let (status, answer) = post(&address, &[JSON], no_ids);
    assert!(status == 200 && answer.contains("\"rejectedSpans\":\"1\""), "{answer}");
    running.says("unknown_service: one ");
    running.says("unknown_service: three ");
    // What was sent twice is there once.
    running.says("orders: send orders ");
    assert!(running.says("s ").starts_with("  payments: process orders "));
}

#[test]
fn what_is_no_batch_is_refused_with_the_reason_and_the_port_goes_on() {
    let running = Running::start(&["--listen", "127.0.0.1:0"]);
    let address = running.address();
    let bomb = zipped(&vec![b' '; 80 << 20]);
    assert!(bomb.len() < 1 << 20);
    for (lines, body, status, says) in [
        (&[JSON][..], &b"{\"resourceLogs\":[]}"[..], 400, "without resourceSpans"),
        (&[PROTOBUF], b"\xff\xff\xff", 400, "not an OTLP request"),
        (&[PROTOBUF, GZIP], b"no gzip", 400, "no gzip"),
        (&[JSON, GZIP], &bomb, 413, "16 MiB"),
        (&[JSON], &vec![b' '; 17 << 20], 413, "16 MiB"),
        (&["Content-Type: text/plain"], b"{}", 415, "text/plain"),
        (&[JSON, "Content-Encoding: br"], b"{}", 415, "br"),
        // A page in a browser that sends to whoever listens here.
        (&[JSON, "Origin: http://evil.example"], b"{}", 403, "browser"),
    ] {
        let (got, answer) = post(&address, lines, body);
        assert!(got == status && answer.contains(says), "{lines:?}: {answer}");
    }
    for (method, path, status) in [("GET", "/v1/traces", 405), ("POST", "/v1/logs", 404), ("POST", "/", 404)] {
        assert_eq!(ask(&address, &head(method, path, &["Host: a", "Content-Length: 0"])).0, status, "{method} {path}");
    }
    // gRPC, which some exporters speak by default; and no HTTP at all.
    for strange in [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\x16\x03\x01", &[b'x'; 100_000]] {
        let mut stream = TcpStream::connect(&address).unwrap();
        let _ = stream.write_all(strange);
        stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let _ = stream.read(&mut [0; 1024]);
    }
    assert_eq!(post(&address, &[JSON], line("after").as_bytes()).0, 200);
    running.says(": after ");
}

#[test]
fn an_exporter_that_speaks_grpc_is_told_of() {
    let running = Running::start(&["--listen", "127.0.0.1:0"]);
    ask(&running.address(), b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    running.says("as OTLP/gRPC does: let the exporter speak OTLP/HTTP (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)");
}

#[test]
fn the_page_is_for_whoever_asks_by_an_address_and_no_name_leads_to_it() {
    let (running, _folder) = with_page(&[SPANS]);
    let address = running.address();
    let port = address.split(':').nth(1).unwrap();
    let status = |lines: &[&str]| ask(&address, &head("GET", "/api/traces", lines)).0;
    assert_eq!(status(&[&format!("Host: {address}")]), 200);
    assert_eq!(status(&[&format!("Host: localhost:{port}")]), 200);
    for host in ["evil.example", "evil.example:80", "127.0.0.1.evil.example", "localhost.evil.example", ""] {
        assert_eq!(status(&[&format!("Host: {host}")]), 403, "{host:?}");
    }
    assert_eq!(status(&[]), 403);
    let absolute = head("GET", "http://evil.example/api/traces", &[&format!("Host: {address}")]);
    assert_eq!(ask(&address, &absolute).0, 403);
    assert_eq!(status(&[&format!("Host: {address}"), "Origin: http://evil.example"]), 403);
}

#[test]
fn the_page_s_port_gives_its_files_and_nothing_else_and_takes_nothing() {
    let (running, folder) = with_page(&[SPANS]);
    let address = running.address();
    let host = format!("Host: {address}");
    let get = |path: &str| ask(&address, &head("GET", path, &[&host]));
    for (path, holds) in [("/", "index.html"), ("/app.js", "app.js"), ("/app.css?x", "app.css")] {
        let (status, answer) = get(path);
        assert!(status == 200 && answer.ends_with(holds), "{path}: {answer}");
        for line in
            ["content-security-policy: default-src 'none'", "x-content-type-options: nosniff", "frame-ancestors 'none'"]
        {
            assert!(answer.contains(line), "{path}: {answer}");
        }
    }
    assert!(Path::new(folder.path()).join("secret").exists());
    for path in [
        "/secret",
        "/../secret",
        "/%2e%2e/secret",
        "/app.js/../secret",
        "//etc/passwd",
        "/api/trace/../../secret",
        "/v1/traces",
    ] {
        let (status, answer) = get(path);
        assert!(status == 404 && !answer.contains("secret\n"), "{path}: {answer}");
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"] {
        let (status, answer) = ask(&address, &head(method, "/api/traces", &[&host, "Content-Length: 0"]));
        assert!(status == 405 && answer.contains("allow: GET, HEAD"), "{method}: {answer}");
    }
    let answer = (0..600).find_map(|_| {
        std::thread::sleep(Duration::from_millis(100));
        let (status, answer) = get("/api/traces?errors=1&text=declined");
        (status == 200 && answer.contains("\"all\":3")).then_some(answer)
    });
    let answer = answer.unwrap();
    assert!(answer.contains("\"found\":1") && answer.contains("CardDeclined"), "{answer}");
}

#[test]
fn hundreds_of_connections_that_say_nothing_keep_nobody_out() {
    let (running, _folder) = with_page(&[SPANS]);
    let address = running.address();
    let silent: Vec<_> = (0..400).map(|_| TcpStream::connect(&address).unwrap()).collect();
    let slow: Vec<_> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(&address).unwrap();
            let _ = stream.write_all(b"GET /api/traces HT");
            stream
        })
        .collect();
    let host = format!("Host: {address}");
    assert_eq!(ask(&address, &head("GET", "/api/map", &[&host])).0, 200);
    drop((silent, slow));
}

#[test]
fn a_change_is_told_to_who_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("spans.jsonl");
    std::fs::write(&file, "").unwrap();
    let (running, _folder) = with_page(&[file.to_str().unwrap()]);
    let address = running.address();
    let host = format!("Host: {address}");
    let changes = |after: &str| ask(&address, &head("GET", &format!("/api/changes?after={after}"), &[&host])).1;
    assert!(changes("-1").ends_with("{\"version\":0}"));
    std::fs::write(&file, line("new")).unwrap();
    assert!(changes("0").ends_with("{\"version\":1}"));
    assert!(ask(&address, &head("GET", "/api/traces", &[&host])).1.contains("\"name\":\"new\""));
}
