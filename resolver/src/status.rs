//! What a resolver tells of itself, to the log and to whoever asks: whose the topics are that its clients use, what became
//! of the spans, and how many there were.
//!
//! Nothing is traced, left untraced or lost without a word. How it is said, and to whom, is `diagnostics`.

mod clients_met;
mod document;
mod losses;
mod misspelt;
mod spelling;
mod stats;
mod status_file;
mod topics_counted;
mod topics_seen;
mod who;
mod whose;

pub(crate) use clients_met::ClientsMet;
pub(crate) use document::{About, document};
pub(crate) use losses::{Account, Moment, Told};
pub(crate) use misspelt::Meant;
pub use stats::{
    BackendServiceStats, BackendStats, ClientStats, DataPointStats, ReloadStats, ServiceStats, Stats, TopicStats,
};
pub(crate) use status_file::StatusFile;
pub(crate) use topics_counted::CountedTopic;
pub(crate) use topics_seen::{Look, TopicsSeen};
pub(crate) use who::{Belongs, Owner, Who};
pub(crate) use whose::Rules;
