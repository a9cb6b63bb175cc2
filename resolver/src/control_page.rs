//! Where `tracer-interceptors reload PID` leaves its wish, and finds the answer: a file in memory, that this process has
//! open and nobody else can name but by `/proc/PID/fd`, as the kernel allows its user and root only.
//!
//! Nothing lies on a disk, nothing stays behind, and all that can be asked is that the process looks at its own file. The
//! numbers are the machine's, from the beginning of the file:
//!
//! | byte | what |
//! |---|---|
//! | 0 | `TRRELOAD`; `TRCLOSED` while nobody looks at it |
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
use std::os::fd::{AsFd as _, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::own_descriptor::Identity;
use crate::per_process::PerProcess;

/// See the module. Looked at by one thread, and closed when that one goes: who comes then takes it over.
pub(crate) struct ControlPage(Page);

/// Never unmapped, and its descriptor never closed: the application may have closed it, and its number may be another file's.
#[derive(Clone, Copy)]
struct Page {
    place: NonNull<u8>,
    descriptor: RawFd,
    /// What is open under that number as long as it is this file.
    file: Identity,
}

// SAFETY: all that is touched after `new` are atomic numbers, and bytes that one thread writes.
unsafe impl Send for Page {}

/// Those that nobody looks at: there are no more than there once were threads that looked at the same time.
static CLOSED: PerProcess<Mutex<Vec<Page>>> = PerProcess::new();

const SIZE: usize = 64 << 10;
const TEXT: usize = 32;
const ASKED: usize = 16;
const ANSWERED: usize = 20;

impl ControlPage {
    /// # Errors
    ///
    /// Where the system refuses memory files.
    pub(crate) fn new() -> io::Result<Self> {
        let closed = closed().pop().filter(Page::is_open_here);
        let page = closed.map_or_else(Page::new, Ok)?;
        page.number(ANSWERED).store(page.number(ASKED).load(Ordering::Relaxed), Ordering::Relaxed);
        page.write(0, OPEN);
        Ok(Self(page))
    }

    /// What was asked and is not answered.
    pub(crate) fn asked(&self) -> Option<u32> {
        self.0.asked()
    }

    pub(crate) fn answer(&self, asked: u32, outcome: u32, text: &str) {
        self.0.answer(asked, outcome, text);
    }
}

impl Drop for ControlPage {
    fn drop(&mut self) {
        let page = self.0;
        page.write(0, SHUT);
        if let Some(asked) = page.asked() {
            page.answer(
                asked,
                OFF,
                "the configuration is not looked at any more: it has no [reload], or tracing has ended",
            );
        }
        closed().push(page);
    }
}

fn closed() -> MutexGuard<'static, Vec<Page>> {
    CLOSED.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

const OPEN: &[u8; 8] = b"TRRELOAD";
const SHUT: &[u8; 8] = b"TRCLOSED";
const OFF: u32 = 3;

impl Page {
    fn new() -> io::Result<Self> {
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
        let place = NonNull::new(place.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let page = Self { place, descriptor, file: Identity::of(file.as_fd())? };
        page.number(8).store(1, Ordering::Relaxed);
        page.number(12).store(std::process::id(), Ordering::Relaxed);
        // It stays open for whoever looks for it.
        std::mem::forget(file);
        Ok(page)
    }

    /// Whether it is this process's, and its descriptor still the file's.
    fn is_open_here(&self) -> bool {
        let is_own = self.number(12).load(Ordering::Relaxed) == std::process::id();
        // SAFETY: a number that is only asked what it is; the kernel says where it is nobody's.
        let descriptor = unsafe { BorrowedFd::borrow_raw(self.descriptor) };
        is_own && Identity::of(descriptor).is_ok_and(|file| file == self.file)
    }

    fn asked(&self) -> Option<u32> {
        let asked = self.number(ASKED).load(Ordering::Acquire);
        (asked != self.number(ANSWERED).load(Ordering::Relaxed)).then_some(asked)
    }

    fn answer(&self, asked: u32, outcome: u32, text: &str) {
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
        unsafe { &*self.place.as_ptr().add(at).cast::<AtomicU32>() }
    }

    fn write(&self, at: usize, bytes: &[u8]) {
        // SAFETY: callers stay within the page; nobody reads these bytes here.
        unsafe { ptr::copy_nonoverlapping(bytes.as_ptr(), self.place.as_ptr().add(at), bytes.len()) };
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
