//! The spool: batches on disk, so that nothing is lost while a backend is away, nor when the process is killed.
//!
//! ```text
//!  DIR/BACKEND.USER/PROCESS/lock                      held while the process lives
//!                          /0000000000.batches        batch, batch, …, each with a mark: waiting, on its way, done
//! ```
//!
//! A batch is written down before it is queued, and marked as done when it has come to its end; a file goes when all in it are
//! done. What a process leaves behind belongs to whoever takes its lock. `spool/RATIONALE.md` says why it is so.

#![forbid(unsafe_code)]

mod claim;
mod news;
mod place;
mod record;
mod segment;
mod store;

#[cfg(test)]
mod tests;

pub(super) use news::News;
pub(super) use segment::{ByService, OTHERS, Slot, by_service};
pub use store::SpoolStats;
pub(super) use store::{Store, Taken};
