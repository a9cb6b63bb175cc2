//! The OpenTelemetry context that the application has made current on the calling thread, wherever that thread is in its
//! life.
//!
//! Only a program that is compiled with us has one; see `Client::sees_context`. Its thread-local has a destructor, and
//! panics once that has run: a thread may still send then, in the destructor of another thread-local.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::panic::catch_unwind;

use opentelemetry::Context;

/// Calls `look` with it; `None` on a thread whose context is gone already. `look` must not run foreign code.
///
/// `interceptor/RATIONALE.md`: "How is it known that a thread's context is gone?"
#[inline]
pub(super) fn look<T>(look: impl FnOnce(&Context) -> T) -> Option<T> {
    match LOOKED.get() {
        Looked::Yes => IS_THERE.try_with(|_| ()).ok()?,
        Looked::Never => first_look()?,
        Looked::InVain => return None,
    }
    Some(Context::map_current(look))
}

/// The context's thread-local is there before ours, so its destructor runs after ours.
#[cold]
fn first_look() -> Option<()> {
    LOOKED.set(Looked::InVain);
    catch_unwind(|| Context::map_current(|_| ())).ok()?;
    IS_THERE.try_with(|_| ()).ok()?;
    LOOKED.set(Looked::Yes);
    Some(())
}

thread_local! {
    static LOOKED: Cell<Looked> = const { Cell::new(Looked::Never) };
    static IS_THERE: Sentinel = const { Sentinel };
}
const _: () = assert!(!std::mem::needs_drop::<Cell<Looked>>() && std::mem::needs_drop::<Sentinel>());

#[derive(Clone, Copy)]
enum Looked {
    Never,
    Yes,
    /// The first look came when the context was gone.
    InVain,
}

/// Tells by its end that what was there before it is about to go.
struct Sentinel;

impl Drop for Sentinel {
    fn drop(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::sync::mpsc::{Sender, channel};

    use super::*;

    /// Looks when the thread-locals that were made after it are gone.
    struct LastLook(Sender<bool>);

    impl Drop for LastLook {
        fn drop(&mut self) {
            self.0.send(look(|_| ()).is_some()).unwrap();
        }
    }

    thread_local!(static LAST_LOOK: RefCell<Option<LastLook>> = const { RefCell::new(None) });

    fn last_look(before: fn()) -> bool {
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            let _ = LAST_LOOK.try_with(|last| *last.borrow_mut() = Some(LastLook(sender)));
            before();
        })
        .join()
        .unwrap();
        receiver.recv().unwrap()
    }

    #[test]
    fn the_context_of_a_thread_that_is_ending_is_not_asked_for() {
        let seen = || assert!(look(|_| ()).is_some());
        assert!(!last_look(seen), "without the sentinel this ends the process: a destructor panics");
    }

    #[test]
    fn a_thread_that_never_had_a_context_may_look_to_its_end() {
        assert!(last_look(|| ()));
    }

    #[test]
    fn a_first_look_that_comes_too_late_is_contained() {
        assert!(!last_look(|| drop(Context::new().attach())));
    }
}
