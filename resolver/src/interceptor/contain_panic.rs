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
    uncancelled(|| {
        if catch_unwind(AssertUnwindSafe(callback)).is_err() {
            contained();
        }
    });
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

    /// Without `catch_unwind` the process aborts: nothing may unwind out of an `extern "C"` function.
    #[test]
    fn a_panic_in_a_callback_is_counted_and_the_client_goes_on() {
        let before = CONTAINED.load(Ordering::Relaxed);
        callback();
        assert_eq!(CONTAINED.load(Ordering::Relaxed), before + 1);
    }
}
