//! How the library speaks: by the application's logger or, without one, to its standard error. Never waits for either on a
//! thread of Kafka's: what a callback has to say it leaves to the batch thread (`Pipeline::tell`).
//!
//! What is said of services, topics and spans is `status`; what is wrong with a file is `config`'s report.

mod log;
mod once_a_minute;
mod stderr;

pub(crate) use log::{TARGET, error, info, is_heard, say, warn};
pub(crate) use once_a_minute::OnceAMinute;
pub use stderr::write_to_stderr;
