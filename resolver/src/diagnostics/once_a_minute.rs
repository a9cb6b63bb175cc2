//! `OnceAMinute`: keeps a backend that keeps failing and recovering from flooding the log.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant};

/// Lets one log line through a minute.
#[derive(Debug, Default)]
pub(crate) struct OnceAMinute {
    last: Option<Instant>,
}

impl OnceAMinute {
    /// Whether this line may be written; the next may a minute after.
    pub(crate) fn opens(&mut self, now: Instant) -> bool {
        let opens = self.last.is_none_or(|last| now.saturating_duration_since(last) >= LOG_INTERVAL);
        if opens {
            self.last = Some(now);
        }
        opens
    }
}

/// See [`OnceAMinute`].
const LOG_INTERVAL: Duration = Duration::from_secs(60);
