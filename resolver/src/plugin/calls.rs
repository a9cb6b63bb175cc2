//! Calls into plugins: which threads are in one, and whose code a plugin is.

use std::any::Any;
use std::cell::Cell;
use std::fmt::{self, Display};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};

use super::kept_mask::KeptMask;
use super::thread_mark::{self, Marked};
use crate::diagnostics;

/// Whether the calling thread is inside of a plugin: in one of its functions, or in its constructors; or on a thread that was
/// started there.
///
/// What it does there is the plugin's own: a Kafka client that it makes is not traced, and must not wait for a resolver
/// that waits for the plugin. Not for hot paths: asks the kernel.
pub fn is_in_plugin() -> bool {
    DEPTH.get() > 0 || thread_mark::is_marked()
}

/// Shows `show` in which call of which plugin this thread is, for a line about what it does there. Nothing in a child that a plugin
/// has forked: that is a process of its own. Takes no memory and no lock.
pub(crate) fn place<T>(show: impl FnOnce(&dyn Display) -> T) -> Option<T> {
    if !thread_mark::is_of_this_process() {
        return None;
    }
    match CURRENT.get() {
        // SAFETY: the call that put it there is under way on this thread, and has lent it.
        Some(call) => Some(show(unsafe { call.as_ref() })),
        None if is_in_plugin() => Some(show(&"a thread of a plugin")),
        None => None,
    }
}

/// One call into a plugin.
pub(super) struct Call<'a> {
    /// The plugin's name in the configuration.
    pub(super) plugin: &'a str,
    /// The function, in the header's words.
    pub(super) function: &'a str,
}

impl Display for Call<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the {} of plugin `{}`", self.function, self.plugin)
    }
}

/// Whether `belongs` says so of the code of any plugin that was loaded: threads of a plugin are known by where they call
/// from.
pub fn is_code_of_a_plugin(belongs: impl Fn(usize) -> bool) -> bool {
    known_code().any(belongs)
}

/// An address within each plugin that was loaded.
pub(super) fn known_code() -> impl Iterator<Item = usize> {
    // Acquire: pairs with the release in `remember`.
    let known = KNOWN.iter().map(|place| place.load(Ordering::Acquire));
    known.take_while(|address| *address != 0)
}

/// Makes a call into a plugin on this thread.
///
/// What is thrown out of it ends the process: Rust can neither catch it nor let it through. The plugin is named before.
pub(super) fn inside<T>(plugin: &str, function: &str, call: impl FnOnce() -> T) -> T {
    let under_way = Call { plugin, function };
    let guarded = || {
        let mut inside = Inside::enter(&under_way);
        let result = call();
        inside.has_returned = true;
        result
    };
    // Rust ends the process in here where something foreign comes; without it nothing would be unwound, `Inside` neither.
    catch_unwind(AssertUnwindSafe(guarded)).unwrap_or_else(|panic: Box<dyn Any + Send>| resume_unwind(panic))
}

/// A thread is in a plugin until this is dropped.
struct Inside<'a> {
    call: &'a Call<'a>,
    before: Option<std::ptr::NonNull<Call<'static>>>,
    has_returned: bool,
    signals: KeptMask,
    _marked: Marked,
}

impl<'a> Inside<'a> {
    fn enter(call: &'a Call<'a>) -> Self {
        DEPTH.set(DEPTH.get() + 1);
        let before = CURRENT.replace(Some(std::ptr::NonNull::from(call).cast()));
        Self { call, before, has_returned: false, signals: KeptMask::of_this_thread(), _marked: Marked::begin() }
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
        CURRENT.set(self.before);
        if !self.has_returned && !std::thread::panicking() {
            diagnostics::write_to_stderr(&format!(
                "tracer-resolver: ERROR: an exception, or the end of its thread, came out of {}, which its contract forbids; the process ends\n",
                self.call
            ));
            std::process::abort();
        }
        self.signals.put_back(self.call.plugin, self.call);
    }
}

/// A function of a plugin's, as what it may be whatever its contract says: something may be thrown out of it.
pub(super) trait MayThrow {
    /// The same function.
    type Throwing;
    fn may_throw(self) -> Self::Throwing;
}

macro_rules! may_throw {
    ($($argument:ident),*) => {
        impl<R $(, $argument)*> MayThrow for unsafe extern "C" fn($($argument),*) -> R {
            type Throwing = unsafe extern "C-unwind" fn($($argument),*) -> R;
            fn may_throw(self) -> Self::Throwing {
                // SAFETY: the two differ only in what the caller is ready for.
                unsafe { std::mem::transmute::<Self, Self::Throwing>(self) }
            }
        }
    };
}

may_throw!();
may_throw!(A);
may_throw!(A, B);
may_throw!(A, B, C);
may_throw!(A, B, C, D);

/// As [`inside`], on an export thread.
pub(super) fn exporting<T>(plugin: &str, function: &str, call: impl FnOnce() -> T) -> T {
    struct Exporting(bool);
    impl Drop for Exporting {
        fn drop(&mut self) {
            EXPORTS.set(self.0);
        }
    }
    let _exporting = Exporting(EXPORTS.replace(true));
    inside(plugin, function, call)
}

/// Whether the calling thread is one that exports.
pub(super) fn is_export_thread() -> bool {
    EXPORTS.get()
}

/// The address of some function of a plugin. Those beyond 256 plugins are not told from the application's code.
pub(super) fn remember(code: usize) {
    for place in &KNOWN {
        // AcqRel: pairs with the acquire in `known_code`.
        match place.compare_exchange(0, code, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return,
            Err(known) if known == code => return,
            Err(_) => {}
        }
    }
}

thread_local! {
    static DEPTH: Cell<usize> = const { Cell::new(0) };
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
    /// The call that this thread is in; lent by it.
    static CURRENT: Cell<Option<std::ptr::NonNull<Call<'static>>>> = const { Cell::new(None) };
}

/// Filled from the front, never emptied: plugins are never unloaded.
static KNOWN: [AtomicUsize; 256] = [const { AtomicUsize::new(0) }; 256];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_is_in_a_plugin_while_its_call_runs_and_after_a_panic_no_more() {
        let call = |body: &mut dyn FnMut() -> bool| inside("sample", "create", body);
        let place = || place(|place| place.to_string());
        assert!(!is_in_plugin() && place().is_none());
        assert!(call(&mut || call(&mut is_in_plugin) && is_in_plugin()));
        assert!(call(&mut || place().as_deref() == Some("the create of plugin `sample`")));
        let on_a_thread_of_its_own = || std::thread::spawn(place).join().unwrap();
        assert!(call(&mut || on_a_thread_of_its_own().as_deref() == Some("a thread of a plugin")));
        assert!(!is_in_plugin());
        assert!(std::panic::catch_unwind(|| inside("sample", "create", || panic!("a defect"))).is_err());
        assert!(!is_in_plugin() && place().is_none());
    }

    #[test]
    fn code_of_a_plugin_is_known_once_it_is_remembered() {
        assert!(!is_code_of_a_plugin(|address| address == 77));
        remember(77);
        remember(77);
        assert!(is_code_of_a_plugin(|address| address == 77));
        assert_eq!(KNOWN.iter().filter(|place| place.load(Ordering::Relaxed) == 77).count(), 1);
    }
}
