//! The backend around the exporters.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_sdk::trace::SpanExporter;
use prost::Message;

use crate::adapter::ExporterBackend;
use crate::adapter::block_on::block_on;
use crate::adapter::exporters::{Exporters, time_left};
use crate::adapter::resource_batch::{ResourceBatch, group_by_resource};
use crate::{Backend, BackendError, Batch, CreateArgs, Stats};

/// A [`Backend`] made of an [`ExporterBackend`]: `export_plugin!(Adapted<Mine>);`.
pub struct Adapted<T: ExporterBackend> {
    /// Held during an export, which the host never runs twice at once: exporters are not made for it either.
    state: Mutex<State<T>>,
    // Beside the lock, so that `stats` never waits for an export.
    in_flight: AtomicU32,
    items_sent: AtomicU64,
    items_rejected: AtomicU64,
    batches_sent: AtomicU64,
    batches_failed: AtomicU64,
}

struct State<T: ExporterBackend> {
    exporters: Exporters<T>,
}

impl<T: ExporterBackend> Backend for Adapted<T> {
    const TYPE_NAME: &'static str = T::TYPE_NAME;
    const VERSION: &'static str = T::VERSION;
    const CONFIG_SCHEMA: &'static str = T::CONFIG_SCHEMA;
    const NETWORK: bool = T::NETWORK;
    const NOT_IN_FORKED_CHILDREN: bool = T::NOT_IN_FORKED_CHILDREN;
    const AFTER_FORK: Option<fn()> = T::AFTER_FORK;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        T::validate(config_json)
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        let exporters = Exporters::new(args)?;
        Ok(Self {
            state: Mutex::new(State { exporters }),
            in_flight: AtomicU32::new(0),
            items_sent: AtomicU64::new(0),
            items_rejected: AtomicU64::new(0),
            batches_sent: AtomicU64::new(0),
            batches_failed: AtomicU64::new(0),
        })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        let deadline = Instant::now().checked_add(timeout);
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        let result = self.lock().export(batch, deadline);
        self.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.count(batch.item_count, &result);
        result
    }

    fn flush(&self, timeout: Duration) -> Result<(), BackendError> {
        let deadline = Instant::now().checked_add(timeout);
        self.lock().exporters.each(deadline, |exporter, _left| exporter.force_flush())
    }

    fn shutdown(&self, timeout: Duration) -> Result<(), BackendError> {
        let deadline = Instant::now().checked_add(timeout);
        self.lock().exporters.each(deadline, |exporter, left| exporter.shutdown_with_timeout(left))
    }

    fn stats(&self) -> Option<Stats> {
        Some(Stats {
            in_flight: self.in_flight.load(Ordering::Relaxed),
            items_sent: self.items_sent.load(Ordering::Relaxed),
            items_rejected: self.items_rejected.load(Ordering::Relaxed),
            batches_sent: self.batches_sent.load(Ordering::Relaxed),
            batches_failed: self.batches_failed.load(Ordering::Relaxed),
            ..Stats::default()
        })
    }
}

impl<T: ExporterBackend> Adapted<T> {
    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // A panic under the lock has poisoned the whole instance: nothing is exported after it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, spans: u32, result: &Result<(), BackendError>) {
        let (batches, rejected) = match result {
            Ok(()) => (&self.batches_sent, Some(0)),
            Err(why) if why.kind() == crate::ErrorKind::Partial => (&self.batches_sent, Some(why.rejected_items())),
            Err(why) if why.kind() == crate::ErrorKind::Permanent => (&self.batches_failed, Some(spans)),
            Err(_) => (&self.batches_failed, None),
        };
        batches.fetch_add(1, Ordering::Relaxed);
        if let Some(rejected) = rejected {
            self.items_rejected.fetch_add(rejected.into(), Ordering::Relaxed);
            self.items_sent.fetch_add(spans.saturating_sub(rejected).into(), Ordering::Relaxed);
        }
    }
}

impl<T: ExporterBackend> State<T> {
    fn export(&mut self, batch: &Batch<'_>, deadline: Option<Instant>) -> Result<(), BackendError> {
        let request = ExportTraceServiceRequest::decode(batch.body)
            .map_err(|why| BackendError::permanent(format!("the batch is not OTLP: {why}")))?;
        let (groups, malformed) = group_by_resource(request);
        // A bit for each group that is done. A retry finds the same groups in the same order; those beyond the 64th have no
        // bit, and are sent again.
        let mut done = batch.retry_cookie;
        for (index, group) in groups.into_iter().enumerate() {
            let bit = u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0);
            if done & bit != 0 {
                continue;
            }
            self.export_group(group, deadline).map_err(|why| why.with_retry_cookie(done))?;
            done |= bit;
        }
        if malformed > 0 {
            return Err(BackendError::partial(malformed, "spans without a valid trace id and span id were left out"));
        }
        Ok(())
    }

    fn export_group(&mut self, group: ResourceBatch, deadline: Option<Instant>) -> Result<(), BackendError> {
        let too_late = || BackendError::timeout("the exporter did not finish in time");
        if time_left(deadline).is_zero() {
            return Err(too_late());
        }
        let exporter = self.exporters.of(group.key, &group.resource, deadline)?;
        // What the exporter itself says of its failure is worth a moment more.
        let last_word = deadline.and_then(|deadline| deadline.checked_add(T::LAST_WORD));
        match block_on(exporter.export(group.spans), last_word) {
            Some(Ok(())) => Ok(()),
            Some(Err(why)) => Err(T::classify(&why)),
            None => Err(too_late()),
        }
    }
}
