//! The creation of a client whose configuration is of no use if it fails.

#![forbid(unsafe_code)]

use std::cell::Cell;

/// Runs `create`, whose configuration is of single use: should the client that it creates on this thread fail, it is neither used nor destroyed any
/// more, and what we keep for it is given back at once.
///
/// For an integration that keeps broken configurations (librdkafka before 2.13) from being touched again.
pub fn single_use<T>(create: impl FnOnce() -> T) -> T {
    let _under_way = UnderWay { outer: UNDER_WAY.replace(true) };
    create()
}

/// Whether the calling thread is in one.
pub(super) fn is_under_way() -> bool {
    UNDER_WAY.get()
}

thread_local!(static UNDER_WAY: Cell<bool> = const { Cell::new(false) });

struct UnderWay {
    outer: bool,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.set(self.outer);
    }
}
