//! A folder of the spool that belongs to one process: its own, or that of one that has ended.

#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use sha2::{Digest as _, Sha256};

use crate::per_process;
use crate::process_lock::{LOCK, ProcessLock};

/// See the module. As long as it is there, nobody else takes what lies in the folder, in this process or another.
#[derive(Debug)]
pub(super) struct Claim {
    folder: PathBuf,
    is_own: bool,
    lock: ProcessLock,
}

/// A folder that is not ready yet.
const HIDDEN: &str = ".";

impl Claim {
    /// A folder of this process's own, in `place`.
    pub(super) fn make(place: &Path) -> io::Result<Self> {
        let process = this_process();
        let mut tries = 0;
        loop {
            // So that nothing is in the way that a process before this one, or before its `exec`, has left.
            let name = format!("{process}-{:016x}", RandomState::new().hash_one(SystemTime::now()));
            // Found by others only with its lock.
            let (hidden, folder) = (place.join(format!("{HIDDEN}{name}")), place.join(name));
            tries += 1;
            match Self::make_at(&hidden, &folder) {
                Ok(claim) => return Ok(claim),
                // Somebody who tidied up, or has found it before it had its lock.
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound | io::ErrorKind::WouldBlock
                    ) && tries < 100 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_at(hidden: &Path, folder: &Path) -> io::Result<Self> {
        if folder.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        DirBuilder::new().mode(0o700).create(hidden)?;
        let lock = ProcessLock::make(&hidden.join(LOCK));
        let named = lock.and_then(|lock| fs::rename(hidden, folder).map(|()| lock)).inspect_err(|_| {
            // There may be a failure with every batch: none may leave a folder.
            let _ = fs::remove_file(hidden.join(LOCK));
            let _ = fs::remove_dir(hidden);
        });
        let mut lock = named?;
        lock.moved_to(folder.join(LOCK));
        Ok(Self { folder: folder.to_owned(), is_own: true, lock })
    }

    /// The folder of a process that has ended, or of a queue that is closed. `None` if somebody has it.
    pub(super) fn take_over(folder: &Path) -> io::Result<Option<Self>> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        // Its number and start it had before an `exec`, too, and without /proc every process with its number has them.
        let may_be_ours = name.trim_start_matches(HIDDEN).starts_with(&this_process());
        let lock = match ProcessLock::take_over(&folder.join(LOCK), may_be_ours) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Of one that ended before there was a lock: only an empty folder goes.
                return match fs::remove_dir(folder) {
                    Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty && !name.starts_with(HIDDEN) => {
                        Err(io::Error::other("it has no file `lock`: make an empty one if its process has ended"))
                    }
                    _ => Ok(None),
                };
            }
            Err(error) => return Err(error),
        };
        Ok(Some(Self { folder: folder.to_owned(), is_own: false, lock }))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Whether what lies in it was written by this process.
    pub(super) fn is_own(&self) -> bool {
        self.is_own
    }

    /// Whether nobody else can have taken it meanwhile.
    pub(super) fn is_held(&self) -> bool {
        self.lock.is_held()
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if !self.is_held() {
            return;
        }
        // What cannot be looked at is not taken for nothing: without a lock nobody would find it.
        let is_left = fs::read_dir(&self.folder)
            .map_or(true, |mut all| all.any(|entry| entry.map_or(true, |entry| entry.file_name() != LOCK)));
        if !is_left {
            // Nothing but the lock, which goes first, so that nobody takes what is about to go.
            let _ = fs::remove_file(self.folder.join(LOCK));
            let _ = fs::remove_dir(&self.folder);
        }
    }
}

/// A name that no other process has, on this machine or in any container, since it was started: two copies of this library in
/// one process have the same, and what the process was before an `exec`.
fn this_process() -> String {
    let start = per_process::stat_field(per_process::STARTED).map(|ticks| ticks.to_string()).unwrap_or_default();
    let boot = per_process::boot_id().unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let known = format!("{}/{start}/{boot}/{}", std::process::id(), namespace.display());
    let digest = Sha256::digest(known.as_bytes());
    hex::encode(digest.get(..8).unwrap_or(&digest))
}
