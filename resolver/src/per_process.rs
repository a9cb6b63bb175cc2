//! What a child of a fork must not take over from its parent.

use std::marker::PhantomData;
use std::ptr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};

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

/// Does `work` unless it was done: what a process needs to have done, and may be done twice. In place of a `Once`, for the reason
/// that [`FirstMade`] has.
pub(crate) fn unless_done(done: &AtomicBool, work: impl FnOnce()) {
    // Acquire and release: who finds it done has all of it. Said only then: a child that is forked meanwhile does it itself.
    if !done.load(Ordering::Acquire) {
        work();
        done.store(true, Ordering::Release);
    }
}

/// A number that the kernel tells of this process in proc(5)'s `stat`, by its place behind the name.
pub(crate) fn stat_field(place: usize) -> Option<u64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    // The second field, the name, may have blanks, and ends with the last parenthesis.
    stat.rsplit_once(')')?.1.split_whitespace().nth(place)?.parse().ok()
}

/// The place of when it was started, in ticks since the machine was: no other process with its number has the same.
pub(crate) const STARTED: usize = 19;

/// Which machine this is, since it was started last: no other has the same. `None` where the kernel does not say.
pub(crate) fn boot_id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

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

/// A value that is made at its first use, and that a child of a fork may take over. Two threads at once may make it twice: the
/// first that is ready counts, and nobody waits.
///
/// In place of a `OnceLock`, which waits for the thread that makes the value. A child that is forked meanwhile has the lock as it
/// was, and not the thread: it would wait for ever.
#[derive(Debug)]
pub(crate) struct FirstMade<T> {
    made: AtomicPtr<T>,
    owns: PhantomData<T>,
}

impl<T> Default for FirstMade<T> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> FirstMade<T> {
    pub(crate) const fn new() -> Self {
        Self { made: AtomicPtr::new(ptr::null_mut()), owns: PhantomData }
    }

    /// The value, if it was made.
    pub(crate) fn get(&self) -> Option<&T> {
        // Acquire: pairs with the release below.
        // SAFETY: what was published is there until `self` is dropped.
        unsafe { self.made.load(Ordering::Acquire).as_ref() }
    }
}

impl<T: Send + Sync> FirstMade<T> {
    /// The value; `make` is called when there is none yet.
    pub(crate) fn get_or_init(&self, make: impl FnOnce() -> T) -> &T {
        self.get().unwrap_or_else(|| self.publish(make()))
    }

    #[cold]
    fn publish(&self, made: T) -> &T {
        let fresh = Box::into_raw(Box::new(made));
        let published = self.made.compare_exchange(ptr::null_mut(), fresh, Ordering::AcqRel, Ordering::Acquire);
        // SAFETY: what was published is there until `self` is dropped; what was not has been seen by nobody.
        unsafe {
            match published {
                Ok(_) => &*fresh,
                Err(others) => {
                    drop(Box::from_raw(fresh));
                    &*others
                }
            }
        }
    }
}

impl<T: PartialEq> PartialEq for FirstMade<T> {
    fn eq(&self, other: &Self) -> bool {
        self.get() == other.get()
    }
}

impl<T: Eq> Eq for FirstMade<T> {}

impl<T> Drop for FirstMade<T> {
    fn drop(&mut self) {
        let made = *self.made.get_mut();
        if !made.is_null() {
            // SAFETY: from a box, published once, and borrowed by nobody any more.
            drop(unsafe { Box::from_raw(made) });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Barrier};

    use super::*;
    use crate::plugin::child_is_well;

    /// What a child finds that is forked while `work` is under way on another thread: `work` is to wait at the barrier twice.
    fn in_a_child_meanwhile(work: impl FnOnce(&Barrier) + Send, body: impl FnOnce() -> bool) -> bool {
        let meanwhile = Barrier::new(2);
        std::thread::scope(|scope| {
            scope.spawn(|| work(&meanwhile));
            meanwhile.wait();
            let is_well = child_is_well(body);
            meanwhile.wait();
            is_well
        })
    }

    fn slowly(meanwhile: &Barrier) {
        meanwhile.wait();
        meanwhile.wait();
    }

    #[test]
    fn a_child_that_is_forked_while_a_value_is_made_makes_its_own() {
        let value = FirstMade::new();
        let work = |meanwhile: &Barrier| {
            value.get_or_init(|| {
                slowly(meanwhile);
                1
            });
        };
        assert!(in_a_child_meanwhile(work, || value.get().is_none() && *value.get_or_init(|| 2) == 2));
        assert_eq!(value.get(), Some(&1));
    }

    #[test]
    fn a_child_that_is_forked_while_something_is_done_does_it_itself() {
        let (done, by_child) = (AtomicBool::new(false), AtomicBool::new(false));
        let body = || {
            unless_done(&done, || by_child.store(true, Ordering::Relaxed));
            by_child.load(Ordering::Relaxed)
        };
        assert!(in_a_child_meanwhile(|meanwhile| unless_done(&done, || slowly(meanwhile)), body));
        unless_done(&done, || panic!("it was done"));
    }

    #[test]
    fn of_two_values_that_are_made_at_once_one_counts_and_none_is_left_over() {
        let (value, made) = (FirstMade::new(), [Arc::new(1), Arc::new(2)]);
        let begun = Barrier::new(2);
        std::thread::scope(|scope| {
            for one in &made {
                scope.spawn(|| {
                    let found = value.get_or_init(|| {
                        begun.wait();
                        Arc::clone(one)
                    });
                    assert!(made.iter().any(|made| Arc::ptr_eq(made, found)));
                });
            }
        });
        let counts = || made.iter().map(Arc::strong_count).sum::<usize>();
        assert_eq!(counts(), 3);
        drop(value);
        assert_eq!(counts(), 2);
    }
}
