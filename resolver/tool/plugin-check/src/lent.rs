//! `Lent`: memory that a plugin is lent for one call: what lies behind its end faults, and so does all of it once it is
//! taken away.

use std::io;
use std::ptr;

/// Pages of their own. The bytes end where the last page ends; behind it is one that nobody may touch. Never unmapped:
/// nothing else can come to lie there, so that whoever touches it later faults.
pub(crate) struct Lent {
    pages: *mut u8,
    /// Of the pages that hold the bytes.
    mapped: usize,
    length: usize,
}

// SAFETY: the pages belong to whoever holds the struct, wherever that is.
unsafe impl Send for Lent {}
// SAFETY: through a shared reference they are only protected, which the kernel orders.
unsafe impl Sync for Lent {}

impl Lent {
    /// A copy that may be read and not written.
    pub(crate) fn sealed(bytes: &[u8]) -> io::Result<Self> {
        let lent = Self::writable(bytes)?;
        lent.protect(libc::PROT_READ)?;
        Ok(lent)
    }

    pub(crate) fn writable(bytes: &[u8]) -> io::Result<Self> {
        let mapped = bytes.len().max(1).next_multiple_of(PAGE);
        // SAFETY: a new anonymous mapping, which touches nothing that is there.
        let pages = unsafe {
            libc::mmap(
                ptr::null_mut(),
                mapped + PAGE,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
                -1,
                0,
            )
        };
        if pages == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let pages = pages.cast::<u8>();
        // SAFETY: the guard is the last page of the mapping; the bytes fit between its start and the guard.
        unsafe {
            libc::mprotect(pages.add(mapped).cast(), PAGE, libc::PROT_NONE);
            ptr::copy_nonoverlapping(bytes.as_ptr(), pages.add(mapped - bytes.len()), bytes.len());
        }
        Ok(Self { pages, mapped, length: bytes.len() })
    }

    pub(crate) fn address(&self) -> *mut u8 {
        // SAFETY: the bytes lie at the end of the mapped pages.
        unsafe { self.pages.add(self.mapped - self.length) }
    }

    /// Whoever still reads it faults.
    pub(crate) fn take_away(&self) -> io::Result<()> {
        self.protect(libc::PROT_NONE)
    }

    fn protect(&self, protection: i32) -> io::Result<()> {
        // SAFETY: pages of ours; of Rust's references none points there.
        match unsafe { libc::mprotect(self.pages.cast(), self.mapped, protection) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A multiple of every page size that Linux has.
const PAGE: usize = 64 * 1024;
