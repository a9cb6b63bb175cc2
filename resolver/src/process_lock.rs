//! The lock by which a process shows that it lives, and that something on disk is its own.
//!
//! `export/spool/RATIONALE.md`: "Why a lock of `fcntl`, and not of `flock`?"

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::own_descriptor::{Identity, OwnDescriptor};
use crate::per_process::PerProcess;

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    path: PathBuf,
    /// `None` only while it is dropped.
    file: Option<OwnDescriptor<File>>,
    identity: Identity,
}

/// The files of all locks that this process holds: to the kernel, who asks for a lock of his own process's has it.
///
/// Taken around every opening and closing of such a file: closing one that another thread has just locked gives its lock away.
static HELD: PerProcess<Mutex<Vec<Identity>>> = PerProcess::new();

fn held() -> MutexGuard<'static, Vec<Identity>> {
    HELD.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl ProcessLock {
    /// A new one, where no file is yet.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let mut held = held();
        let file = options().create_new(true).mode(0o600).open(path)?;
        Self::of(path, file, &mut held)?.ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// The one of a process that has ended; `None` while it lives, this one included, or where another has taken it meanwhile.
    ///
    /// `may_be_ours`: another copy of this library in this process may hold it, of which [`HELD`] knows nothing.
    pub(crate) fn take_over(path: &Path, may_be_ours: bool) -> io::Result<Option<Self>> {
        let mut held = held();
        // Before it is opened, which cannot be undone without a close.
        let there = path.symlink_metadata()?;
        if held.contains(&Identity::told_by(&there)) || may_be_ours && is_open_here(&there) {
            return Ok(None);
        }
        Self::of(path, options().open(path)?, &mut held)
    }

    /// Whether the lock is still held: a program may close every descriptor that it does not know, and the lock with it.
    pub(crate) fn is_held(&self) -> bool {
        self.file.as_ref().is_some_and(|file| file.get().is_ok() && is_in_place(&self.path, file))
    }

    /// Its folder has another name from here on.
    pub(crate) fn moved_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    fn of(path: &Path, file: File, held: &mut Vec<Identity>) -> io::Result<Option<Self>> {
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let file = OwnDescriptor::new(file)?;
        // Between the opening and the lock another may have taken it, sent all there was, and removed it.
        if !is_taken(file.get()?)? || !is_in_place(path, &file) {
            return Ok(None);
        }
        let identity = file.identity();
        held.push(identity);
        Ok(Some(Self { path: path.to_owned(), file: Some(file), identity }))
    }
}

impl Drop for ProcessLock {
    fn drop(&mut self) {
        let mut held = held();
        // First, so that nobody opens what is about to be closed.
        drop(self.file.take());
        if let Some(place) = held.iter().position(|known| *known == self.identity) {
            held.swap_remove(place);
        }
    }
}

fn is_taken(file: &File) -> io::Result<bool> {
    let range = libc::flock {
        l_type: libc::F_WRLCK as libc::c_short,
        l_whence: libc::SEEK_SET as libc::c_short,
        l_start: 0,
        l_len: 0,
        l_pid: 0,
    };
    // SAFETY: `file` is open until after the call, which only reads `range`.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETLK, &raw const range) } == 0 {
        return Ok(true);
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EACCES) => Ok(false),
        _ => Err(error),
    }
}

/// Whether the path leads to the file that is locked.
fn is_in_place(path: &Path, file: &OwnDescriptor<File>) -> bool {
    path.symlink_metadata().is_ok_and(|there| file.is(&there))
}

/// Whether a descriptor of this process, whoever opened it, is of that lock. `false` where nobody can tell.
fn is_open_here(there: &Metadata) -> bool {
    let descriptors = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    let is_of_it = |path: PathBuf| {
        // By its name first: a look at a file of the program's may wait for a server.
        let may_be = fs::read_link(&path).is_ok_and(|file| file.ends_with(LOCK));
        may_be && fs::metadata(path).is_ok_and(|open| Identity::told_by(&open) == Identity::told_by(there))
    };
    descriptors.map(|entry| entry.path()).any(is_of_it)
}

/// The name of every such file.
pub(crate) const LOCK: &str = "lock";

/// No link is followed, none is given to a program that is executed, and nothing waits for another end.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}
