//! What a child of a fork must not take over from its parent.

#![forbid(unsafe_code)]

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// How often this process was forked since it was started, as far as it was watched; what was made under another
/// generation is the parent's.
pub(crate) fn generation() -> usize {
    GENERATION.load(Ordering::Relaxed) as usize
}

/// This process is a new child. Called in the handler of a fork, where only atomics may be touched.
pub(crate) fn forked() {
    GENERATION.fetch_add(1, Ordering::Relaxed);
}

static GENERATION: AtomicU32 = AtomicU32::new(0);

/// A number that the kernel tells of this process in proc(5)'s `stat`, by its place behind the name.
pub(crate) fn stat_field(place: usize) -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name, may have blanks, and ends with the last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(place)?.parse().ok()
}

/// The place of when it was started, in ticks since the machine was: no other process with its number has the same.
pub(crate) const STARTED: usize = 19;

/// A value that every process makes for itself, at its first use; a child of a fork makes its own.
///
/// Beside what is true of one process only, such as its id, this is for locks: one that another thread holds at the
/// moment of a fork stays held in the child for ever, because that thread does not exist there. What the parent's value
/// holds is neither used nor dropped in the child.
#[derive(Debug)]
pub(crate) struct PerProcess<T> {
    by_generation: [OnceLock<T>; GENERATIONS],
}

/// Forks of forks that have a value of their own; deeper ones share the last.
const GENERATIONS: usize = 16;

impl<T> Default for PerProcess<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> PerProcess<T> {
    pub(crate) const fn new() -> Self {
        Self { by_generation: [const { OnceLock::new() }; GENERATIONS] }
    }

    /// This process's value; `make` is called when there is none yet.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.own().get_or_init(make)
    }

    /// This process's value, if there is one.
    pub(crate) fn get(&self) -> Option<&T> {
        self.own().get()
    }

    fn own(&self) -> &OnceLock<T> {
        let generation = generation().min(GENERATIONS - 1);
        #[expect(clippy::indexing_slicing, reason = "bounded in the line above")]
        &self.by_generation[generation]
    }
}
