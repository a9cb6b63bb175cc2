//! The one way by which librdkafka enters: nothing unwinds out of it.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::cancellation::uncancelled;

/// Panics of ours that were contained since the process began. Only ever grows.
static CONTAINED: AtomicU64 = AtomicU64::new(0);

/// Runs `callback`; a panic in it is counted, told once, and over. The thread is not cancelled meanwhile.
///
/// librdkafka only logs an interceptor's error code, so there is none to give: the client goes on as if the callback
/// had not been there.
#[inline]
pub(super) fn contain_panic(callback: impl FnOnce()) {
    uncancelled(|| contain_panic_of_message(callback));
}

/// The same for what librdkafka calls for each message, at the price of a promise: where `callback` comes to a place at which a
/// thread can be cancelled, there it holds that back itself, by [`uncancelled`]. `RATIONALE.md`: "Why is a cancellation not held
/// back in every callback?"
#[inline]
pub(super) fn contain_panic_of_message(callback: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(callback)).is_err() {
        uncancelled(contained);
    }
}

#[cold]
fn contained() {
    if CONTAINED.fetch_add(1, Ordering::Relaxed) == 0 {
        crate::diagnostics::error(
            "a callback of the tracer failed and was contained; the client goes on, spans may be missing. \
             This is a defect of tracer-resolver: please report it",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    extern "C" fn callback() {
        contain_panic(|| panic!("a defect of ours"));
    }

    /// Without `catch_unwind` the process aborts: nothing may unwind out of an `extern "C"` function. In a process of its own, so
    /// that whoever runs the tests is not asked to report a defect.
    #[test]
    fn a_panic_in_a_callback_is_counted_and_told_once_and_the_client_goes_on() {
        const CHILD: &str = "PANICS_IN_A_CALLBACK";
        if std::env::var_os(CHILD).is_some() {
            callback();
            callback();
            return assert_eq!(CONTAINED.load(Ordering::Relaxed), 2);
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.env(CHILD, "1").args(["a_panic_in_a_callback_is_counted", "--nocapture"]);
        let ended = child.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success(), "{said}");
        assert_eq!(said.matches("tracer-resolver: ERROR: a callback of the tracer failed").count(), 1, "{said}");
        assert_eq!(said.matches("This is a defect of tracer-resolver: please report it").count(), 1, "{said}");
    }
}
