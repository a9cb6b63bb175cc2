//! What the backends of tracer-resolver that speak HTTP share.
//!
//! - [`HttpSettings`]: the keys every HTTP backend has, and their JSON Schema ([`http_schema_properties!`]);
//! - [`HttpClient`]: one POST, told apart as done, worth another try, or refused; or as many as a batch needs;
//! - [`OtlpSender`]: OTLP on top of it, for `otlp` and `jaeger`, or on top of another [`Carrier`], for `otlp_grpc`;
//! - for that one, which makes its connections itself: [`client_config`], [`untrusted`], [`gzip`].
//!
//! What is sent where is decided by the configuration alone: no redirect is followed, no proxy is taken from the
//! environment, no credential is accepted in an address, and no header value is ever printed.

#![forbid(unsafe_code)]

mod address;
mod addresses;
mod carrier;
mod client;
mod connection;
mod endpoint;
mod failure;
mod headers;
mod otlp;
mod parts;
mod proxy;
mod retry_after;
mod schema;
mod settings;
mod tcp;
mod tls;
mod tls_failure;

pub use carrier::{Answer, Carrier, Largest};
pub use client::{HttpClient, gzip};
pub use endpoint::Endpoint;
pub use failure::{Failure, printable};
pub use headers::Headers;
pub use otlp::OtlpSender;
pub use proxy::ProxyUrl;
pub use settings::{Compression, HttpSettings, SECRETS};
pub use tls::client_config;
pub use tls_failure::untrusted;
pub use tracer_plugin_kit::TlsSettings;
#[doc(hidden)] // For `http_schema_properties!`.
pub use tracer_plugin_kit::{timeout_schema_property, tls_schema_property};
