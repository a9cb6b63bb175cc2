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
use crate::{Backend, BackendError, Batch, CreateArgs, ErrorKind, Stats};

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
            Err(why) if why.kind() == ErrorKind::Partial => (&self.batches_sent, Some(why.rejected_items())),
            Err(why) if why.kind() == ErrorKind::Permanent => (&self.batches_failed, Some(spans)),
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
        let mut groups: Vec<_> = groups.into_iter().enumerate().collect();
        // One that takes all the time does not keep it from the same ones at each try.
        let first = usize::try_from(batch.attempt.saturating_sub(1)).unwrap_or(0).checked_rem(groups.len());
        groups.rotate_left(first.unwrap_or(0));
        // A bit for each group that is done. A retry finds the same groups in the same order; those beyond the 64th have no
        // bit, and are sent again.
        let mut done = batch.retry_cookie;
        let (mut sent, mut refused) = (false, 0_u32);
        let (mut again, mut never) = (None, None);
        // One service's failure is not the others'.
        for (index, group) in groups {
            let bit = u32::try_from(index).ok().and_then(|index| 1_u64.checked_shl(index)).unwrap_or(0);
            if done & bit != 0 {
                sent = true;
                continue;
            }
            let spans = u32::try_from(group.spans.len()).unwrap_or(u32::MAX);
            match self.export_group(group, deadline) {
                Ok(()) => {
                    sent = true;
                    done |= bit;
                }
                Err(why) if is_worth_a_retry(&why) => {
                    again.get_or_insert(why);
                }
                // Without a bit: should there be another try, it is to be counted then.
                Err(why) if why.kind() == ErrorKind::Partial => {
                    sent = true;
                    refused = refused.saturating_add(why.rejected_items());
                    never.get_or_insert(why);
                }
                Err(why) => {
                    refused = refused.saturating_add(spans);
                    never.get_or_insert(why);
                }
            }
        }
        match (again, never) {
            (Some(why), _) => Err(why.with_retry_cookie(done)),
            (None, Some(why)) if !sent => Err(why),
            (None, Some(why)) => Err(BackendError::partial(refused.saturating_add(malformed), why.message())),
            (None, None) if malformed > 0 => {
                Err(BackendError::partial(malformed, "spans without a valid trace id and span id were left out"))
            }
            (None, None) => Ok(()),
        }
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

fn is_worth_a_retry(why: &BackendError) -> bool {
    matches!(why.kind(), ErrorKind::Retryable | ErrorKind::Timeout | ErrorKind::Credentials)
}
