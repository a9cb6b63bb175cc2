//! What is counted, as plain data.

#![forbid(unsafe_code)]

use std::time::Duration;

use crate::export::{BackendState, DropReason, PluginCounts, ServiceCounters, SpoolStats};

/// Every counter of a resolver in this process at one moment. All only ever grow but `waiting`, `unacknowledged`, and
/// what lies in a spool; a fork begins at zero.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// In file order; then those that a reload has taken out, as far as they have counted anything.
    pub services: Vec<ServiceStats>,
    /// In file order; of those that could not be created, the ones that spans were meant for.
    pub backends: Vec<BackendStats>,
    /// Topics that clients have met, in that order; 512 at most.
    pub topics: Vec<TopicStats>,
    /// The sums of all further topics. Its name is empty.
    pub topics_beyond: TopicStats,
    /// Clients that are open now, oldest first; 200 at most.
    pub clients: Vec<ClientStats>,
    /// How many more are open.
    pub clients_beyond: u64,
    /// How many were closed.
    pub clients_closed: u64,
    /// How often the configuration was read again.
    pub reloads: ReloadStats,
}

/// One topic on one side.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct TopicStats {
    /// As the broker knows it.
    pub name: String,
    /// `produce` or `consume`.
    pub side: &'static str,
    /// The service that its messages belong to.
    pub service: Option<String>,
    /// Whether its messages are traced, or at least pass a context on.
    pub is_traced: bool,
    /// By which rule it is the service's and what becomes of it; or why it is nobody's, with the rule that came nearest. By the
    /// rules that are in effect: where a reload gave the topic to another, what was counted before stands by itself, and this
    /// says so.
    pub why: String,
    /// Spans that were put into batches.
    pub spans: u64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: u64,
    /// Messages sent without a context header: see [`ServiceStats::not_injected`].
    pub not_injected: u64,
    /// Messages that get no span by what the file says: nobody's, excluded, `trace = "off"` or `"propagate"`. And sends that were
    /// refused at once, beyond those of a second that get one.
    pub without_span: u64,
}

/// One open client.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ClientStats {
    /// `produce` or `consume`.
    pub side: &'static str,
    /// `client.id`.
    pub client_id: String,
    /// A consumer's `group.id`.
    pub group_id: Option<String>,
}

/// Reloads, see [`Resolver::reload`](crate::Resolver::reload).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadStats {
    /// Those that brought other rules.
    pub taken: u64,
    /// Those that were refused, because of an error: the rules of before went on.
    pub refused: u64,
    /// Of the rules in effect: 0 for those of the start, one more with each reload, the parent's too in a child of a fork.
    pub generation: u64,
    /// Why what the file says now is not in effect, and how long ago that was found.
    pub last_error: Option<(String, Duration)>,
}

/// One service, before its spans reach a backend.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServiceStats {
    /// `service.name`.
    pub name: String,
    /// Spans that were put into batches.
    pub spans: u64,
    /// Spans lost before they came into a batch, because the batch thread had fallen behind and the buffer was full. They
    /// are also among the dropped of each backend that would have got them.
    pub dropped_buffer_full: u64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: u64,
    /// Traces that its sampler would have let begin, and that did not because a backend's queue was nearly full: see
    /// `shed_traces` of `[backends.NAME]`. Their spans are among the `sampled_out`.
    pub shed: u64,
    /// Messages that were sent, and of which Kafka's client has not said yet what became of them: their spans are still open. If the
    /// process ends now they have none.
    pub unacknowledged: u64,
    /// Messages sent without a context header: it might have made them larger than `message.max.bytes`, or than their
    /// topic takes, or their own headers are too many, or brokers refuse headers.
    pub not_injected: u64,
    /// Spans exported without their parent, because too many messages were in flight.
    pub parents_lost: u64,
}

/// One backend.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackendStats {
    /// Its name under `[backends]`.
    pub name: String,
    /// Its plugin's type name.
    pub plugin: String,
    /// What it is doing.
    pub state: BackendState,
    /// Calls beyond the first for a batch.
    pub retries: u64,
    /// Bytes of batches that wait or are on their way.
    pub held_bytes: usize,
    /// How many there may be: `queue_bytes`.
    pub queue_bytes: usize,
    /// Which share of new traces it has room for at the moment, 0.0 to 1.0: 1.0 until its queue is nearly full.
    pub share_of_traces: f64,
    /// How long ago it last took a batch.
    pub last_export: Option<Duration>,
    /// What went wrong last, and how long ago, even if all is well since.
    pub last_error: Option<(String, Duration)>,
    /// What lies in its spool, if it has one.
    pub spool: Option<SpoolStats>,
    /// Metrics that were sent to it.
    pub data_points: DataPointStats,
    /// What its plugin counts by itself, if it does: what went over the wire only the plugin knows.
    pub counted: Option<PluginCounts>,
    /// Services that sent anything to it, in file order.
    pub services: Vec<BackendServiceStats>,
}

/// The data points of all metrics at one backend: `offered = exported + rejected + dropped + waiting`.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DataPointStats {
    /// Meant for the backend.
    pub offered: u64,
    /// Taken by the backend.
    pub exported: u64,
    /// Refused by the backend inside a batch that it took.
    pub rejected: u64,
    /// Lost, by reason; reasons with nothing lost are left out. Those `superseded` are no loss: newer values of the same
    /// metrics went on in their place.
    pub dropped: Vec<(DropReason, u64)>,
    /// Queued, or in a call that has not come back.
    pub waiting: u64,
}

impl DataPointStats {
    pub(crate) fn of(counters: &ServiceCounters) -> Self {
        let dropped = DropReason::ALL.into_iter().map(|reason| (reason, counters.dropped_for(reason)));
        Self {
            offered: counters.offered,
            exported: counters.exported,
            rejected: counters.rejected,
            dropped: dropped.filter(|(_, lost)| *lost > 0).collect(),
            waiting: counters.waiting,
        }
    }
}

/// One service's spans at one backend: `offered = exported + rejected + dropped + waiting + spooled`.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct BackendServiceStats {
    /// `service.name`.
    pub service: String,
    /// Meant for the backend.
    pub offered: u64,
    /// Taken by the backend.
    pub exported: u64,
    /// Refused by the backend inside a batch that it took.
    pub rejected: u64,
    /// Lost, by reason; reasons with nothing lost are left out.
    pub dropped: Vec<(DropReason, u64)>,
    /// Queued, or in a call that has not come back.
    pub waiting: u64,
    /// In the spool only: neither exported nor lost.
    pub spooled: u64,
}

impl BackendServiceStats {
    /// Lost for any reason.
    pub fn dropped_total(&self) -> u64 {
        self.dropped.iter().map(|(_, spans)| spans).sum()
    }
}
