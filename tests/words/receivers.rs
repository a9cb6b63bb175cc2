//! Small servers on loopback that speak the real protocols of the backends.
//!
//! ```text
//!   OtlpReceiver    HTTP: protobuf                                   ┐
//!   ZipkinReceiver  HTTP: JSON v2                                    ├──▶ ReceivedSpan
//!   JaegerReceiver  HTTP: OTLP, Thrift binary; UDP: Thrift compact   ┘
//! ```
//!
//! Each listens on a free port of 127.0.0.1, answers by itself, can be told to misbehave, and stops when it is dropped.
//! They share no code with the plugins: what they decode, they decode with other crates or with readers of their own.

mod http_server;
mod jaeger;
mod otlp;
mod otlp_faults;
mod received_span;
mod shelf;
mod thrift_reader;
mod zipkin;

pub use http_server::{HttpServer, Reply, Request, Stream};
pub use jaeger::JaegerReceiver;
pub use otlp::OtlpReceiver;
pub use shelf::Shelf;
pub use tracer_trace_tree::{ReceivedLink, ReceivedSpan};
pub use zipkin::ZipkinReceiver;
