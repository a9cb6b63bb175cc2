//! A test that cannot run here, and says so.

use std::io::Write as _;
use std::panic::Location;

/// Writes `SKIPPED: file:line: reason` to stderr, where it is seen although the test passes.
///
/// The test harness captures what is printed, but not what is written to stderr itself.
#[track_caller]
pub fn skip(reason: &str) {
    let place = Location::caller();
    let line = format!("SKIPPED: {}:{}: {}\n", place.file(), place.line(), reason.trim());
    // A closed stderr leaves nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// What a test needs, or `None` when it cannot be had here, with the reason said as [`skip`] does.
#[track_caller]
pub(crate) fn or_skip<T>(needed: Result<T, String>) -> Option<T> {
    // No closure: the caller's place would be lost in it.
    match needed {
        Ok(needed) => Some(needed),
        Err(reason) => {
            skip(&reason);
            None
        }
    }
}
