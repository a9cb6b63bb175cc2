//! The times of a queue that are not the user's to set.

use std::time::Duration;

/// See the module.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// How far a call into a plugin may overrun its timeout before it is called stuck.
    pub(crate) grace: Duration,
}

impl Default for Timing {
    fn default() -> Self {
        Self { grace: Duration::from_secs(5) }
    }
}
