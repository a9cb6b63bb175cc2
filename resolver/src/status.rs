//! What a resolver tells of itself, to the log and to whoever asks: whose the topics are that its clients use, what became
//! of the spans, and how many there were.
//!
//! Nothing is traced, left untraced or lost without a word. How it is said, and to whom, is `diagnostics`.

mod losses;
mod stats;
mod topics_seen;

pub(crate) use losses::{Account, Moment, Told};
pub use stats::{BackendServiceStats, BackendStats, ReloadStats, ServiceStats, Stats};
pub(crate) use topics_seen::{Belongs, TopicsSeen, Who};
