//! Which signals a thread takes: after a call into a plugin the same as before it, whatever the plugin did.
//!
//! `RATIONALE.md`: "Why does the host put back which signals a thread takes, and nothing else that a plugin changed?"

use std::collections::BTreeSet;
use std::fmt;
use std::mem::MaybeUninit;
use std::sync::Mutex;

use crate::diagnostics;

/// The signals that the calling thread blocked when this was made.
///
/// A plugin that lets them through would have the application's signal handlers run on a thread of the host's; one that blocks
/// them, in `stats` for instance, would keep the application's own thread from them.
pub(super) struct KeptMask(libc::sigset_t);

impl KeptMask {
    pub(super) fn of_this_thread() -> Self {
        Self(changed_to(None))
    }

    /// Puts it back on the same thread after a call into this plugin, and says once of each that it was another.
    pub(super) fn put_back(&self, plugin: &str, call: &impl fmt::Display) {
        let found = changed_to(Some(&self.0));
        if signals(&found).eq(signals(&self.0)) || !is_first_time(plugin) {
            return;
        }
        let what = format!(
            "{call} changed which signals its thread takes, which its contract forbids; that is put back each time, and \
             said once"
        );
        diagnostics::say(LOG_TARGET, log::Level::Warn, &what);
    }
}

/// Lets this thread block these, or leaves it; what it blocked before.
fn changed_to(mask: Option<&libc::sigset_t>) -> libc::sigset_t {
    let mut before = MaybeUninit::zeroed();
    let mask = mask.map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: `mask` is null or a set of signals, and `before` a place for one; all bits are valid ones.
    unsafe {
        libc::pthread_sigmask(libc::SIG_SETMASK, mask, before.as_mut_ptr());
        before.assume_init()
    }
}

fn signals(set: &libc::sigset_t) -> impl Iterator<Item = bool> + '_ {
    // SAFETY: `set` is a set of signals, and asked for signals that there are.
    (1..=64).map(move |signal| unsafe { libc::sigismember(set, signal) } == 1)
}

fn is_first_time(plugin: &str) -> bool {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    // Who finds it locked leaves it to the next time; in the child of a fork it may be so for ever.
    SAID.try_lock().is_ok_and(|mut said| said.insert(plugin.to_owned()))
}

const LOG_TARGET: &str = "tracer_resolver::plugin";
