//! The times of a queue that are not the user's to set.

use std::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How far a call into a plugin may overrun its timeout before it is called stuck.
    pub(crate) grace: Duration,
    /// How long a backend may take to start before somebody is told that its spans wait.
    pub(crate) patience: Duration,
    /// A process that ends, and has no span for a backend that is still starting, waits so long from its beginning on: what
    /// is wrong with it should be told.
    pub(crate) first_words: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5), patience: Duration::from_secs(10), first_words: Duration::from_secs(1) }
    }
}
