//! Large tables that cost nothing until they are used.

use std::ops::Deref;
use std::ptr::NonNull;

/// A table of all-zero values in a mapping of its own, whose pages the system commits one by one, when they are first
/// written to.
///
/// Not from the allocator: asked for zeroed memory with an alignment above its own, Rust's writes all of it, and any
/// allocator may hand out memory again that was used before.
pub(crate) struct Zeroed<T> {
    /// Dangling when `len` is 0, which is when there is no mapping.
    first: NonNull<T>,
    len: usize,
}

impl<T> Zeroed<T> {
    /// A table of `len` values. Empty when the memory cannot be had: the caller then works without the table. Nothing
    /// here aborts the process.
    ///
    /// # Safety
    ///
    /// All-zero bytes must be a valid `T`.
    pub(crate) unsafe fn new(len: usize) -> Self {
        const { assert!(!std::mem::needs_drop::<T>() && align_of::<T>() <= PAGE) };
        let Some(bytes) = len.checked_mul(size_of::<T>()).filter(|bytes| *bytes > 0) else { return Self::default() };
        match NonNull::new(map(bytes).cast::<T>()) {
            Some(first) => Self { first, len },
            None => Self::default(),
        }
    }
}

impl<T> Default for Zeroed<T> {
    fn default() -> Self {
        Self { first: NonNull::dangling(), len: 0 }
    }
}

impl<T> Deref for Zeroed<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `new` mapped room for `len` values at `first`, zeroed, which is valid for a `T`; with none, an empty
        // slice may dangle. The mapping is there until `drop`, and only shared references are given out.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.len) }
    }
}

impl<T> Drop for Zeroed<T> {
    fn drop(&mut self) {
        if self.len > 0 {
            // SAFETY: `new` mapped this many bytes there; nobody borrows from `self` any more.
            unsafe { libc::munmap(self.first.as_ptr().cast(), self.len * size_of::<T>()) };
        }
    }
}

// SAFETY: it owns its values, as a `Box<[T]>` does.
unsafe impl<T: Send> Send for Zeroed<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Zeroed<T> {}

/// Zeroed memory of the process's own, not counted before it is used; null when there is none to be had.
fn map(bytes: usize) -> *mut libc::c_void {
    let (access, kind) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    // SAFETY: a new mapping wherever the system likes; no memory that there is already is touched.
    unsafe {
        let memory = libc::mmap(std::ptr::null_mut(), bytes, access, kind | libc::MAP_NORESERVE, -1, 0);
        if memory == libc::MAP_FAILED {
            return std::ptr::null_mut();
        }
        // Where the system prefers huge pages, the first byte would commit 2 MiB. Refused: then so be it.
        libc::madvise(memory, bytes, libc::MADV_NOHUGEPAGE);
        memory
    }
}

/// What a mapping is aligned to at the least.
const PAGE: usize = 4096;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::FileExt as _;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    /// Above the alignment of every allocator.
    #[repr(align(64))]
    struct Line(AtomicU64);

    /// Bytes of the table's pages that the system has committed.
    fn committed<T>(table: &Zeroed<T>) -> usize {
        let first = table.first.as_ptr().addr() / PAGE;
        let map = std::fs::File::open("/proc/self/pagemap").unwrap();
        let mut entries = vec![0; (table.len * size_of::<T>()).div_ceil(PAGE) * 8];
        map.read_exact_at(&mut entries, first as u64 * 8).unwrap();
        // In memory, or swapped out.
        entries.chunks_exact(8).filter(|entry| entry[7] & 0xc0 != 0).count() * PAGE
    }

    #[test]
    fn only_the_pages_that_were_written_to_take_memory() {
        // SAFETY: an atomic integer may be zero.
        let table = unsafe { Zeroed::<Line>::new(1 << 19) };
        assert_eq!(committed(&table), 0, "32 MiB, none of them used");
        table[0].0.store(1, Ordering::Relaxed);
        table[1 << 18].0.store(1, Ordering::Relaxed);
        assert_eq!(committed(&table), 2 * PAGE);
        assert!(table[1..1 << 10].iter().all(|line| line.0.load(Ordering::Relaxed) == 0));
    }

    #[test]
    fn a_table_that_is_gone_has_given_its_memory_back() {
        // SAFETY: an atomic integer may be zero.
        let table = unsafe { Zeroed::<Line>::new(1 << 24) };
        let inside = std::ptr::from_ref(&table[1 << 23]).cast_mut().cast();
        // SAFETY: reads and writes nothing; fails where nothing is mapped.
        let is_mapped = || unsafe { libc::msync(inside, PAGE, libc::MS_ASYNC) == 0 };
        assert!(is_mapped());
        drop(table);
        assert!(!is_mapped());
    }

    #[test]
    fn memory_that_cannot_be_had_is_an_empty_table() {
        // SAFETY: an atomic integer may be zero.
        let (huge, beyond, none) =
            unsafe { (Zeroed::<Line>::new(1 << 50), Zeroed::<Line>::new(usize::MAX), Zeroed::<Line>::new(0)) };
        assert!(huge.is_empty() && beyond.is_empty() && none.is_empty());
    }
}
