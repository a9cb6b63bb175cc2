//! Where `tracer-interceptors reload PID` leaves its wish, and finds the answer: a file in memory, that this process has
//! open and nobody else can name but by `/proc/PID/fd`, as the kernel allows its user and root only.
//!
//! Nothing lies on a disk, nothing stays behind, and all that can be asked is that the process looks at its own file. The
//! numbers are the machine's, from the beginning of the file:
//!
//! | byte | what |
//! |---|---|
//! | 0 | `TRRELOAD` |
//! | 8 | the version of this table, 1 |
//! | 12 | the process, as it calls itself: a child of a fork has its parent's files open too |
//! | 16 | asked: grows by one with every wish. The only number that others write |
//! | 20 | answered: what `asked` was, when `outcome` and `text` are its answer |
//! | 24 | outcome: 0 changed, 1 unchanged, 2 refused, 3 off |
//! | 28 | bytes of the text |
//! | 32 | the text, UTF-8 |
//!
//! The file's size is sealed: nobody can take memory away that this process has mapped.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

/// See the module. Never unmapped, and its descriptor never closed: the application may have closed it, and its number may be
/// another file's.
pub(crate) struct ControlPage(NonNull<u8>);

// SAFETY: all that is touched after `new` are atomic numbers, and bytes that one thread writes.
unsafe impl Send for ControlPage {}

const SIZE: usize = 64 << 10;
const TEXT: usize = 32;
const ASKED: usize = 16;
const ANSWERED: usize = 20;

impl ControlPage {
    /// # Errors
    ///
    /// Where the system refuses memory files.
    pub(crate) fn new() -> io::Result<Self> {
        let file = memory_file()?;
        let all = SIZE as libc::off_t;
        let seals = libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        let (access, descriptor) = (libc::PROT_READ | libc::PROT_WRITE, file.as_raw_fd());
        // SAFETY: the file is ours; its size is set before it is sealed, and mapped whole, at an address that is free.
        let place = unsafe {
            if libc::ftruncate(descriptor, all) != 0 || libc::fcntl(descriptor, libc::F_ADD_SEALS, seals) != 0 {
                return Err(io::Error::last_os_error());
            }
            libc::mmap(ptr::null_mut(), SIZE, access, libc::MAP_SHARED, descriptor, 0)
        };
        if place == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let page = NonNull::new(place.cast()).map(Self).ok_or(io::ErrorKind::OutOfMemory)?;
        page.number(8).store(1, Ordering::Relaxed);
        page.number(12).store(std::process::id(), Ordering::Relaxed);
        page.write(0, b"TRRELOAD");
        // It stays open for whoever looks for it.
        std::mem::forget(file);
        Ok(page)
    }

    /// What was asked and is not answered.
    pub(crate) fn asked(&self) -> Option<u32> {
        let asked = self.number(ASKED).load(Ordering::Acquire);
        (asked != self.number(ANSWERED).load(Ordering::Relaxed)).then_some(asked)
    }

    pub(crate) fn answer(&self, asked: u32, outcome: u32, text: &str) {
        let mut end = text.len().min(SIZE - TEXT);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let text = text.get(..end).unwrap_or_default();
        self.write(TEXT, text.as_bytes());
        self.number(24).store(outcome, Ordering::Relaxed);
        self.number(28).store(text.len() as u32, Ordering::Relaxed);
        // Release: the answer is there before it is called one.
        self.number(ANSWERED).store(asked, Ordering::Release);
    }

    fn number(&self, at: usize) -> &AtomicU32 {
        // SAFETY: within the page, at a multiple of four, for ever.
        unsafe { &*self.0.as_ptr().add(at).cast::<AtomicU32>() }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        // SAFETY: callers stay within the page; nobody reads these bytes here.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.0.as_ptr().add(at), bytes.len()) };
    }
}

/// Open under a number that no program counts on.
fn memory_file() -> io::Result<OwnedFd> {
    let flags = libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING;
    // By its number: glibc has a function for it since 2.27 only.
    // SAFETY: the name ends with a NUL; the kernel takes it and an unsigned int.
    let file = unsafe { libc::syscall(libc::SYS_memfd_create, c"tracer-interceptors-reload".as_ptr(), flags) };
    let file = libc::c_int::try_from(file).unwrap_or(-1);
    if file < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else knows it.
    let file = unsafe { OwnedFd::from_raw_fd(file) };
    // SAFETY: it is open, and F_DUPFD_CLOEXEC takes an int.
    let high = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_DUPFD_CLOEXEC, 64) };
    if high < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: just opened, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(high) })
}
