//! What would be counted.

/// Every counter: none.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Empty.
    pub services: Vec<ServiceStats>,
    /// Empty.
    pub backends: Vec<BackendStats>,
    /// Empty.
    pub topics: Vec<TopicStats>,
    /// Nothing.
    pub topics_beyond: TopicStats,
    /// Empty.
    pub clients: Vec<ClientStats>,
    /// None.
    pub clients_beyond: u64,
    /// None.
    pub clients_closed: u64,
    /// None.
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
    /// Whether its messages are traced.
    pub is_traced: bool,
    /// Why.
    pub why: String,
    /// Spans that were put into batches.
    pub spans: u64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: u64,
    /// Messages sent without a context header.
    pub not_injected: u64,
    /// Messages that get no span.
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

/// What came of a reload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reloaded {
    /// What the configuration says now is in effect.
    Changed,
    /// It says what it said before.
    Unchanged,
    /// Always.
    Off,
}

/// Reloads.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReloadStats {
    /// Those that brought other rules.
    pub taken: u64,
    /// Those that were refused.
    pub refused: u64,
    /// Of the rules in effect.
    pub generation: u64,
    /// Why what the file says now is not in effect, and how long ago that was found.
    pub last_error: Option<(String, std::time::Duration)>,
}

/// One service, before its spans reach a backend.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct ServiceStats {
    /// `service.name`.
    pub name: String,
    /// Spans that were put into batches.
    pub spans: u64,
    /// Spans lost before they came into a batch.
    pub dropped_buffer_full: u64,
    /// Spans that were not recorded, because their trace is not sampled.
    pub sampled_out: u64,
    /// Traces that did not begin because a backend's queue was nearly full.
    pub shed: u64,
    /// Messages that were sent, and of which Kafka's client has not said yet what became of them.
    pub unacknowledged: u64,
    /// Messages sent without a context header.
    pub not_injected: u64,
    /// Spans exported without their parent.
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
    /// How many there may be.
    pub queue_bytes: usize,
    /// Which share of new traces it has room for.
    pub share_of_traces: f64,
    /// How long ago it last took a batch.
    pub last_export: Option<std::time::Duration>,
    /// What went wrong last, and how long ago.
    pub last_error: Option<(String, std::time::Duration)>,
    /// What lies in its spool, if it has one.
    pub spool: Option<SpoolStats>,
    /// Metrics that were sent to it.
    pub data_points: DataPointStats,
    /// What its plugin counts of itself.
    pub counted: Option<PluginCounts>,
    /// Services that sent anything to it.
    pub services: Vec<BackendServiceStats>,
}

/// What a plugin counts of itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PluginCounts {
    /// Batches being exported at this moment.
    pub in_flight: u32,
    /// Spans and data points that the backend has taken.
    pub items_sent: u64,
    /// Those that it refused.
    pub items_rejected: u64,
    /// Exports that ended well or in part.
    pub batches_sent: u64,
    /// Exports that failed.
    pub batches_failed: u64,
    /// Bytes on the wire.
    pub bytes_sent: u64,
    /// Connections opened after the first one.
    pub reconnects: u64,
}

/// The data points of all metrics at one backend.
#[derive(Clone, Debug, Default)]
#[non_exhaustive]
pub struct DataPointStats {
    /// Meant for the backend.
    pub offered: u64,
    /// Taken by the backend.
    pub exported: u64,
    /// Refused by the backend inside a batch that it took.
    pub rejected: u64,
    /// Lost, by reason.
    pub dropped: Vec<(DropReason, u64)>,
    /// Queued, or in a call that has not come back.
    pub waiting: u64,
}

/// One service's spans at one backend.
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
    /// Lost, by reason.
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

/// How a spool is, at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SpoolStats {
    /// Bytes of the batches of all processes in it, as they were last added up.
    pub bytes: u64,
    /// How many there may be.
    pub limit: u64,
    /// Spans of this process that lie in the spool and in memory no more.
    pub spans: u64,
    /// Spans that processes before this one have left there, and that this one has taken over and not sent yet.
    pub spans_of_others: u64,
    /// Of those, the ones that the backend has by now.
    pub exported_of_others: u64,
    /// Of those, the ones that are lost.
    pub lost_of_others: u64,
    /// Places in its files that could not be read, and were passed over.
    pub damaged: u64,
    /// Spans that were on their way when their process ended, and were sent again: they may be there twice.
    pub maybe_twice: u64,
}

/// Why spans were lost before the backend took them. Every lost span has one reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(usize)]
#[non_exhaustive]
pub enum DropReason {
    /// `queue_bytes` were taken when the batch was offered.
    QueueFull,
    /// The backend said that it will never take this batch, or broke on it.
    Rejected,
    /// The backend did not take it within `retry.max_elapsed`.
    RetriesExhausted,
    /// A call into the plugin did not come back.
    Stuck,
    /// The plugin broke too often and is not used any more.
    OutOfService,
    /// The queue was shut down before the backend took it.
    ShutDown,
    /// There was no room on its way to the batch thread, which had fallen behind.
    BufferFull,
    /// It could not be encoded: a defect of ours.
    NotEncoded,
    /// The backend could not be created in this process.
    NoBackend,
    /// The process ended before the backend had started.
    NotStarted,
    /// Metrics only: newer values of the same metrics came before these could leave.
    Superseded,
    /// It was in the spool, and cannot be read from there any more.
    SpoolDamaged,
}

impl DropReason {
    /// All of them, in a fixed order.
    pub const ALL: [Self; 12] = [
        Self::QueueFull,
        Self::Rejected,
        Self::RetriesExhausted,
        Self::Stuck,
        Self::OutOfService,
        Self::ShutDown,
        Self::BufferFull,
        Self::NotEncoded,
        Self::NoBackend,
        Self::NotStarted,
        Self::Superseded,
        Self::SpoolDamaged,
    ];

    /// The name for metrics and tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Rejected => "rejected",
            Self::RetriesExhausted => "retries_exhausted",
            Self::Stuck => "stuck",
            Self::OutOfService => "out_of_service",
            Self::ShutDown => "shut_down",
            Self::BufferFull => "buffer_full",
            Self::NotEncoded => "not_encoded",
            Self::NoBackend => "no_backend",
            Self::NotStarted => "not_started",
            Self::Superseded => "superseded",
            Self::SpoolDamaged => "spool_damaged",
        }
    }
}

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
}
