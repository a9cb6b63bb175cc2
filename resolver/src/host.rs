//! What this process and its machine are called, for the resource of every service; and what else runs in it.

use std::ops::Range;

use crate::loaded_modules::{LoadedModule, find_loaded_module};
use crate::per_process::{self, FirstMade, PerProcess};

/// The machine's name; empty when the system does not say.
pub(crate) fn host_name() -> &'static str {
    static NAME: FirstMade<String> = FirstMade::new();
    NAME.get_or_init(|| {
        let mut name = [0_u8; 256];
        // SAFETY: writes at most as many bytes as `name` has.
        let known = unsafe { libc::gethostname(name.as_mut_ptr().cast(), name.len()) } == 0;
        let len = name.iter().position(|byte| *byte == 0).filter(|_| known).unwrap_or(0);
        String::from_utf8_lossy(name.get(..len).unwrap_or_default()).into_owned()
    })
}

/// The name of the file that this program is; empty when the system does not say.
pub(crate) fn executable_name() -> &'static str {
    static NAME: FirstMade<String> = FirstMade::new();
    NAME.get_or_init(|| {
        let path = std::env::current_exe().unwrap_or_default();
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    })
}

/// A random UUID (version 4) of this process: `service.instance.id`.
pub(crate) fn instance_id() -> &'static str {
    static ID: PerProcess<String> = PerProcess::new();
    ID.get_or_init(new_instance_id)
}

fn new_instance_id() -> String {
    let mut id = crate::tracer::ids::new_trace_id();
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let hex = hex::encode(id);
    let part = |range: std::ops::Range<usize>| hex.get(range).unwrap_or_default().to_owned();
    [part(0..8), part(8..12), part(12..16), part(16..20), part(20..32)].join("-")
}

/// Whether this process is a fork that runs its parent's program still: such children often end by `_exit()`, without
/// the C library's exit handlers, as Python's multiprocessing has it.
pub(crate) fn is_fork() -> bool {
    /// Of proc(5)'s `stat`, counted behind the name.
    const FLAGS: usize = 6;
    /// `PF_FORKNOEXEC` of the kernel's sched.h.
    const FORKED_WITHOUT_EXEC: u64 = 0x40;
    static IS: PerProcess<bool> = PerProcess::new();
    *IS.get_or_init(|| {
        let flags = per_process::stat_field(FLAGS);
        per_process::generation() > 0 || flags.is_some_and(|flags| flags & FORKED_WITHOUT_EXEC != 0)
    })
}

/// Whether code of Go is loaded: its goroutines wander between threads, and its programs end without C's exit handlers.
///
/// Go's linker leaves a note in what it links. Looked up once, at the first call.
pub(crate) fn has_go_code() -> bool {
    static HAS: FirstMade<bool> = FirstMade::new();
    *HAS.get_or_init(|| find_loaded_module(is_go))
}

/// Whether what holds this code is of Go: `belongs` says of a loaded segment whether the code lies there.
pub(crate) fn is_go_code(belongs: impl Fn(&Range<usize>) -> bool) -> bool {
    find_loaded_module(|module| module.segments().any(|segment| belongs(&segment)) && is_go(module))
}

fn is_go(module: &LoadedModule<'_>) -> bool {
    const GO: &[u8] = b"Go\0\0";
    // A name stands at a multiple of four.
    module.notes().any(|note| note.chunks_exact(GO.len()).any(|name| name == GO))
}

/// Whether this is Node.js or one of its like: threads of a pool are handed the messages, and JavaScript processes them on
/// another.
///
/// Such a program exports the functions that native modules are written against. Looked up once, at the first call.
///
/// `interceptor/RATIONALE.md`: "Why is Node.js recognised, and its messages only received?"
pub(crate) fn is_node() -> bool {
    static IS: FirstMade<bool> = FirstMade::new();
    // SAFETY: looks up a NUL-terminated name.
    *IS.get_or_init(|| !unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"napi_create_function".as_ptr()) }.is_null())
}
