//! A backend trusts whom the configuration names and nobody else, and shows its own certificate where it has one.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use rustls::{ServerConnection, StreamOwned};
use tracer_plugin_api::{BackendError, ErrorKind};
use tracer_plugin_otlp::Otlp;
use tracer_resolver_references::Authority;
use words::receivers::{HttpServer, Reply};
use words::{backend, sample_spans};

/// A collector with our certificate; it wants one of ours in return if `clients_too`.
fn collector(authority: &Authority, clients_too: bool) -> HttpServer {
    let config = authority.server(clients_too);
    let accept = move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
        Ok(Box::new(StreamOwned::new(connection, stream)) as Box<_>)
    };
    HttpServer::start_with(0, accept, |_| Reply::status(200)).unwrap()
}

fn config(collector: &HttpServer, host: &str, tls: &serde_json::Value) -> serde_json::Value {
    let endpoint = format!("https://{host}:{}", collector.address().port());
    serde_json::json!({"endpoint": endpoint, "tls": tls})
}

fn export(config: &serde_json::Value) -> Result<(), BackendError> {
    backend::export(&backend::create::<Otlp>(config)?, &sample_spans::many("orders", 1))
}

fn assert_not_trusted(result: Result<(), BackendError>, collector: &HttpServer, way_out: &str) {
    let error = result.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    assert!(error.message().contains("no trusted connection") && error.message().contains(way_out), "{error}");
    assert!(collector.requests().is_empty(), "a batch went to somebody who is not trusted");
}

#[test]
fn a_collector_of_the_named_authority_is_trusted() {
    let authority = Authority::new();
    let collector = collector(&authority, false);
    export(&config(&collector, "localhost", &serde_json::json!({"ca_file": authority.file("ca.pem")}))).unwrap();
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn a_collector_of_another_authority_is_not() {
    let authority = Authority::new();
    let collector = collector(&authority, false);
    let other = Authority::new();
    let result = export(&config(&collector, "localhost", &serde_json::json!({"ca_file": other.file("ca.pem")})));
    assert_not_trusted(result, &collector, "tls.ca_file");
}

#[test]
fn without_a_named_authority_only_public_ones_are_trusted() {
    let authority = Authority::new();
    let collector = collector(&authority, false);
    let result = export(&config(&collector, "localhost", &serde_json::json!({})));
    assert_not_trusted(result, &collector, "tls.ca_file");
}

#[test]
fn a_collector_under_another_name_than_its_certificates_is_not_trusted() {
    let authority = Authority::new();
    let collector = collector(&authority, false);
    let result = export(&config(&collector, "127.0.0.1", &serde_json::json!({"ca_file": authority.file("ca.pem")})));
    assert_not_trusted(result, &collector, "write one of its names into `endpoint`");
}

#[test]
fn our_own_certificate_is_shown_to_a_collector_that_asks() {
    let authority = Authority::new();
    let collector = collector(&authority, true);
    let nobody = serde_json::json!({"ca_file": authority.file("ca.pem")});
    let error = export(&config(&collector, "localhost", &nobody)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    assert!(error.message().contains("wants a certificate of ours: see `tls.cert_file`"), "{error}");
    assert!(!error.message().contains("ca_file"), "{error}");
    assert!(collector.requests().is_empty());
    let us = serde_json::json!({
        "ca_file": authority.file("ca.pem"), "cert_file": authority.file("client.pem"), "key_file": authority.file("client.key"),
    });
    export(&config(&collector, "localhost", &us)).unwrap();
    assert_eq!(collector.requests().len(), 1);
}

#[test]
fn a_certificate_of_ours_that_the_collector_does_not_take_is_what_the_message_names() {
    let authority = Authority::new();
    let collector = collector(&authority, true);
    let other = Authority::new();
    let tls = serde_json::json!({
        "ca_file": authority.file("ca.pem"), "cert_file": other.file("client.pem"), "key_file": other.file("client.key"),
    });
    let error = export(&config(&collector, "localhost", &tls)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    assert!(error.message().contains("does not take our certificate: see `tls.cert_file`"), "{error}");
}

#[test]
fn http_where_tls_is_spoken_and_tls_where_http_is_are_told_apart() {
    let authority = Authority::new();
    let collector = collector(&authority, false);
    let plain = serde_json::json!({"endpoint": format!("http://localhost:{}", collector.address().port())});
    let error = export(&plain).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
    assert!(error.message().contains("speaks TLS: https:// in place of http://"), "{error}");
    // One that says in HTTP that it understands nothing, and one that just closes.
    for (said, word) in
        [("HTTP/1.0 400 Bad Request\r\n\r\n", "does not speak TLS: http:// in place of"), ("", "does it speak TLS?")]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = serde_json::json!({"endpoint": format!("https://localhost:{port}")});
        let server = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let _hello = connection.read(&mut [0; 4096]).unwrap();
            connection.write_all(said.as_bytes()).unwrap();
        });
        let error = export(&tls).unwrap_err();
        server.join().unwrap();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
        assert!(error.message().contains(word), "{error}");
    }
}

fn complaint(tls: &serde_json::Value) -> (String, String) {
    let config = serde_json::json!({"endpoint": "https://localhost", "tls": tls});
    let error = backend::create::<Otlp>(&config).map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    (error.pointer().to_owned(), error.message().to_owned())
}

#[test]
fn a_file_that_cannot_be_used_is_named_when_the_backend_is_created() {
    let authority = Authority::new();
    std::fs::write(authority.file("empty.pem"), "").unwrap();
    std::fs::write(authority.file("garbage.pem"), "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        .unwrap();
    let files = [
        Path::new("/does/not/exist.pem"),
        Path::new("/"),
        &authority.file("empty.pem"),
        &authority.file("garbage.pem"),
    ];
    for file in files {
        let (field, message) = complaint(&serde_json::json!({"ca_file": file}));
        assert_eq!(field, "/tls/ca_file");
        assert!(message.starts_with(&format!("{} cannot be used: ", file.display())), "{message}");
    }
}

#[test]
fn only_a_file_is_read() {
    // A device such as /dev/zero would never end.
    let (_, message) = complaint(&serde_json::json!({"ca_file": "/dev/null"}));
    assert!(message.contains("not a file"), "{message}");
}

#[test]
fn a_key_that_does_not_fit_its_certificate_is_refused() {
    let authority = Authority::new();
    let certificate = authority.file("client.pem");
    let (field, message) =
        complaint(&serde_json::json!({"cert_file": certificate, "key_file": authority.file("server.key")}));
    assert_eq!(field, "/tls/key_file", "{message}");
    let (field, message) =
        complaint(&serde_json::json!({"cert_file": certificate, "key_file": authority.file("client.pem")}));
    assert_eq!(field, "/tls/key_file");
    assert!(message.contains("no private key"), "{message}");
}

#[test]
fn the_schema_and_the_plugin_think_alike() {
    tracer_resolver_references::assert_alike_by_http::<Otlp>(&[
        serde_json::json!({"endpoint": "http://[::1]:4318"}),
        serde_json::json!({"endpoint": "collector:4318"}),
        serde_json::json!({"traces_endpoint": "http://h/in"}),
        serde_json::json!({"endpoint": "http://h", "traces_endpoint": "http://h/in"}),
    ]);
}
