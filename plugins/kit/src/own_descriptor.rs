//! `OwnDescriptor`: a file or a socket whose number the program around us may close, and give to another one.
//!
//! Programs close what they do not know: daemons, and whoever starts another program. What is opened next gets the number.

use std::fs::Metadata;
use std::io;
use std::mem;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;

use rustix::fs::{Dev, fstat};

/// A file or a socket, for as long as its descriptor is still the one that was opened.
///
/// Between the look and the use the program may close it still: that is a matter of microseconds, and not of hours.
#[derive(Debug)]
pub struct OwnDescriptor<T: AsFd> {
    /// `None` only while it is dropped.
    inner: Option<T>,
    /// Device and inode of what was opened. Each socket has an inode of its own.
    identity: (Dev, u64),
}

impl<T: AsFd> OwnDescriptor<T> {
    /// # Errors
    ///
    /// Of `fstat`.
    pub fn new(inner: T) -> io::Result<Self> {
        Ok(Self { identity: identity(&inner)?, inner: Some(inner) })
    }

    /// `None` where the number is nobody's any more, or another file's: what is read or written by it is not ours. Costs one
    /// `fstat`.
    pub fn get(&self) -> Option<&T> {
        self.inner.as_ref().filter(|inner| identity(inner).is_ok_and(|identity| identity == self.identity))
    }

    /// Whether what `other` says is there is what was opened.
    pub fn is(&self, other: &Metadata) -> bool {
        (other.dev(), other.ino()) == self.identity
    }
}

impl<T: AsFd> Drop for OwnDescriptor<T> {
    fn drop(&mut self) {
        if self.get().is_none() {
            // Closing it would close the program's.
            mem::forget(self.inner.take());
        }
    }
}

fn identity(file: &impl AsFd) -> io::Result<(Dev, u64)> {
    let file = fstat(file)?;
    Ok((file.st_dev, file.st_ino))
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::os::fd::BorrowedFd;
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
            let number = Number {
                ours: open("/dev/null"),
                others: open("/dev/zero"),
                is_ours: Rc::clone(&is_ours),
                is_closed: Rc::clone(&is_closed),
            };
            let own = OwnDescriptor::new(number).unwrap();
            assert!(own.get().is_some());
            is_ours.set(stays_ours);
            assert_eq!(own.get().is_some(), stays_ours);
            drop(own);
            assert_eq!(is_closed.get(), stays_ours);
        }
    }
}
