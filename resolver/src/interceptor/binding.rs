//! What `conf_init` leaves for `on_new`: which resolver a client will belong to, and by which way it comes.

#![forbid(unsafe_code)]

use std::sync::Arc;

use super::kafka_api::KafkaApi;
use crate::resolver::Shared;

/// By which way a client came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Integration {
    /// The `rdkafka` crate: consumed messages may be claimed by [`crate::Processing`], and a configuration whose client
    /// could not be created is never used, nor destroyed, again (`Client::new` in rdkafka's client.rs forgets it).
    Rust,
    /// `plugin.library.paths` of any librdkafka client: no guards, and a failed configuration may be used again.
    Plugin,
}

/// What `conf_init` leaves for `on_new`.
pub(super) struct Binding {
    pub api: &'static KafkaApi,
    pub resolver: Arc<Shared>,
    /// The service bound in code, as an index into the configuration's.
    pub service: Option<usize>,
    pub integration: Integration,
}
