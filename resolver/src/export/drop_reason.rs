//! Why a span, or a data point, did not arrive.

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
    /// Metrics only: newer values of the same metrics came before these could leave. They say all that these said.
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

    /// What it means, for a line in the log.
    pub(crate) fn meaning(self) -> &'static str {
        match self {
            Self::QueueFull => "more waits than `queue_bytes` has room for",
            Self::Rejected => "the backend refuses them",
            Self::RetriesExhausted => "not taken within `max_elapsed` of `retry`",
            Self::Stuck => "a call into the plugin does not come back",
            Self::OutOfService => "the plugin has broken too often",
            Self::ShutDown => "the process ended before the backend had taken them",
            Self::BufferFull => "they end faster than they can be put into batches",
            Self::NotEncoded => "they could not be encoded",
            Self::NoBackend => "the backend could not be created",
            Self::NotStarted => "the process ended before the backend had started",
            Self::Superseded => "newer values came before they could leave",
            Self::SpoolDamaged => "they were in the spool, and cannot be read from there any more",
        }
    }
}
