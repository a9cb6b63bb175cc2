//! The program or a shared object, as the dynamic linker has it in memory.

use std::ffi::{CStr, CString, c_void};
use std::ops::Range;
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};

use tracer_resolver::{LoadedModule, find_loaded_module};

/// One of the loaded ones. A description: it does not keep the module loaded; [`Module::pin`] does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Module {
    /// What its file's addresses are moved by in memory.
    bias: usize,
    /// As the dynamic linker calls it: the path it was loaded by, empty for the program itself.
    name: CString,
    /// Where its parts lie.
    segments: Vec<Range<usize>>,
    /// The program headers and the notes in memory, by which its file is known again.
    marks: Marks,
}

/// What tells one build of a file from another.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Marks {
    /// The program headers: type, place in the file, place in memory, size in the file.
    pub(crate) headers: Vec<[u64; 4]>,
    /// The bytes of each note segment; the build id is among them.
    pub(crate) notes: Vec<Vec<u8>>,
}

impl Module {
    /// The module whose code or data is at `address`. `None`: made at run time, or not known to the dynamic linker.
    pub(crate) fn containing(address: usize) -> Option<Self> {
        Self::search(Some(address)).pop()
    }

    /// All of them, in the order in which they were loaded.
    pub(crate) fn every() -> Vec<Self> {
        Self::search(None)
    }

    /// Whether it came with the program, and so goes with it: it was there when this library was loaded, as the linker's list
    /// has it, whose first ones keep their places.
    pub(crate) fn came_with_the_program(&self) -> bool {
        let mut place = 0;
        let many = AT_LOAD.load(Ordering::Relaxed);
        find_loaded_module(|module| {
            place += 1;
            module.bias() == self.bias && module.name() == &*self.name
        }) && place <= many
    }

    fn search(address: Option<usize>) -> Vec<Self> {
        let mut search = Search { address, ..Search::default() };
        loop {
            find_loaded_module(|module| search.visit(module));
            if search.fits() {
                return search.found.iter().filter_map(|found| Self::new(&search, found)).collect();
            }
            search.grow();
        }
    }

    fn new(search: &Search, found: &Found) -> Option<Self> {
        let headers = search.headers.get(found.headers.clone())?;
        let notes = search.notes.get(found.notes.clone())?;
        let mut name = search.bytes.get(found.name.clone())?.to_vec();
        name.retain(|byte| *byte != 0);
        Some(Self {
            bias: found.bias,
            name: CString::new(name).ok()?,
            segments: search.segments.get(found.segments.clone())?.to_vec(),
            marks: Marks {
                headers: headers.iter().map(|h| [u64::from(h.p_type), h.p_offset, h.p_vaddr, h.p_filesz]).collect(),
                notes: notes.iter().filter_map(|note| search.bytes.get(note.clone())).map(<[u8]>::to_vec).collect(),
            },
        })
    }

    /// See the field.
    pub(crate) fn bias(&self) -> usize {
        self.bias
    }

    /// The path it was loaded by; empty for the program.
    pub(crate) fn name(&self) -> &CStr {
        &self.name
    }

    /// See the field.
    pub(crate) fn marks(&self) -> &Marks {
        &self.marks
    }

    /// Whether this is the program itself.
    pub(crate) fn is_program(&self) -> bool {
        self.name.is_empty()
    }

    pub(crate) fn contains(&self, address: usize) -> bool {
        self.segments.iter().any(|segment| segment.contains(&address))
    }

    /// From its first byte to its last; other modules may lie in between.
    pub(crate) fn range(&self) -> Range<usize> {
        let start = self.segments.iter().map(|segment| segment.start).min().unwrap_or(0);
        start..self.segments.iter().map(|segment| segment.end).max().unwrap_or(0)
    }

    /// A handle of it for `dlsym`, which looks into the module itself and then into those it depends on; for the
    /// program, into everything that is global. Holds the module: see [`Handle`].
    pub(crate) fn open(&self) -> Option<Handle> {
        #[cfg(target_env = "musl")]
        if let Some(handle) = list_of_musl::handle(self) {
            return Some(handle);
        }
        Handle::open(if self.is_program() { None } else { Some(&self.name) })
    }

    /// The name in a message.
    pub(crate) fn shown(&self) -> String {
        if self.is_program() {
            return std::env::current_exe()
                .map_or_else(|_| "the program".to_owned(), |path| path.display().to_string());
        }
        self.name.to_string_lossy().into_owned()
    }
}

/// How many modules there were when this library was loaded.
static AT_LOAD: AtomicUsize = AtomicUsize::new(0);

/// Called when this library is loaded. Takes no memory.
pub(crate) fn count_at_load() {
    let mut many = 0;
    find_loaded_module(|_| {
        many += 1;
        false
    });
    AT_LOAD.store(many, Ordering::Relaxed);
}

/// A loaded module, held until this is dropped, or for ever by [`Handle::keep`].
#[derive(Debug)]
pub(crate) struct Handle(*mut c_void);

impl Handle {
    /// A handle of what is loaded under this name or path; `None` for it is the program.
    pub(crate) fn open(name: Option<&CStr>) -> Option<Self> {
        let name = name.map_or(ptr::null(), CStr::as_ptr);
        // SAFETY: `name` is NUL-terminated, or null for the program. `RTLD_NOLOAD` loads nothing and runs no code.
        let handle = unsafe { libc::dlopen(name, libc::RTLD_LAZY | libc::RTLD_NOLOAD) };
        // Not `then_some`, which would make a handle of null, and close it.
        (!handle.is_null()).then(|| Self(handle))
    }

    /// The address of `name`, in the module or what it depends on.
    pub(crate) fn symbol(&self, name: &CStr) -> Option<usize> {
        // SAFETY: a handle that is open, and a NUL-terminated name.
        let address = unsafe { libc::dlsym(self.0, name.as_ptr()) };
        (!address.is_null()).then(|| address.addr())
    }

    /// The module stays loaded until the process ends.
    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once.
        unsafe { libc::dlclose(self.0) };
    }
}

/// On musl, `dlopen` of what is being constructed waits for that: for ever, where the thread that constructs it waits for the one
/// that asks (`tracer_resolver::with_room`). And it looks for the file, which may be another by now. But there the entry of a
/// module in the list for debuggers is its handle, which `dlsym` holds against that list.
#[cfg(target_env = "musl")]
mod list_of_musl {
    use std::ffi::{CStr, c_char, c_int, c_void};
    use std::ptr;

    use tracer_resolver::find_loaded_module;

    use super::{Handle, Module};

    /// `struct r_debug` of link.h.
    #[repr(C)]
    struct List {
        version: c_int,
        first: *mut Entry,
    }

    /// `struct link_map` of link.h.
    #[repr(C)]
    struct Entry {
        bias: usize,
        name: *const c_char,
        dynamic: *const [usize; 2],
        next: *mut Entry,
    }

    /// None for the program, and where its linker has left no room for the list's address.
    pub(super) fn handle(module: &Module) -> Option<Handle> {
        let mut entry = first()?;
        while !entry.is_null() {
            // SAFETY: an entry of the list, which stays as long as the module does; only its end changes meanwhile.
            let Entry { bias, name, next, .. } = unsafe { entry.read() };
            // SAFETY: the linker's own, and it ends with a NUL.
            if bias == module.bias && !module.is_program() && unsafe { CStr::from_ptr(name) } == &*module.name {
                return Some(Handle(entry.cast::<c_void>()));
            }
            entry = next;
        }
        None
    }

    fn first() -> Option<*mut Entry> {
        const DT_DEBUG: usize = 21;
        let mut dynamic = ptr::null::<[usize; 2]>();
        // The program comes first.
        find_loaded_module(|program| {
            let section = program.headers().iter().find(|header| header.p_type == libc::PT_DYNAMIC);
            let address = section.map(|section| program.bias().wrapping_add(section.p_vaddr as usize));
            dynamic = address.map_or(ptr::null(), ptr::with_exposed_provenance);
            true
        });
        if dynamic.is_null() {
            return None;
        }
        loop {
            // SAFETY: the program's own table, which ends with a zero.
            match unsafe { dynamic.read() } {
                [0, _] | [DT_DEBUG, 0] => return None,
                [DT_DEBUG, list] => {
                    // SAFETY: the dynamic linker has written its address there, and never takes it away.
                    return Some(unsafe { ptr::with_exposed_provenance::<List>(list).read() }.first);
                }
                _ => {}
            }
            // SAFETY: the end was not reached.
            dynamic = unsafe { dynamic.add(1) };
        }
    }
}

/// What [`Search::visit`] fills. The dynamic linker holds a lock meanwhile, for which another thread may wait in the midst of an
/// allocation: so it only fills what is there, and counts what it would have taken.
#[derive(Default)]
struct Search {
    /// `None`: every module is looked for.
    address: Option<usize>,
    found: Vec<Found>,
    headers: Vec<libc::Elf64_Phdr>,
    segments: Vec<Range<usize>>,
    /// Ranges of `bytes`.
    notes: Vec<Range<usize>>,
    bytes: Vec<u8>,
    /// How many of each there are.
    needed: [usize; 5],
}

/// A module: ranges of what is in [`Search`].
struct Found {
    bias: usize,
    name: Range<usize>,
    headers: Range<usize>,
    segments: Range<usize>,
    notes: Range<usize>,
}

impl Search {
    /// Takes what is known of a module, if it is looked for; whether the search is over.
    fn visit(&mut self, module: &LoadedModule<'_>) -> bool {
        if self.address.is_some_and(|address| !module.segments().any(|segment| segment.contains(&address))) {
            return false;
        }
        let [for_found, for_headers, for_segments, for_notes, for_bytes] = &mut self.needed;
        let name = fill(&mut self.bytes, for_bytes, module.name().to_bytes_with_nul());
        let first_note = self.notes.len();
        for note in module.notes() {
            let bytes = fill(&mut self.bytes, for_bytes, note);
            fill(&mut self.notes, for_notes, &[bytes]);
        }
        let notes = first_note..self.notes.len();
        let first_segment = self.segments.len();
        for segment in module.segments() {
            fill(&mut self.segments, for_segments, &[segment]);
        }
        let segments = first_segment..self.segments.len();
        let headers = fill(&mut self.headers, for_headers, module.headers());
        *for_found += 1;
        if self.found.capacity() > self.found.len() {
            self.found.push(Found { bias: module.bias(), name, headers, segments, notes });
        }
        self.address.is_some()
    }

    fn fits(&self) -> bool {
        let has = [self.found.len(), self.headers.len(), self.segments.len(), self.notes.len(), self.bytes.len()];
        has.iter().zip(&self.needed).all(|(has, needed)| has >= needed)
    }

    /// Makes room for what was counted, and some more: another thread may be loading.
    fn grow(&mut self) {
        let [found, headers, segments, notes, bytes] =
            std::mem::take(&mut self.needed).map(|needed| needed + needed / 8 + 16);
        self.found = Vec::with_capacity(found);
        self.headers = Vec::with_capacity(headers);
        self.segments = Vec::with_capacity(segments);
        self.notes = Vec::with_capacity(notes);
        self.bytes = Vec::with_capacity(bytes);
    }
}

/// Appends `items` to `to`, if they fit into what it has, and counts them in any case; where they are.
fn fill<T: Clone>(to: &mut Vec<T>, needed: &mut usize, items: &[T]) -> Range<usize> {
    *needed += items.len();
    let start = to.len();
    if to.capacity() - start >= items.len() {
        to.extend_from_slice(items);
    }
    start..to.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_and_the_c_library_are_told_apart() {
        let program = Module::containing(Module::containing as fn(usize) -> Option<Module> as usize).unwrap();
        assert!(program.is_program() && program.shown().contains("tracer_interceptors"), "{program:?}");
        let strlen = libc::strlen as *const () as usize;
        assert!(!program.contains(strlen));
        let c = Module::containing(strlen).unwrap();
        assert!(!c.is_program() && c.contains(strlen) && c.range().contains(&strlen), "{c:?}");
        assert_eq!(c.open().unwrap().symbol(c"getpid"), Some(libc::getpid as *const () as usize));
        assert_eq!(c.open().unwrap().symbol(c"rd_kafka_new"), None);
        assert!(Module::every().len() > 2 && Module::every().contains(&c) && Module::every().contains(&program));
        assert!(!c.marks().notes.is_empty() && !c.marks().headers.is_empty());
    }

    #[test]
    fn what_was_there_at_load_came_with_the_program_and_nothing_else_did() {
        let of = |address: usize| Module::containing(address).unwrap();
        let program = of(Module::every as fn() -> Vec<Module> as usize);
        let c = of(libc::strlen as *const () as usize);
        AT_LOAD.store(1, Ordering::Relaxed);
        assert!(program.came_with_the_program() && !c.came_with_the_program());
        count_at_load();
        assert!(program.came_with_the_program() && c.came_with_the_program());
    }

    /// Else the linker's lock is held while the allocator's is waited for.
    #[test]
    fn what_does_not_fit_is_counted_and_makes_nothing_grow() {
        let (mut to, mut needed) = (Vec::<u8>::with_capacity(4), 0);
        let has = to.capacity();
        assert_eq!(fill(&mut to, &mut needed, &[1; 3]), 0..3);
        assert_eq!(fill(&mut to, &mut needed, &vec![2; has]), 3..3);
        assert_eq!((to.len(), to.capacity(), needed), (3, has, 3 + has));
        let mut search = Search { needed: [0, 0, 0, 0, needed], bytes: to, ..Search::default() };
        assert!(!search.fits());
        search.grow();
        assert!(search.fits() && search.bytes.capacity() > needed);
    }

    #[test]
    fn memory_that_is_nobody_s_has_no_module() {
        let here = 0;
        assert!(Module::containing((&raw const here).addr()).is_none(), "a stack is no module");
    }
}
