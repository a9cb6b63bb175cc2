//! A process that ends normally exports what it has.

#![forbid(unsafe_code)]

use std::fmt::{self, Display, Write};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
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
    exit_handlers::register(exit_begins, exit_ends);
}

/// Exports what is in hand before an end by `_exit()` or a signal, within what is left of [`EXIT_DEADLINE`]; what has not
/// left by then is counted as lost and told.
///
/// For an integration that sees the process end without the C library's exit handlers. The work is done on the batch thread,
/// and this one only waits: it may be called from anywhere, a signal handler too, whatever locks the calling thread holds.
/// Does nothing in a process that traced nothing, nor in a `vfork()` child, which has its parent's memory.
pub fn before_exit() {
    // No memory is taken here: the thread may have come from the midst of the allocator.
    let in_a_plugin = plugin::place(|place| ENDED_IN.keep(place));
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
        tell(&place, "_exit(), or has sent a signal");
    }
}

fn tell(place: &dyn Display, how: &str) {
    static TOLD: AtomicBool = AtomicBool::new(false);
    if !TOLD.swap(true, Ordering::Relaxed) {
        diagnostics::error(&format!("{place} ends the process: it has called {how}"));
    }
}

/// In which call of a plugin the process ends.
static ENDED_IN: Words = Words::new();

/// As much of a text as there is room for, kept without a lock and without memory of its own. The first that is kept stays.
struct Words {
    begun: AtomicBool,
    /// 0: none is kept, or not whole yet.
    length: AtomicUsize,
    bytes: [AtomicU8; 128],
}

impl Words {
    const fn new() -> Self {
        let bytes = [const { AtomicU8::new(0) }; 128];
        Self { begun: AtomicBool::new(false), length: AtomicUsize::new(0), bytes }
    }

    fn keep(&self, text: &dyn Display) {
        if !self.begun.swap(true, Ordering::Relaxed) {
            let mut to = Rest { bytes: &self.bytes, length: 0 };
            // What does not fit is left out.
            let _ = write!(to, "{text}");
            // Release: pairs with the acquire in `get`.
            self.length.store(to.length, Ordering::Release);
        }
    }

    fn get(&self) -> Option<String> {
        let length = self.length.load(Ordering::Acquire);
        let bytes: Vec<u8> = self.bytes.iter().take(length).map(|byte| byte.load(Ordering::Relaxed)).collect();
        (length > 0).then(|| String::from_utf8_lossy(&bytes).into_owned())
    }
}

/// What is left of the room.
struct Rest<'a> {
    bytes: &'a [AtomicU8],
    length: usize,
}

impl Write for Rest<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.bytes.get(self.length..).unwrap_or_default();
        let mut end = text.len().min(room.len());
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let bytes = text.as_bytes().iter().take(end);
        room.iter().zip(bytes).for_each(|(to, from)| to.store(*from, Ordering::Relaxed));
        self.length += end;
        if end < text.len() { Err(fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_place_is_kept_and_cut_where_it_is_too_long() {
        let kept = |text: &str| {
            let words = Words::new();
            assert_eq!(words.get(), None);
            words.keep(&text);
            words.keep(&"another");
            words.get().unwrap()
        };
        assert_eq!(kept("the flush of plugin `a`"), "the flush of plugin `a`");
        assert_eq!(kept(&"é".repeat(100)), "é".repeat(64));
        assert_eq!(kept(&format!("a{}", "é".repeat(100))), format!("a{}", "é".repeat(63)));
    }
}
