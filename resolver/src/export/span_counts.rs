//! Where every span of a backend went, and every data point. For each service, and for all data points together: offered =
//! exported + rejected + dropped + waiting + spooled.
//!
//! Spans that are lost before they are offered are counted by [`EarlyLosses`], under the same reasons, so that the two
//! together have every span that was to reach the backend in one place each.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::drop_reason::DropReason;
use super::exporter::PluginCounts;
use super::finished_batch::{FinishedBatch, Signal};
use super::operations::{self, OperationDurations, Operations};
use super::pressure::Halvings;
use super::spool::{ByService, OTHERS, SpoolStats, by_service};
use super::worker_states::Entry;

/// What a backend is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum BackendState {
    /// Nothing was sent to it yet, or it has not answered yet: nobody knows whether it takes batches.
    #[default]
    Untried,
    /// Its plugin is being loaded, or is asked for an instance; what comes meanwhile waits.
    Starting,
    /// It took the last batch that was sent to it; how long ago that was, is beside it.
    Healthy,
    /// It answers, and refused the last batch: its settings are wrong, or those of whoever is to take it.
    Refusing,
    /// It does not take batches at the moment; one probe at a time finds out when it does.
    Retrying,
    /// A call did not come back in time; until it does, everything offered is dropped.
    Stuck,
    /// Given up for the life of the process.
    OutOfService,
    /// A reload took it away, and it is closed: what it has counted is all that there is of it.
    Removed,
}

impl BackendState {
    /// All that a backend which is there can be in, in their order. `OutOfService` is the last one.
    pub(crate) const ALL: [Self; Self::OutOfService as usize + 1] =
        [Self::Untried, Self::Starting, Self::Healthy, Self::Refusing, Self::Retrying, Self::Stuck, Self::OutOfService];

    /// The name for metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Untried => "untried",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Refusing => "refusing",
            Self::Retrying => "retrying",
            Self::Stuck => "stuck",
            Self::OutOfService => "out_of_service",
            Self::Removed => "removed",
        }
    }

    /// Whether it takes no batch at the moment, as far as is known: what waits may not get there.
    pub(crate) fn is_in_trouble(self) -> bool {
        matches!(self, Self::Retrying | Self::Stuck | Self::OutOfService)
    }
}

/// Spans of one service at one backend, or all data points there. All only ever grow but `waiting`, what is
/// said of it, and `spooled`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ServiceCounters {
    /// Handed to the queue.
    pub(crate) offered: u64,
    /// Taken by the backend.
    pub(crate) exported: u64,
    /// Refused one by one inside a batch that was taken (OTLP partial success). The backend tells a number, not which:
    /// shared out in proportion to each service's spans in the batch.
    pub(crate) rejected: u64,
    /// Lost, by [`DropReason`], in the order of [`DropReason::ALL`].
    pub(crate) dropped: [u64; DropReason::ALL.len()],
    /// Queued, or in a call that has not come back.
    pub(crate) waiting: u64,
    /// Of those that wait: tried at least once.
    pub(crate) in_flight: u64,
    /// Of those that wait: in the spool, too, so that they outlive the process.
    pub(crate) kept: u64,
    /// In the spool only: neither exported nor lost.
    pub(crate) spooled: u64,
}

impl ServiceCounters {
    /// Adds those of another queue.
    pub(crate) fn add(&mut self, other: &Self) {
        self.offered += other.offered;
        self.exported += other.exported;
        self.rejected += other.rejected;
        self.dropped.iter_mut().zip(other.dropped).for_each(|(sum, more)| *sum += more);
        self.waiting += other.waiting;
        self.in_flight += other.in_flight;
        self.kept += other.kept;
        self.spooled += other.spooled;
    }

    /// Spans lost for this reason.
    pub(crate) fn dropped_for(&self, reason: DropReason) -> u64 {
        self.dropped.get(reason as usize).copied().unwrap_or_default()
    }

    /// Spans that did not arrive for this reason: as [`ServiceCounters::dropped_for`], and those that the backend refused
    /// inside batches that it took.
    pub(crate) fn lost_for(&self, reason: DropReason) -> u64 {
        self.dropped_for(reason) + if reason == DropReason::Rejected { self.rejected } else { 0 }
    }

    /// Data points that nobody will get: the values of those that were superseded went on in others.
    pub(crate) fn lost_for_good(&self) -> u64 {
        let superseded = self.dropped_for(DropReason::Superseded);
        self.rejected + self.dropped.iter().sum::<u64>() - superseded
    }

    fn waits(&mut self, items: u64, entry: &Entry) {
        self.waiting += items;
        self.in_flight += if entry.attempts > 0 { items } else { 0 };
        self.kept += if entry.slot.is_some() { items } else { 0 };
    }

    /// A batch of so many items has come to its end.
    fn settle(&mut self, items: u64, settlement: Settlement) {
        match settlement {
            Settlement::Dropped(reason) | Settlement::Refused(reason) => {
                if let Some(count) = self.dropped.get_mut(reason as usize) {
                    *count += items;
                }
            }
            Settlement::Spooled => self.spooled += items,
            Settlement::Exported { rejected_items } => {
                let rejected = u64::from(rejected_items).min(items);
                self.rejected += rejected;
                self.exported += items - rejected;
            }
        }
    }

    /// Spans lost for any reason.
    #[cfg(test)]
    pub(crate) fn dropped_total(&self) -> u64 {
        self.dropped.iter().sum()
    }
}

/// Spans of each service that were lost before they were offered to one backend. Counted by any thread.
#[derive(Debug, Default)]
pub(crate) struct EarlyLosses {
    /// By service, each twice as large as the one before: a reload may bring services, and nobody waits for a lock here.
    chunks: [OnceLock<Box<[LostByReason]>>; CHUNKS],
    total: AtomicU64,
}

type LostByReason = [AtomicU64; DropReason::ALL.len()];

/// Services of the first chunk.
const FIRST: usize = 8;
/// Room for half a million services.
const CHUNKS: usize = 16;

impl EarlyLosses {
    /// So many were lost.
    pub(crate) fn count(&self, service: u32, reason: DropReason, spans: u64) {
        self.total.fetch_add(spans, Ordering::Relaxed);
        let (chunk, index) = chunk_of(service as usize);
        let none = || [const { AtomicU64::new(0) }; DropReason::ALL.len()];
        let fresh = || (0..FIRST << chunk).map(|_| none()).collect();
        let lost = self.chunks.get(chunk).and_then(|place| place.get_or_init(fresh).get(index));
        if let Some(count) = lost.and_then(|of| of.get(reason as usize)) {
            count.fetch_add(spans, Ordering::Relaxed);
        }
    }

    /// How many were lost in all.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// Adds them to what the queue itself has counted: they were to be offered, and were dropped.
    pub(crate) fn add_to(&self, services: &mut Vec<ServiceCounters>) {
        for (chunk, place) in self.chunks.iter().enumerate() {
            for (index, lost) in place.get().into_iter().flatten().enumerate() {
                let lost: Vec<_> = lost.iter().map(|lost| lost.load(Ordering::Relaxed)).collect();
                if lost.iter().all(|lost| *lost == 0) {
                    continue;
                }
                let counters = of_service(services, (FIRST << chunk) - FIRST + index);
                for (lost, dropped) in lost.into_iter().zip(&mut counters.dropped) {
                    counters.offered += lost;
                    *dropped += lost;
                }
            }
        }
    }
}

/// The chunk that has a service, and where in it.
fn chunk_of(service: usize) -> (usize, usize) {
    let chunk = (service / FIRST + 1).ilog2() as usize;
    (chunk, service - ((FIRST << chunk) - FIRST))
}

/// The counters of a service, in a list that grows to have it.
fn of_service(services: &mut Vec<ServiceCounters>, index: usize) -> &mut ServiceCounters {
    if services.len() <= index {
        services.resize(index + 1, ServiceCounters::default());
    }
    #[expect(clippy::indexing_slicing, reason = "resized just above")]
    &mut services[index]
}

/// One consistent look at a backend's queue.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct BackendCounters {
    /// By service, as far as any sent something.
    pub(crate) services: Vec<ServiceCounters>,
    /// All data points, of whichever service.
    pub(crate) data_points: ServiceCounters,
    /// Spans of processes before this one, from the spool.
    pub(crate) taken_over: ServiceCounters,
    /// Its spool, while there is one.
    pub(crate) spool: Option<SpoolStats>,
    /// How long exports took.
    pub(crate) operations: Vec<Operations>,
    /// Calls of `export` beyond the first for a batch.
    pub(crate) retries: u64,
    /// Bytes of batches that wait or are in a call; above `queue_bytes` only where memory has become scarce meanwhile.
    pub(crate) held_bytes: usize,
    /// How many there may be.
    pub(crate) queue_bytes: usize,
    /// Which share of new traces it has room for, as far as that is less than all.
    pub(crate) halvings: Halvings,
    /// What the backend is doing.
    pub(crate) state: BackendState,
    /// When it last took a batch.
    pub(crate) last_export: Option<Instant>,
    /// What went wrong last, and when.
    pub(crate) last_error: Option<(String, Instant)>,
    /// By its plugin, if it counts.
    pub(crate) counted: Option<PluginCounts>,
}

impl BackendCounters {
    /// Adds those of a queue that went to the same backend; the state stays.
    pub(crate) fn add(&mut self, other: &Self) {
        for (index, counters) in other.services.iter().enumerate() {
            of_service(&mut self.services, index).add(counters);
        }
        self.data_points.add(&other.data_points);
        self.taken_over.add(&other.taken_over);
        self.spool = match (self.spool, other.spool) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        operations::add(&mut self.operations, &other.operations);
        self.retries += other.retries;
        self.held_bytes += other.held_bytes;
        self.queue_bytes += other.queue_bytes;
        self.halvings = self.halvings.max(other.halvings);
        self.counted = match (self.counted, other.counted) {
            (Some(one), Some(other)) => Some(one.and(other)),
            (one, other) => one.or(other),
        };
        self.last_export = self.last_export.max(other.last_export);
        let at = |error: &Option<(String, Instant)>| error.as_ref().map(|(_, at)| *at);
        if at(&other.last_error) > at(&self.last_error) {
            self.last_error.clone_from(&other.last_error);
        }
    }

    /// What is in the spool, by what was counted.
    pub(super) fn in_spool(&self, stats: SpoolStats) -> SpoolStats {
        SpoolStats {
            spans: self.services.iter().map(|of| of.spooled).sum(),
            spans_of_others: self.taken_over.spooled + self.taken_over.waiting,
            exported_of_others: self.taken_over.exported,
            lost_of_others: self.taken_over.lost_for_good(),
            ..stats
        }
    }

    /// What it had in the spool is another queue's, which counts it as of others.
    pub(crate) fn forget_the_spooled(&mut self) {
        for of in self.services.iter_mut().chain([&mut self.taken_over]) {
            of.offered = of.offered.saturating_sub(std::mem::take(&mut of.spooled));
        }
    }

    /// Spans came when there was no queue any more.
    pub(crate) fn count_lost(&mut self, service: u32, reason: DropReason, spans: u64) {
        let counters = of_service(&mut self.services, service as usize);
        counters.offered += spans;
        counters.settle(spans, Settlement::Dropped(reason));
    }
}

/// What became of a batch.
#[derive(Clone, Copy, Debug)]
pub(super) enum Settlement {
    /// Taken, but for so many items.
    Exported { rejected_items: u32 },
    /// Lost here; not for good if it is in the spool, too.
    Dropped(DropReason),
    /// Lost for good.
    Refused(DropReason),
    /// In the spool only.
    Spooled,
}

/// The book itself. Not shared: lives behind the queue's lock.
#[derive(Debug, Default)]
pub(super) struct SpanCounts {
    services: Vec<ServiceCounters>,
    data_points: ServiceCounters,
    /// Spans that other processes have left in the spool.
    taken_over: ServiceCounters,
    operations: OperationDurations,
    /// Spans of all services that were dropped or rejected.
    lost: u64,
}

impl SpanCounts {
    /// Spans of all services that did not arrive, so far.
    pub(super) fn lost(&self) -> u64 {
        self.lost
    }

    /// Items of a signal that did not arrive, so far.
    pub(super) fn lost_of(&self, signal: Signal) -> u64 {
        match signal {
            Signal::Traces => self.lost,
            Signal::Metrics => self.data_points.lost_for_good(),
        }
    }

    /// An export has come to its end, and took so long from its first try on.
    pub(super) fn took(&mut self, signal: Signal, lost: Option<DropReason>, took: Duration) {
        self.operations.ended(signal, lost, took);
    }

    pub(super) fn operations(&self) -> &[Operations] {
        self.operations.all()
    }

    /// A batch has come in.
    pub(super) fn offered(&mut self, batch: &FinishedBatch) {
        if batch.signal == Signal::Metrics {
            self.data_points.offered += u64::from(batch.item_count);
            return;
        }
        for &(service, spans) in &batch.per_service {
            self.service(service).offered += u64::from(spans);
        }
    }

    /// A batch has come to its end here; called exactly once for each that was offered, or came back from the spool.
    pub(super) fn settle(&mut self, batch: &FinishedBatch, settlement: Settlement) {
        if batch.signal == Signal::Metrics {
            return self.data_points.settle(u64::from(batch.item_count), settlement);
        }
        match settlement {
            Settlement::Dropped(_) | Settlement::Refused(_) | Settlement::Spooled => {
                for (service, spans) in by_service(batch) {
                    self.lost += if matches!(settlement, Settlement::Spooled) { 0 } else { spans };
                    self.of(service).settle(spans, settlement);
                }
            }
            Settlement::Exported { rejected_items } => self.settle_exported(batch, rejected_items),
        }
    }

    /// So many spans of other processes are in the spool.
    pub(super) fn taken_over(&mut self, spans: u64) {
        self.taken_over.offered += spans;
        self.taken_over.spooled += spans;
    }

    /// A batch that was in the spool only waits in memory, too.
    pub(super) fn leaves_the_spool(&mut self, batch: &FinishedBatch) {
        for (service, spans) in by_service(batch) {
            let spooled = &mut self.of(service).spooled;
            *spooled = spooled.saturating_sub(spans);
        }
    }

    /// What was in the spool only cannot be read any more.
    pub(super) fn lost_in_the_spool(&mut self, spans: &ByService) {
        for (service, spans) in spans {
            self.lost += spans;
            let of = self.of(*service);
            of.spooled = of.spooled.saturating_sub(*spans);
            of.settle(*spans, Settlement::Dropped(DropReason::SpoolDamaged));
        }
    }

    fn of(&mut self, service: u32) -> &mut ServiceCounters {
        if service == OTHERS { &mut self.taken_over } else { self.service(service) }
    }

    /// The counters of spans by service, those of data points, and those of spans of other processes, with `waiting` counted
    /// from what really waits.
    pub(super) fn snapshot<'a>(
        &self,
        waiting: impl Iterator<Item = &'a Entry>,
    ) -> (Vec<ServiceCounters>, ServiceCounters, ServiceCounters) {
        let mut counted = Self { operations: OperationDurations::default(), services: self.services.clone(), ..*self };
        for entry in waiting {
            let batch = &entry.batch;
            if batch.signal == Signal::Metrics {
                counted.data_points.waits(u64::from(batch.item_count), entry);
                continue;
            }
            for (service, spans) in by_service(batch) {
                counted.of(service).waits(spans, entry);
            }
        }
        (counted.services, counted.data_points, counted.taken_over)
    }

    /// Shares `rejected_items` out so that the parts add up to it: each service's share is the difference between two
    /// roundings of the running sum.
    fn settle_exported(&mut self, batch: &FinishedBatch, rejected_items: u32) {
        let total: u64 = by_service(batch).map(|(_, spans)| spans).sum();
        let rejected_items = u64::from(rejected_items).min(total);
        let mut seen = 0_u64;
        let mut shared_out = 0_u64;
        for (service, spans) in by_service(batch) {
            seen += spans;
            let up_to_here = (rejected_items * seen).checked_div(total).unwrap_or_default();
            let rejected = up_to_here - shared_out;
            shared_out = up_to_here;
            self.lost += rejected;
            let counters = self.of(service);
            counters.rejected += rejected;
            counters.exported += spans - rejected;
        }
    }

    fn service(&mut self, index: u32) -> &mut ServiceCounters {
        of_service(&mut self.services, index as usize)
    }
}
