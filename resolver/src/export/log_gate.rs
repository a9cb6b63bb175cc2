//! `LogGate`: keeps a backend that keeps failing and recovering from flooding the log.

use std::time::{Duration, Instant};

/// Lets one log line through a minute.
#[derive(Debug, Default)]
pub(super) struct LogGate {
    last: Option<Instant>,
}

impl LogGate {
    /// Whether this line may be written; the next may a minute after.
    pub(super) fn opens(&mut self, now: Instant) -> bool {
        let opens = self.last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL);
        if opens {
            self.last = Some(now);
        }
        opens
    }
}

/// See [`LogGate`].
const LOG_INTERVAL: Duration = Duration::from_secs(60);
