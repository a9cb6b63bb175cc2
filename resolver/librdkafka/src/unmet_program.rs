//! A program that `tracer-interceptors run` has started, and that comes to its end without a client of ours: one line.
//!
//! What runs at load, and at the end, looks for one variable, and goes on only in the very process that `run` became. Its
//! children have the variable too, and another process id.

use std::ffi::{CStr, c_char};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use tracer_resolver::write_to_stderr;

/// A client of this process has come here by one of the ways in.
pub(crate) fn met() {
    MET.store(true, Ordering::Relaxed);
}

/// Whether one has, in this process or the one it was forked from. What the preloaded library takes over does nothing before:
/// most processes of a preloaded environment are no clients, and some are sandboxes, where a system call may be the end.
pub(crate) fn is_met() -> bool {
    MET.load(Ordering::Relaxed)
}

/// Says that none has, if `run` wants to know. Once, and without a lock or an allocation: it may run in a signal handler, and
/// in a child of `vfork`, which has another process id.
pub(crate) fn tell() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if is_met() || !is_asked() || !says_warnings() || has_had_children() {
        return;
    }
    if !TOLD.swap(true, Ordering::Relaxed) {
        write_to_stderr(UNMET);
    }
}

static MET: AtomicBool = AtomicBool::new(false);
/// What the children had used that the process waited for before it became this program: as a script that ends by `exec`.
static USED_BEFORE: AtomicI64 = AtomicI64::new(0);

/// Runs when the dynamic linker has loaded this library.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".init_array")]
static AT_LOAD: extern "C" fn() = at_load;

#[cfg(not(test))]
extern "C" fn at_load() {
    if is_asked() {
        USED_BEFORE.store(used_by_children(), Ordering::Relaxed);
    }
}

/// Runs when the process ends normally, after the handlers of `atexit`.
#[cfg(not(test))]
#[used]
#[unsafe(link_section = ".fini_array")]
static AT_THE_END: extern "C" fn() = at_the_end;

#[cfg(not(test))]
extern "C" fn at_the_end() {
    tell();
}

/// Whether `run` became this very process.
fn is_asked() -> bool {
    let asked = value(c"TRACER_INTERCEPTORS_RUN").and_then(|value| value.to_str().ok()?.parse::<u32>().ok());
    asked == Some(std::process::id())
}

/// As `OTEL_LOG_LEVEL` has it; the log itself may not have been set up.
fn says_warnings() -> bool {
    value(c"OTEL_LOG_LEVEL").is_none_or(|level| {
        !["none", "off", "error"].iter().any(|quiet| level.to_bytes().eq_ignore_ascii_case(quiet.as_bytes()))
    })
}

/// Whether it has waited for a child, as a shell does: it may have had its clients there.
fn has_had_children() -> bool {
    used_by_children() != USED_BEFORE.load(Ordering::Relaxed)
}

/// How many pages were given to the children that the process has waited for, if it has for any.
fn used_by_children() -> i64 {
    // SAFETY: a struct of numbers, for which zeroes are valid; `getrusage` writes it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &raw mut usage);
        usage.ru_minflt
    }
}

fn value(name: &CStr) -> Option<&'static CStr> {
    // SAFETY: a NUL-terminated name. What is found stays: nobody changes the environment while a process ends.
    let value: *const c_char = unsafe { libc::getenv(name.as_ptr()) };
    // SAFETY: a string of the environment is NUL-terminated.
    (!value.is_null()).then(|| unsafe { CStr::from_ptr(value) })
}

const UNMET: &str = "tracer-resolver: WARN: this process has made no librdkafka client that could be traced. If librdkafka is \
    linked into the program, or found at run time (as by Go, Rust, PHP, .NET or ctypes), give its clients the property \
    plugin.library.paths, with what `tracer-interceptors path` prints. Clients that are not built on librdkafka cannot be \
    traced\n";
