//! Nothing of ours unwinds into the application.

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use tracer_resolver::uncancelled;

/// Runs `work`; a panic in it is told once, and `otherwise` is the result. The thread is not cancelled meanwhile.
pub(crate) fn contained<T>(otherwise: T, work: impl FnOnce() -> T) -> T {
    uncancelled(|| {
        catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| {
            tell();
            otherwise
        })
    })
}

#[cold]
fn tell() {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        log::error!(
            "a function of the tracer failed and was contained; the client goes on, and may not be traced. \
             This is a defect of tracer-resolver: please report it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_of_ours_ends_here_with_the_other_result() {
        assert_eq!(contained(7, || panic!("a defect of ours")), 7);
        assert_eq!(contained(7, || 8), 8);
    }
}
