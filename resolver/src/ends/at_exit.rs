//! A process that ends normally exports what it has.

#![forbid(unsafe_code)]

use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Once, OnceLock};
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
    REGISTERED.call_once(|| exit_handlers::register(exit_begins, exit_ends));
}

/// Exports what is in hand before an end by `_exit()` or a signal, within what is left of [`EXIT_DEADLINE`]; what has not
/// left by then is counted as lost and told.
///
/// For an integration that sees the process end without the C library's exit handlers. The work is done on the batch thread,
/// and this one only waits: it may be called from anywhere, a signal handler too, whatever locks the calling thread holds.
/// Does nothing in a process that traced nothing, nor in a `vfork()` child, which has its parent's memory.
pub fn before_exit() {
    // No memory is taken here: the thread may have come from the midst of the allocator.
    let in_a_plugin = plugin::place(|place| _ = ENDED_IN.get_or_init(|| Words::of(place)));
    Pipeline::leave(Leave::Last, in_a_plugin.map_or(EXIT_DEADLINE, |()| DEADLINE_IN_A_PLUGIN));
}

/// As [`before_exit`], before what may end the process or not, such as `execve()`: what has not left is still on its way
/// if it does not.
pub fn export_in_hand() {
    Pipeline::leave(Leave::OrNot, EXIT_DEADLINE);
}

/// Runs on the thread that ends the process, after `main` or in `exit()`.
///
/// A plugin that calls `exit()` takes the application along, which would otherwise never know why it has ended: it is named. It
/// cannot be kept from it: whoever is in the midst of ending cannot go back.
fn exit_begins() {
    exits(Leave::First);
}

/// When all handlers have run, or in `quick_exit()`.
fn exit_ends() {
    exits(Leave::Last);
}

fn exits(leave: Leave) {
    let in_a_plugin = plugin::place(|place| tell(place, "exit()"));
    Pipeline::leave(leave, in_a_plugin.map_or(EXIT_DEADLINE, |()| DEADLINE_IN_A_PLUGIN));
}

/// Names the plugin that [`before_exit`] was called in. The batch thread's, at the end.
pub(crate) fn tell_which_plugin_ends_it() {
    if let Some(place) = ENDED_IN.get() {
        tell(place, "_exit(), or has sent a signal");
    }
}

fn tell(place: &dyn Display, how: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        diagnostics::error(&format!("{place} ends the process: it has called {how}"));
    }
}

/// In which call of a plugin the process ends.
static ENDED_IN: OnceLock<Words> = OnceLock::new();

/// As much of a text as there is room for.
struct Words {
    bytes: [u8; 128],
    length: usize,
}

impl Words {
    fn of(text: &dyn Display) -> Self {
        let mut words = Self { bytes: [0; 128], length: 0 };
        // What does not fit is left out.
        let _ = write!(words, "{text}");
        words
    }
}

impl Write for Words {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get_mut(self.length..).unwrap_or_default();
        let end = text.floor_char_boundary(room.len());
        if let Some((to, from)) = room.get_mut(..end).zip(text.as_bytes().get(..end)) {
            to.copy_from_slice(from);
            self.length += end;
        }
        Ok(())
    }
}

impl Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(self.bytes.get(..self.length).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_kept_without_memory_and_cut_where_it_is_too_long() {
        assert_eq!(Words::of(&"the flush of plugin `a`").to_string(), "the flush of plugin `a`");
        assert_eq!(Words::of(&"é".repeat(100)).to_string(), "é".repeat(64));
        assert_eq!(Words::of(&format!("a{}", "é".repeat(100))).to_string(), format!("a{}", "é".repeat(63)));
    }
}
