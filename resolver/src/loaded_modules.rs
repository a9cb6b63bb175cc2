//! The program and the shared objects of this process, as the dynamic linker has them in memory: the one place that goes
//! through their program headers.

use std::ffi::{CStr, c_int, c_void};
use std::ops::Range;

use libc::Elf64_Phdr;

/// One of them, for as long as it is looked at.
#[derive(Debug)]
pub struct LoadedModule<'a> {
    bias: usize,
    name: &'a CStr,
    headers: &'a [Elf64_Phdr],
}

/// Lets `is_it` look at each in the order in which they were loaded, until it says yes; whether it did.
///
/// The dynamic linker holds a lock meanwhile, for which another thread may wait in the midst of an allocation. So `is_it`
/// takes no memory and no lock, and loads nothing.
pub fn find_loaded_module<F: FnMut(&LoadedModule<'_>) -> bool>(is_it: F) -> bool {
    let mut search = Search { is_it, is_first: true };
    // SAFETY: `visit::<F>` is given what `dl_iterate_phdr` documents, and `search`, which is ours alone until it returns.
    unsafe { libc::dl_iterate_phdr(Some(visit::<F>), (&raw mut search).cast()) != 0 }
}

struct Search<F> {
    is_it: F,
    /// Nothing was visited: the next one is the program.
    is_first: bool,
}

impl<'a> LoadedModule<'a> {
    /// What its file's addresses are moved by in memory.
    pub fn bias(&self) -> usize {
        self.bias
    }

    /// The path it was loaded by; empty for the program itself.
    pub fn name(&self) -> &'a CStr {
        self.name
    }

    /// Its program headers.
    pub fn headers(&self) -> &'a [Elf64_Phdr] {
        self.headers
    }

    /// Where its loaded parts lie.
    pub fn segments(&self) -> impl Iterator<Item = Range<usize>> + use<'a> {
        self.places(libc::PT_LOAD)
    }

    /// The bytes of each of its note segments that is in memory.
    pub fn notes(&self) -> impl Iterator<Item = &'a [u8]> {
        let is_loaded = |note: &Range<usize>| {
            !note.is_empty() && self.segments().any(|segment| segment.start <= note.start && note.end <= segment.end)
        };
        // SAFETY: inside a loaded segment of a module that stays while it is looked at; notes are never written to.
        let bytes = |note: Range<usize>| unsafe {
            std::slice::from_raw_parts(std::ptr::with_exposed_provenance::<u8>(note.start), note.len())
        };
        self.places(libc::PT_NOTE).filter(is_loaded).map(bytes)
    }

    fn places(&self, of: u32) -> impl Iterator<Item = Range<usize>> + use<'a> {
        let bias = self.bias;
        self.headers.iter().filter(move |header| header.p_type == of).map(move |header| {
            let start = bias.wrapping_add(header.p_vaddr as usize);
            start..start.wrapping_add(header.p_memsz as usize)
        })
    }
}

/// # Safety
///
/// Called by `dl_iterate_phdr` only, with a `Search<F>`. Not 0: the search is over.
unsafe extern "C" fn visit<F: FnMut(&LoadedModule<'_>) -> bool>(
    info: *mut libc::dl_phdr_info,
    _size: usize,
    search: *mut c_void,
) -> c_int {
    // SAFETY: `find_loaded_module` gave a `Search<F>`, and waits; the dynamic linker gives a valid `info`.
    let (info, search) = unsafe { (&*info, &mut *search.cast::<Search<F>>()) };
    // SAFETY: the dynamic linker's own table of that length, and a name that ends with a NUL: both stay as the module does.
    let (headers, name) = unsafe {
        (
            if info.dlpi_phdr.is_null() {
                &[]
            } else {
                std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum))
            },
            if info.dlpi_name.is_null() { c"" } else { CStr::from_ptr(info.dlpi_name) },
        )
    };
    // musl gives the program the name that it was called by, and none to what the kernel maps into every process.
    let is_program = std::mem::replace(&mut search.is_first, false);
    let name = match name {
        _ if is_program => c"",
        name if name.is_empty() => c"linux-vdso.so.1",
        name => name,
    };
    (search.is_it)(&LoadedModule { bias: info.dlpi_addr as usize, name, headers }).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_comes_first_and_the_c_library_has_its_function_and_a_note() {
        let mut names = 0;
        assert!(find_loaded_module(|module| {
            names += 1;
            module.name().is_empty()
        }));
        assert_eq!(names, 1);
        let strlen = libc::strlen as *const () as usize;
        assert!(find_loaded_module(|module| {
            module.segments().any(|segment| segment.contains(&strlen))
                && module.name().to_bytes().ends_with(b"libc.so.6")
                && module.notes().any(|note| note.windows(4).any(|name| name == b"GNU\0"))
        }));
        assert!(!find_loaded_module(|_| false));
    }
}
