//! `OwnDescriptor`: a file or a socket whose number the program around us may close, and give to another one.
//!
//! Programs close what they do not know: daemons, and whoever starts another program. What is opened next gets the number.

use std::fs::Metadata;
use std::io;
use std::mem::{self, MaybeUninit};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;

/// A file or a socket, for as long as its descriptor is still the one that was opened.
///
/// Between the look and the use the program may close it still: that is a matter of microseconds, and not of hours.
#[derive(Debug)]
pub(crate) struct OwnDescriptor<T: AsFd> {
    /// `None` only while it is dropped.
    inner: Option<T>,
    identity: Identity,
}

/// Device and inode. Each socket, and each file in memory, has an inode of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Identity(libc::dev_t, libc::ino_t);

impl<T: AsFd> OwnDescriptor<T> {
    /// # Errors
    ///
    /// Of `fstat`.
    pub(crate) fn new(inner: T) -> io::Result<Self> {
        Ok(Self { identity: Identity::of(inner.as_fd())?, inner: Some(inner) })
    }

    /// What was opened.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the number is nobody's any more, or another file's: what is read or written by it is not ours.
    pub(crate) fn get(&self) -> io::Result<&T> {
        let own = self.inner.as_ref().filter(|inner| Identity::of(inner.as_fd()).is_ok_and(|of| of == self.identity));
        own.ok_or_else(|| io::ErrorKind::NotConnected.into())
    }

    /// Whether what `other` says is there is what was opened.
    pub(crate) fn is(&self, other: &Metadata) -> bool {
        Identity::told_by(other) == self.identity
    }

    /// Of what was opened, whatever its number is now.
    pub(crate) fn identity(&self) -> Identity {
        self.identity
    }
}

impl<T: AsFd> Drop for OwnDescriptor<T> {
    fn drop(&mut self) {
        if self.get().is_err() {
            // Closing it would close the program's.
            mem::forget(self.inner.take());
        }
    }
}

impl Identity {
    /// What is at the place of a path.
    pub(crate) fn told_by(metadata: &Metadata) -> Self {
        Self(metadata.dev(), metadata.ino())
    }

    /// What is open under this number.
    ///
    /// # Errors
    ///
    /// Of `fstat`.
    pub(crate) fn of(descriptor: BorrowedFd<'_>) -> io::Result<Self> {
        let mut told = MaybeUninit::<libc::stat>::uninit();
        // SAFETY: the kernel fills it in, or says that it has not.
        if unsafe { libc::fstat(descriptor.as_raw_fd(), told.as_mut_ptr()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: filled in above.
        let told = unsafe { told.assume_init() };
        Ok(Self(told.st_dev, told.st_ino))
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::rc::Rc;

    use super::*;

    /// What another file may take the number of.
    struct Number {
        ours: File,
        others: File,
        is_ours: Rc<Cell<bool>>,
        is_closed: Rc<Cell<bool>>,
    }

    impl AsFd for Number {
        fn as_fd(&self) -> BorrowedFd<'_> {
            if self.is_ours.get() { self.ours.as_fd() } else { self.others.as_fd() }
        }
    }

    impl Drop for Number {
        fn drop(&mut self) {
            self.is_closed.set(true);
        }
    }

    #[test]
    fn a_number_that_is_another_file_s_is_neither_used_nor_closed() {
        for stays_ours in [true, false] {
            let (is_ours, is_closed) = (Rc::new(Cell::new(true)), Rc::new(Cell::new(false)));
            let open = |path: &str| File::open(path).unwrap();
            let (ours, others) = (open("/dev/null"), open("/dev/zero"));
            let told = ours.metadata().unwrap();
            let number = Number { ours, others, is_ours: Rc::clone(&is_ours), is_closed: Rc::clone(&is_closed) };
            let own = OwnDescriptor::new(number).unwrap();
            assert!(own.get().is_ok() && own.is(&told));
            is_ours.set(stays_ours);
            assert_eq!(own.get().is_ok(), stays_ours);
            drop(own);
            assert_eq!(is_closed.get(), stays_ours);
        }
    }
}
