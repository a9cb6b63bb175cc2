//! The end of the process as the C library tells of it: `exit()`, `quick_exit()`, and the last moment of all.

use crate::cancellation::uncancelled;
use crate::per_process::FirstMade;

/// Lets `first` run when the process ends normally: after `main`, or in `exit()`. And `last` when all else has run that was
/// registered for that moment, the destructors of static objects too; it alone runs in `quick_exit()`.
///
/// `RATIONALE.md`: "Why does a normal end have two handlers?"
pub(super) fn register(first: fn(), last: fn()) {
    if HANDLERS.get().is_none() {
        // First of all: a child that is forked before they are known does it itself. Of two threads at once both are taken, and
        // the second end finds nothing to wait for.
        // SAFETY: functions of this program or of a library that is never unloaded.
        unsafe {
            libc::atexit(exit_begins);
            at_quick_exit(exit_ends);
        }
        HANDLERS.get_or_init(|| Handlers { first, last });
    }
}

static HANDLERS: FirstMade<Handlers> = FirstMade::new();

struct Handlers {
    first: fn(),
    last: fn(),
}

unsafe extern "C" {
    fn at_quick_exit(handler: extern "C" fn()) -> libc::c_int;
}

extern "C" fn exit_begins() {
    if let Some(Handlers { first, .. }) = HANDLERS.get() {
        // Nothing may unwind into the C library.
        let _ = uncancelled(|| std::panic::catch_unwind(first));
    }
}

extern "C" fn exit_ends() {
    if let Some(Handlers { last, .. }) = HANDLERS.get() {
        let _ = uncancelled(|| std::panic::catch_unwind(last));
    }
}

/// What the dynamic linker calls when the process ends, after all handlers; of a library that stays loaded, not before.
#[used]
// SAFETY: an array of such functions is what that section is.
#[unsafe(link_section = ".fini_array")]
static AT_THE_VERY_END: extern "C" fn() = exit_ends;
