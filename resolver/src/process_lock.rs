//! The lock by which a process shows that it lives, and that something on disk is its own.
//!
//! `export/spool/RATIONALE.md`: "Why a lock of `fcntl`, and not of `flock`?"

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::own_descriptor::OwnDescriptor;

/// Held until it is dropped, or the process ends in whatever way.
#[derive(Debug)]
pub(crate) struct ProcessLock {
    path: PathBuf,
    file: OwnDescriptor<File>,
}

impl ProcessLock {
    /// A new one, where no file is yet.
    pub(crate) fn make(path: &Path) -> io::Result<Self> {
        let file = options().create_new(true).mode(0o600).open(path)?;
        let lock = Self::of(path, file)?;
        match lock.is_taken()? {
            true => Ok(lock),
            false => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// The one of a process that has ended; `None` while it lives, or where another has taken it meanwhile.
    pub(crate) fn take_over(path: &Path) -> io::Result<Option<Self>> {
        let lock = Self::of(path, options().open(path)?)?;
        // Between the opening and the lock another may have taken it, sent all there was, and removed it.
        Ok(if lock.is_taken()? && lock.is_in_place() { Some(lock) } else { None })
    }

    /// Whether the lock is still held: a program may close every descriptor that it does not know, and the lock with it.
    pub(crate) fn is_held(&self) -> bool {
        self.file.get().is_ok() && self.is_in_place()
    }

    /// Its folder has another name from here on.
    pub(crate) fn moved_to(&mut self, path: PathBuf) {
        self.path = path;
    }

    fn of(path: &Path, file: File) -> io::Result<Self> {
        if !file.metadata()?.is_file() {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { path: path.to_owned(), file: OwnDescriptor::new(file)? })
    }

    fn is_taken(&self) -> io::Result<bool> {
        let file = self.file.get()?;
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
    fn is_in_place(&self) -> bool {
        self.path.symlink_metadata().is_ok_and(|there| self.file.is(&there))
    }
}

/// No link is followed, none is given to a program that is executed, and nothing waits for another end.
pub(crate) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).custom_flags(libc::O_NOFOLLOW | libc::O_CLOEXEC | libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}
