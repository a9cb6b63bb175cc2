//! The backend for gRPC trusts whom the configuration names and nobody else, and shows its own certificate where it has one.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::sync::Arc;

use rustls::{ServerConfig, ServerConnection, StreamOwned};
use tokio_rustls::TlsAcceptor;
use tracer_plugin_api::{BackendError, ErrorKind};
use tracer_plugin_otlp_grpc::OtlpGrpc;
use tracer_resolver_references::{Accepting, Authority, Duplex, GrpcServer, Outcome};
use words::receivers::{HttpServer, Reply};
use words::{backend, sample_spans};

/// A collector that agrees in the handshake on one of these protocols, if there are any.
fn grpc_collector(authority: &Authority, clients_too: bool, protocols: &[&[u8]]) -> GrpcServer {
    let mut config = ServerConfig::clone(&authority.server(clients_too));
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let accept = move |socket| -> Accepting {
        let encrypted = acceptor.accept(socket);
        Box::pin(async move { Ok(Box::new(encrypted.await?) as Box<dyn Duplex>) })
    };
    GrpcServer::start_with(Box::new(accept), |_| Outcome::ok()).unwrap()
}

/// One for OTLP over HTTP/1.
fn http_collector(authority: &Authority) -> HttpServer {
    let config = authority.server(false);
    let accept = move |stream| {
        let connection = ServerConnection::new(Arc::clone(&config)).map_err(std::io::Error::other)?;
        Ok(Box::new(StreamOwned::new(connection, stream)) as Box<_>)
    };
    HttpServer::start_with(0, accept, |_| Reply::status(200)).unwrap()
}

/// One span by gRPC to `host` and the port of `collector`.
fn export_by_grpc(collector: &GrpcServer, host: &str, tls: &serde_json::Value) -> Result<(), BackendError> {
    let endpoint = format!("https://{host}:{}", collector.address().port());
    let config = serde_json::json!({"endpoint": endpoint, "tls": tls});
    backend::export(&backend::create::<OtlpGrpc>(&config)?, &sample_spans::many("orders", 1))
}

#[test]
fn by_grpc_a_collector_of_the_named_authority_is_trusted_and_no_other() {
    let (authority, other) = (Authority::new(), Authority::new());
    let collector = grpc_collector(&authority, false, &[b"h2"]);
    export_by_grpc(&collector, "localhost", &serde_json::json!({"ca_file": authority.file("ca.pem")})).unwrap();
    assert_eq!(collector.calls().len(), 1);
    for (host, tls, way_out) in [
        ("localhost", serde_json::json!({"ca_file": other.file("ca.pem")}), "tls.ca_file"),
        ("localhost", serde_json::json!({}), "tls.ca_file"),
        (
            "127.0.0.1",
            serde_json::json!({"ca_file": authority.file("ca.pem")}),
            "write one of its names into `endpoint`",
        ),
    ] {
        let error = export_by_grpc(&collector, host, &tls).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
        assert!(error.message().contains("no trusted connection") && error.message().contains(way_out), "{error}");
    }
    assert_eq!(collector.calls().len(), 1, "a batch went to somebody who is not trusted");
}

#[test]
fn by_grpc_our_own_certificate_is_shown_to_a_collector_that_asks() {
    let (authority, other) = (Authority::new(), Authority::new());
    let collector = grpc_collector(&authority, true, &[b"h2"]);
    let tls = |of: &Authority| {
        let (cert, key) = (of.file("client.pem"), of.file("client.key"));
        serde_json::json!({"ca_file": authority.file("ca.pem"), "cert_file": cert, "key_file": key})
    };
    export_by_grpc(&collector, "localhost", &tls(&authority)).unwrap();
    let nobody = serde_json::json!({"ca_file": authority.file("ca.pem")});
    for (tls, way_out) in [
        (nobody, "wants a certificate of ours: see `tls.cert_file`"),
        (tls(&other), "does not take our certificate: see `tls.cert_file`"),
    ] {
        let error = export_by_grpc(&collector, "localhost", &tls).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Retryable, "{error}");
        assert!(error.message().contains(way_out), "{error}");
    }
    assert_eq!(collector.calls().len(), 1);
}

#[test]
fn by_grpc_what_speaks_something_else_inside_tls_is_named() {
    let authority = Authority::new();
    let tls = serde_json::json!({"ca_file": authority.file("ca.pem")});
    let http_1 = grpc_collector(&authority, false, &[b"http/1.1"]);
    let error = export_by_grpc(&http_1, "localhost", &tls).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && error.message().contains("plugin = \"otlp\""), "{error}");
    // One that agrees on nothing may speak it all the same.
    let silent = grpc_collector(&authority, false, &[]);
    export_by_grpc(&silent, "localhost", &tls).unwrap();
    // HTTP/1 without such an agreement; and gRPC without TLS, where TLS is spoken.
    let old = http_collector(&authority);
    let config = serde_json::json!({"endpoint": format!("https://localhost:{}", old.address().port()), "tls": tls});
    let export = |config| backend::export(&backend::create::<OtlpGrpc>(&config).unwrap(), &sample_spans::many("o", 1));
    let error = export(config).unwrap_err();
    assert!(error.kind() == ErrorKind::Retryable && !error.message().is_empty(), "{error}");
    let plain = serde_json::json!({"endpoint": format!("http://localhost:{}", silent.address().port())});
    let error = export(plain).unwrap_err();
    assert!(
        error.kind() == ErrorKind::Retryable && error.message().contains("https:// in place of http://"),
        "{error}"
    );
}

#[test]
fn by_grpc_a_large_batch_passes_through_tls() {
    let authority = Authority::new();
    let collector = grpc_collector(&authority, false, &[b"h2"]);
    collector.window(5000);
    let tls = serde_json::json!({"ca_file": authority.file("ca.pem")});
    let endpoint = format!("https://localhost:{}", collector.address().port());
    let backend: OtlpGrpc = backend::create(&serde_json::json!({"endpoint": endpoint, "tls": tls})).unwrap();
    let batch = sample_spans::many("orders", 20_000);
    for _ in 0..2 {
        backend::export(&backend, &batch).unwrap();
    }
    assert!(collector.calls().iter().all(|call| call.message == sample_spans::bytes(&batch)), "the bytes differ");
    assert_eq!(collector.connections(), 1);
}

#[test]
fn by_grpc_the_schema_and_the_plugin_think_alike() {
    tracer_resolver_references::assert_alike_by_http::<OtlpGrpc>(&[
        serde_json::json!({"endpoint": "http://[::1]:4317", "metrics_endpoint": "https://m:4317"}),
        serde_json::json!({"endpoint": "unix:///run/otel.sock"}),
        serde_json::json!({"endpoint": "collector:4317"}),
        serde_json::json!({"metrics_endpoint": "grpc://m:4317"}),
        serde_json::json!({"traces_endpoint": "http://h:4317"}),
    ]);
}
