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

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

use crate::trusted_path;
use claim::Claim;

pub(super) use news::News;
pub(super) use segment::{ByService, OTHERS, Slot, by_service};
pub use store::SpoolStats;
pub(super) use store::{Store, Taken};

/// The places of this user in `folder` that belong to none of these backends, and in which processes that ended have left
/// batches: nobody who has these backends only sends them.
///
/// # Errors
///
/// The folder cannot be read.
pub(crate) fn left_to_others(folder: &Path, backends: &[&str]) -> io::Result<Vec<PathBuf>> {
    let ending = format!(".{}", trusted_path::user());
    let known: Vec<_> = backends.iter().map(|backend| place::of_backend(folder, backend)).collect();
    let mut left = Vec::new();
    for entry in fs::read_dir(folder)? {
        let place = entry?.path();
        let is_of_user = place.to_string_lossy().ends_with(&ending)
            && place.symlink_metadata().is_ok_and(|of| of.is_dir() && of.uid() == trusted_path::user());
        if is_of_user && !known.contains(&place) && inside(&place).iter().any(|process| is_left(process)) {
            left.push(place);
        }
    }
    left.sort();
    Ok(left)
}

/// Whether batches lie in a process's folder, and the process has ended.
fn is_left(process: &Path) -> bool {
    let has_batches = inside(process).iter().any(|file| file.extension().is_some_and(|of| of == "batches"));
    // What cannot be claimed is nobody's, as far as is known.
    has_batches && !matches!(Claim::take_over(process), Ok(None))
}

fn inside(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}
