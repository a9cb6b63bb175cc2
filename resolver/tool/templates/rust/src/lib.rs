//! The backend plugin `@NAME@`: it counts what it is given, and says so in the application's log. Put what ships a batch
//! into `export`. What each function may do, and on which thread it runs, stands in
//! `tracer-plugin-api/include/tracer_plugin.h`.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Host, LogLevel, Stats, export_plugin};

/// One backend of a configuration.
pub struct Plugin {
    host: Host,
    items: AtomicU64,
    batches: AtomicU64,
}

impl Backend for Plugin {
    const TYPE_NAME: &'static str = "@NAME@";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const CONFIG_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false}"#;

    fn validate(_config_json: &str) -> Result<(), BackendError> {
        Ok(()) // The host has checked the schema; say here what a schema cannot.
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        Ok(Self { host: args.host.clone(), items: AtomicU64::new(0), batches: AtomicU64::new(0) })
    }

    /// Ships one batch within `timeout`. `BackendError::retryable` is tried again by the host, `permanent` is not;
    /// `credentials` is for a 401 or 403.
    fn export(&self, batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
        let line = format!("{} items in {} bytes", batch.item_count, batch.body.len());
        self.host.log(LogLevel::Debug, Self::TYPE_NAME, &line);
        self.items.fetch_add(batch.item_count.into(), Ordering::Relaxed);
        self.batches.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn stats(&self) -> Option<Stats> {
        let (items_sent, batches_sent) = (self.items.load(Ordering::Relaxed), self.batches.load(Ordering::Relaxed));
        Some(Stats { items_sent, batches_sent, ..Stats::default() })
    }
}

export_plugin!(Plugin);
