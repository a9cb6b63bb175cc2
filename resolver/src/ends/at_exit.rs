//! A process that ends normally exports what it has.

#![forbid(unsafe_code)]

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::exit_handlers;
use crate::batch::{END_BUDGET, Leave, Pipeline};
use crate::{diagnostics, plugin};

/// How long the end of the process waits for spans in hand, in all the places where it is seen together.
pub const EXIT_DEADLINE: Duration = END_BUDGET;

/// How long it waits in each of them where a plugin has begun it: that one's own call does not come back, and the other
/// backends need time too.
const DEADLINE_IN_A_PLUGIN: Duration = Duration::from_secs(1);

/// Lets the end of the process export what is in hand.
///
/// To be called when the plugins are loaded: handlers run in reverse order, so ours runs before theirs.
pub(crate) fn watch() {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| exit_handlers::register(exit_begins, before_exit));
}

/// Exports what is in hand before an end by `_exit()` or a signal, within what is left of [`EXIT_DEADLINE`]; what has not
/// left by then is counted as lost and told.
///
/// For an integration that sees the process end without the C library's exit handlers. The work is done on the batch thread,
/// and this one only waits: it may be called from anywhere, a signal handler too, whatever locks the calling thread holds.
/// Does nothing in a process that traced nothing, nor in a `vfork()` child, which has its parent's memory.
pub fn before_exit() {
    Pipeline::leave(Leave::Last, time_to_leave());
}

/// As [`before_exit`], before what may end the process or not, such as `execve()`: what has not left is still on its way
/// if it does not.
pub fn export_in_hand() {
    Pipeline::leave(Leave::OrNot, EXIT_DEADLINE);
}

/// Runs on the thread that ends the process, after `main` or in `exit()`.
fn exit_begins() {
    Pipeline::leave(Leave::First, time_to_leave());
}

/// A plugin that calls `exit()` takes the application along, which would otherwise never know why it has ended: it is named. It
/// cannot be kept from it: whoever is in the midst of ending cannot go back.
fn time_to_leave() -> Duration {
    static TOLD: AtomicBool = AtomicBool::new(false);
    let Some(place) = plugin::place() else { return EXIT_DEADLINE };
    if !TOLD.swap(true, Ordering::Relaxed) {
        diagnostics::error(&format!("{place} ends the process: it has called exit()"));
    }
    DEADLINE_IN_A_PLUGIN
}
