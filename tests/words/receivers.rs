//! Small servers on loopback that speak the real protocols of the backends.
//!
//! ```text
//!   OtlpReceiver    HTTP: protobuf                                   ┐
//!   ZipkinReceiver  HTTP: JSON v2                                    ├──▶ ReceivedSpan
//!   JaegerReceiver  HTTP: OTLP, Thrift binary; UDP: Thrift compact   ┘
//! ```
//!
//! Each is a [`Receiver`], and a [`Protocol`] is all that another one would need.
//! They share no code with the plugins: what they decode, they decode with other crates or with readers of their own.

mod http_server;
mod jaeger;
mod otlp;
mod otlp_faults;
mod received_span;
mod receiver;
mod shelf;
mod thrift_reader;
mod zipkin;

pub use http_server::{HttpServer, Reply, Request, Stream};
pub use jaeger::{Jaeger, JaegerReceiver};
pub use otlp::{Otlp, OtlpReceiver};
pub use receiver::{Protocol, Receiver};
pub use shelf::Shelf;
pub use tracer_trace_tree::{ReceivedLink, ReceivedSpan};
pub use zipkin::{Zipkin, ZipkinReceiver};
