//! What setting up took of code is given back: it is not run again, and a process would count it as its own memory.
//!
//! `RATIONALE.md`, "Why is the code of the set-up given back?"

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::atomic::{AtomicBool, Ordering};

use super::calls::known_code;
use super::mapping;
use crate::loaded_modules::find_loaded_module;

/// Lets go of the pages of our library and of the plugins, as far as they hold nothing but what is in their files. What is
/// run or read of them after this comes back by itself, from the page cache.
///
/// Once a process, on a thread of ours, when the first batch has been handed over, and so everything has been set up;
/// later calls do nothing. A program that has the engine linked in keeps its own code.
pub(super) fn give_back() {
    static BEGUN: AtomicBool = AtomicBool::new(false);
    first(&BEGUN, || {
        let own = give_back as fn() as usize;
        let own = (!mapping::is_of_the_program(own)).then_some(own);
        let modules: Vec<usize> = own.into_iter().chain(known_code()).collect();
        give_back_modules(&modules, &loaded_parts(&modules));
    });
}

/// Not by a `Once`: a child that is forked while a thread of its parent's is in there has no such thread, and would wait for it
/// for ever.
fn first(begun: &AtomicBool, work: impl FnOnce()) {
    if !begun.swap(true, Ordering::Relaxed) {
        work();
    }
}

/// Of the files that these addresses are mapped from, what lies in `stays`, which is nobody's to unmap.
///
/// The program may map such a file for a moment itself, to read its symbols. By the time that is known here it may be gone, and
/// the place be memory that the program writes to.
fn give_back_modules(addresses: &[usize], stays: &[Range<usize>]) {
    let Ok(pages) = File::open("/proc/self/pagemap") else { return };
    for mapping in mapping::same_files(addresses).iter().filter(|mapping| !mapping.is_writable) {
        let part = |stay: &Range<usize>| mapping.range.start.max(stay.start)..mapping.range.end.min(stay.end);
        for untouched in stays.iter().map(part).flat_map(|part| as_in_the_file(&pages, part)) {
            // SAFETY: memory that is mapped from a file by the dynamic linker, for good, and was never written to: the kernel said
            // so a moment ago, and nothing writes to what is mapped to be read only. The next access finds the same bytes there.
            unsafe { libc::madvise(untouched.start as *mut libc::c_void, untouched.len(), libc::MADV_DONTNEED) };
        }
    }
}

/// Whole pages of the modules in which these addresses are, as the dynamic linker has them: ours and plugins, which are never
/// unloaded.
fn loaded_parts(addresses: &[usize]) -> Vec<Range<usize>> {
    let page = page_size();
    // Nothing may take memory while the linker is asked; what does not fit is not given back.
    let mut parts = Vec::with_capacity(MOST_PARTS);
    find_loaded_module(|module| {
        if addresses.iter().any(|address| module.segments().any(|segment| segment.contains(address))) {
            let room = parts.capacity() - parts.len();
            parts.extend(module.segments().take(room).map(|of| of.start / page * page..of.end.next_multiple_of(page)));
        }
        false
    });
    parts
}

/// A module has four or five.
const MOST_PARTS: usize = 256;

/// The parts of what is mapped whose pages are the file's own. Pages that were changed are not: relocated ones, and those into
/// which a debugger has put a breakpoint.
fn as_in_the_file(pages: &File, mapped: Range<usize>) -> Vec<Range<usize>> {
    let page = page_size();
    let mut entries = vec![0; mapped.len() / page * ENTRY];
    if pages.read_exact_at(&mut entries, (mapped.start / page * ENTRY) as u64).is_err() {
        return Vec::new();
    }
    let (entries, _) = entries.as_chunks::<ENTRY>();
    let mut runs: Vec<Range<usize>> = Vec::new();
    for (start, entry) in (mapped.start..).step_by(page).zip(entries) {
        if is_changed(u64::from_ne_bytes(*entry)) {
            continue;
        }
        match runs.last_mut() {
            Some(run) if run.end == start => run.end += page,
            _ => runs.push(start..start + page),
        }
    }
    runs
}

/// Of an entry of `/proc/PID/pagemap` (the kernel's `admin-guide/mm/pagemap`): present, or swapped out, and not of a file.
fn is_changed(entry: u64) -> bool {
    const PRESENT_OR_SWAPPED: u64 = 0b11 << 62;
    const OF_A_FILE: u64 = 1 << 61;
    entry & PRESENT_OR_SWAPPED != 0 && entry & OF_A_FILE == 0
}

fn page_size() -> usize {
    // SAFETY: asks for a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Bytes for each page.
const ENTRY: usize = 8;

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd as _;
    use std::ptr;
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn a_child_that_is_forked_meanwhile_waits_for_nobody() {
        let (begun, meanwhile) = (AtomicBool::new(false), Barrier::new(2));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                first(&begun, || {
                    meanwhile.wait();
                    meanwhile.wait();
                });
            });
            meanwhile.wait();
            let is_well = crate::plugin::forked::child_is_well(|| {
                first(&begun, || ());
                true
            });
            meanwhile.wait();
            assert!(is_well);
        });
    }

    /// A file of 64 pages, mapped privately.
    struct Mapped {
        start: *mut u8,
        page: usize,
    }

    impl Mapped {
        fn new() -> Self {
            let page = page_size();
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), vec![b'f'; PAGES * page]).unwrap();
            // SAFETY: a new mapping, where the kernel likes it.
            let start = unsafe {
                let protection = libc::PROT_READ | libc::PROT_WRITE;
                libc::mmap(ptr::null_mut(), PAGES * page, protection, libc::MAP_PRIVATE, file.as_raw_fd(), 0)
            };
            assert_ne!(start, libc::MAP_FAILED);
            Self { start: start.cast(), page }
        }

        fn byte(&self, page: usize) -> u8 {
            // SAFETY: within the mapping.
            unsafe { self.start.add(page * self.page).read_volatile() }
        }

        fn write(&self, page: usize) {
            // SAFETY: within the mapping, which is writable still.
            unsafe { self.start.add(page * self.page).write_volatile(b'w') };
        }

        fn make_read_only(&self) {
            // SAFETY: the mapping is ours.
            let done = unsafe { libc::mprotect(self.start.cast(), PAGES * self.page, libc::PROT_READ) };
            assert_eq!(done, 0);
        }

        fn resident(&self) -> usize {
            let mut pages = [0_u8; PAGES * ENTRY];
            let file = File::open("/proc/self/pagemap").unwrap();
            file.read_exact_at(&mut pages, (self.start as usize / self.page * ENTRY) as u64).unwrap();
            pages.as_chunks::<ENTRY>().0.iter().filter(|entry| u64::from_ne_bytes(**entry) >> 63 == 1).count()
        }
    }

    const PAGES: usize = 64;
    const EVERYWHERE: Range<usize> = 0..usize::MAX;

    #[test]
    fn pages_of_a_file_are_given_back_and_come_again() {
        let mapped = Mapped::new();
        mapped.make_read_only();
        assert!((0..PAGES).all(|page| mapped.byte(page) == b'f'));
        assert_eq!(mapped.resident(), PAGES);
        give_back_modules(&[mapped.start as usize], std::slice::from_ref(&EVERYWHERE));
        assert_eq!(mapped.resident(), 0);
        assert_eq!(mapped.byte(7), b'f');
    }

    /// It may be unmapped at any moment, and something else be at its place.
    #[test]
    fn what_somebody_else_has_mapped_of_the_same_file_is_left_alone() {
        let mapped = Mapped::new();
        mapped.make_read_only();
        assert!((0..PAGES).all(|page| mapped.byte(page) == b'f'));
        let start = mapped.start as usize;
        let stays = start + 3 * mapped.page..start + 5 * mapped.page;
        give_back_modules(&[start], &[stays, 0..mapped.page]);
        assert_eq!(mapped.resident(), PAGES - 2);
    }

    #[test]
    fn of_a_loaded_module_all_its_parts_stay() {
        let code = libc::strlen as *const () as usize;
        let parts = loaded_parts(&[code]);
        assert!(parts.len() > 2 && parts.iter().any(|part| part.contains(&code)), "{parts:?}");
        let mut mapped = mapping::same_files(&[code]);
        mapped.retain(|mapping| {
            !parts.iter().any(|part| part.start <= mapping.range.start && mapping.range.end <= part.end)
        });
        assert_eq!(mapped, []);
    }

    /// As a relocation is, or a breakpoint.
    #[test]
    fn what_was_changed_stays_as_it_is() {
        let mapped = Mapped::new();
        mapped.write(0);
        mapped.write(5);
        mapped.make_read_only();
        assert!((1..5).all(|page| mapped.byte(page) == b'f'));
        give_back_modules(&[mapped.start as usize], std::slice::from_ref(&EVERYWHERE));
        assert_eq!(mapped.resident(), 2);
        assert_eq!((mapped.byte(0), mapped.byte(1), mapped.byte(5)), (b'w', b'f', b'w'));
    }

    #[test]
    fn what_is_writable_is_left_alone() {
        let mapped = Mapped::new();
        assert_eq!(mapped.byte(3), b'f');
        let before = mapped.resident();
        give_back_modules(&[mapped.start as usize], std::slice::from_ref(&EVERYWHERE));
        assert_eq!(mapped.resident(), before);
    }

    #[test]
    fn a_page_that_is_swapped_out_was_changed() {
        assert!(is_changed(1 << 63) && is_changed(1 << 62));
        assert!(!is_changed(0), "never touched");
        assert!(!is_changed((1 << 63) | (1 << 61)), "the file's own");
    }
}
