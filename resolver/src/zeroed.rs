//! Large tables that cost nothing until they are used.

use std::alloc::{Layout, alloc_zeroed};

/// A slice of `len` all-zero values, whose pages the system commits when they are first touched.
///
/// `None` when the memory cannot be had: the caller then works without the table. Nothing here aborts the process.
///
/// # Safety
///
/// All-zero bytes must be a valid `T`.
pub(crate) unsafe fn zeroed_slice<T>(len: usize) -> Option<Box<[T]>> {
    let layout = Layout::array::<T>(len).ok().filter(|layout| layout.size() > 0)?;
    // SAFETY: the layout is not empty.
    let memory = unsafe { alloc_zeroed(layout) }.cast::<T>();
    if memory.is_null() {
        return None;
    }
    // SAFETY: `memory` was allocated by the global allocator with the layout of `[T; len]`, and zero is a valid `T`.
    Some(unsafe { Box::from_raw(std::ptr::slice_from_raw_parts_mut(memory, len)) })
}
