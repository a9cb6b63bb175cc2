//! Whether a queue has an exporter yet.

use std::time::Instant;

/// How far the backend is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Start {
    /// Asked for, and not before `not_before` unless somebody waits for it.
    UnderWay {
        since: Instant,
        not_before: Instant,
        /// That it takes long was told; what had been lost before.
        told: Option<u64>,
    },
    /// There is an exporter.
    Done,
    /// There will be none.
    Failed,
}
