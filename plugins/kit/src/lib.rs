//! What the backends of tracer-resolver share.
//!
//! - [`settings`]: a plugin's `config` read with errors that point at the offending field, values of secrets left out;
//! - [`Timeout`], [`ByteSize`]: values with units, written as in the rest of the file;
//! - [`TlsSettings`]: who is trusted, and who we are, and the files of that; the schemas of keys that several have;
//! - [`HostPort`]: a host and a port, strictly read; [`look_up`]: its addresses;
//! - [`OwnDescriptor`]: a file or a socket that is not used any more when its number has become another one's;
//! - [`Counters`]: the figures behind `Backend::stats`; [`Refused`]: what is not taken of one batch;
//! - [`take_apart`]: an OTLP request in smaller ones; [`fields`]: the few fields we need of other messages;
//! - `spans` (feature): reading OTLP batches, for the backends that speak another format.
//!
//! An author of a plugin outside this workspace needs none of it: the contract is `tracer-plugin-api` alone.

#![forbid(unsafe_code)]

mod byte_size;
mod counters;
mod host_port;
mod look_up;
mod otlp_parts;
mod own_descriptor;
mod protobuf_fields;
mod refused;
mod schema;
pub mod settings;
#[cfg(feature = "spans")]
pub mod spans;
mod timeout;
mod tls_settings;

pub use byte_size::ByteSize;
pub use counters::Counters;
pub use host_port::HostPort;
pub use look_up::look_up;
pub use otlp_parts::{Frames, Part, Placed, take_apart};
pub use own_descriptor::OwnDescriptor;
pub use protobuf_fields::{Field, fields, put_field};
pub use refused::Refused;
pub use timeout::Timeout;
pub use tls_settings::{Identity, TlsSettings, read_file, unusable};
