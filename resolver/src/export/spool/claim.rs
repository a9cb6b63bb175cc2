//! A folder of the spool that belongs to one process: its own, or that of one that has ended.

#![forbid(unsafe_code)]

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::per_process;
use crate::process_lock::ProcessLock;

/// See the module. As long as it is there, no other process takes what lies in the folder.
#[derive(Debug)]
pub(super) struct Claim {
    folder: PathBuf,
    is_own: bool,
    lock: ProcessLock,
}

/// What marks the folder as somebody's.
const LOCK: &str = "lock";
/// A folder that is not ready yet.
const HIDDEN: &str = ".";
/// What a process leaves that goes on, and that it may take over itself as well as any other.
const LEFT: &str = "left-";

impl Claim {
    /// A folder of this process's own, in `place`.
    pub(super) fn make(place: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let process = this_process();
        let mut tries = 0;
        loop {
            let name = format!("{process}-{}", NEXT.fetch_add(1, Ordering::Relaxed));
            // Found by others only with its lock.
            let (hidden, folder) = (place.join(format!("{HIDDEN}{name}")), place.join(name));
            tries += 1;
            match Self::make_at(&hidden, &folder) {
                Ok(claim) => return Ok(claim),
                // Another copy of this library in the process, or somebody who tidied up.
                Err(error)
                    if matches!(error.kind(), io::ErrorKind::AlreadyExists | io::ErrorKind::NotFound)
                        && tries < 100 => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn make_at(hidden: &Path, folder: &Path) -> io::Result<Self> {
        if folder.symlink_metadata().is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        DirBuilder::new().mode(0o700).create(hidden)?;
        let mut lock = ProcessLock::make(&hidden.join(LOCK))?;
        fs::rename(hidden, folder)?;
        lock.moved_to(folder.join(LOCK));
        Ok(Self { folder: folder.to_owned(), is_own: true, lock })
    }

    /// The folder of a process that has ended. `None` if it lives, if this is this process's own, or if another has it.
    pub(super) fn take_over(folder: &Path) -> io::Result<Option<Self>> {
        let name = folder.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if name.trim_start_matches(HIDDEN).starts_with(&this_process()) {
            return Ok(None);
        }
        let lock = match ProcessLock::take_over(&folder.join(LOCK)) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                // Of one that ended before there was a lock: only an empty folder goes.
                let _ = fs::remove_dir(folder);
                return Ok(None);
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
        let is_left = fs::read_dir(&self.folder)
            .is_ok_and(|mut all| all.any(|entry| entry.is_ok_and(|entry| entry.file_name() != LOCK)));
        if !is_left {
            // Nothing but the lock, which goes first, so that nobody takes what is about to go.
            let _ = fs::remove_file(self.folder.join(LOCK));
            let _ = fs::remove_dir(&self.folder);
            return;
        }
        // This process may live on, and would take its own for one that is in use.
        if let (true, Some(place)) = (self.is_own, self.folder.parent()) {
            let left = place.join(format!("{LEFT}{}", self.folder.file_name().unwrap_or_default().to_string_lossy()));
            let _ = fs::rename(&self.folder, left);
        }
    }
}

/// A name that no other process has, on this machine or in any container, since it was started: two copies of this library in
/// one process have the same.
fn this_process() -> String {
    let start = per_process::stat_field(per_process::STARTED).map(|ticks| ticks.to_string()).unwrap_or_default();
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    let known = format!("{}/{start}/{boot}/{}", std::process::id(), namespace.display());
    let digest = Sha256::digest(known.as_bytes());
    hex::encode(digest.get(..8).unwrap_or(&digest))
}
