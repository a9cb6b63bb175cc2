//! The resolver of the process: loaded once, by the first thread that asks; nobody waits for it for ever.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::starts::Waits;
use super::{Reloaded, Resolver, off_status};
use crate::config::Source;
use crate::diagnostics;
use crate::error::ResolverError;
use crate::per_process::FirstMade;
use crate::plugin::is_in_plugin;
use crate::stack_room::with_room;

impl Resolver {
    /// The resolver of this process: built at the first call, from the file that `INTERCEPTORS_CONFIG_FILE` names, or
    /// without it from the `OTEL_*` variables.
    ///
    /// Reads files and starts threads; later calls give the same. The plugins are loaded on threads of their own and nobody
    /// waits for them, but where errors refuse (`INTERCEPTORS_STRICT=1`): what is traced meanwhile waits, and what is wrong
    /// with them is said in the log and in the status, not in [`Resolver::report`]. A call out of the midst of that, by a plugin
    /// or the application's logger, gives one that is off, and so does one that has waited half a minute for another thread. What it has in hand when the process
    /// ends normally is exported, within [`EXIT_DEADLINE`](crate::EXIT_DEADLINE).
    ///
    /// # Errors
    ///
    /// As [`Resolver::load`]. A refusal is remembered: later calls refuse again.
    pub fn global() -> Result<&'static Self, ResolverError> {
        global()
    }

    /// How the resolver of this process is, if it was built already: see [`Resolver::status`]. Builds none.
    pub fn status_of_process() -> Option<String> {
        Some(LOADED.get()?.as_ref().map_or_else(|error| off_status(&Arc::new(error.report().clone())), Self::status))
    }

    /// [`Resolver::reload`] of the resolver of this process; where it was not built yet nothing is.
    ///
    /// # Errors
    ///
    /// As [`Resolver::reload`].
    pub fn reload_global() -> Result<Reloaded, ResolverError> {
        Self::loaded().map_or(Ok(Reloaded::Off), Self::reload)
    }

    /// The same, if it was built already and is on: nothing is read, loaded or waited for.
    pub(crate) fn loaded() -> Option<&'static Self> {
        LOADED.get()?.as_ref().ok().filter(|resolver| resolver.is_on())
    }
}

/// See [`Resolver::global`].
///
/// Off for whoever asks while it is itself what the load waits for, and for whoever has waited [`PATIENCE`] in vain.
fn global() -> Result<&'static Resolver, ResolverError> {
    let loaded = match LOADED.get() {
        Some(loaded) => loaded,
        None if is_in_plugin() || LOADS.get() => {
            tell_once(&REENTERED, "a client that a plugin makes while tracing is being set up is not traced");
            return Ok(off());
        }
        None if claim() => match with_room(load).flatten() {
            Some(loaded) => loaded,
            None => return Ok(off()),
        },
        None => match wait(PATIENCE) {
            Some(loaded) => loaded,
            None => {
                tell_once(&WAITED, if is_forked_meanwhile() { FORKED } else { SLOW });
                return Ok(off());
            }
        },
    };
    loaded.as_ref().map_err(Clone::clone)
}

type Loaded = Result<Resolver, ResolverError>;

/// Set by whoever has the claim; nobody else waits for that, but by looking.
static LOADED: OnceLock<Loaded> = OnceLock::new();
/// The process of which a thread loads it, or has; 0: none.
static CLAIMED: AtomicU32 = AtomicU32::new(0);
static REENTERED: AtomicBool = AtomicBool::new(false);
/// Somebody has waited in vain.
static WAITED: AtomicBool = AtomicBool::new(false);

const SLOW: &str = "tracing is still being set up by another thread; this client is not traced";
const FORKED: &str = "this process was forked while its parent set tracing up, so its clients are not traced: fork before the first \
    client is created, or after that";

thread_local! {
    /// Whether this thread loads it: the application's logger, for one, may come back to us.
    static LOADS: Cell<bool> = const { Cell::new(false) };
}

fn claim() -> bool {
    CLAIMED.compare_exchange(0, std::process::id(), Ordering::Relaxed, Ordering::Relaxed).is_ok()
}

/// Whoever loads it is a thread of the parent's, and may have held any lock of ours at the moment of the fork: nothing is loaded
/// here any more.
fn is_forked_meanwhile() -> bool {
    LOADED.get().is_none() && ![0, std::process::id()].contains(&CLAIMED.load(Ordering::Relaxed))
}

/// `None`: the load panicked before; then another may try.
fn load() -> Option<&'static Loaded> {
    struct Loading;
    impl Drop for Loading {
        fn drop(&mut self) {
            LOADS.set(false);
            if LOADED.get().is_none() {
                CLAIMED.store(0, Ordering::Relaxed);
            }
        }
    }
    LOADS.set(true);
    let _loading = Loading;
    // Whoever has the claim is alone here.
    let _ = LOADED.set(Resolver::load_with(Source::Process, Waits::No));
    LOADED.get()
}

fn wait(patience: Duration) -> Option<&'static Loaded> {
    let started = Instant::now();
    while LOADED.get().is_none()
        && !WAITED.load(Ordering::Relaxed)
        && !is_forked_meanwhile()
        && started.elapsed() < patience
    {
        sleep(Duration::from_millis(1));
    }
    LOADED.get()
}

/// Longer than any plugin may take to begin.
const PATIENCE: Duration = Duration::from_secs(30);

fn off() -> &'static Resolver {
    static OFF: FirstMade<Resolver> = FirstMade::new();
    OFF.get_or_init(Resolver::off)
}

fn tell_once(told: &AtomicBool, what: &str) {
    if !told.swap(true, Ordering::Relaxed) {
        diagnostics::warn(what);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_asks_while_it_loads_is_off_and_does_not_wait_for_itself() {
        LOADS.set(true);
        let started = Instant::now();
        assert!(!global().unwrap().is_on());
        LOADS.set(false);
        assert!(started.elapsed() < PATIENCE && LOADED.get().is_none());
    }

    #[test]
    fn who_waits_for_a_thread_that_is_gone_waits_so_long_and_then_no_more() {
        assert!(wait(Duration::from_millis(20)).is_none());
        WAITED.store(true, Ordering::Relaxed);
        let started = Instant::now();
        assert!(wait(PATIENCE).is_none() && started.elapsed() < PATIENCE);
        WAITED.store(false, Ordering::Relaxed);
    }

    #[test]
    fn who_was_forked_while_another_thread_loads_waits_for_nobody() {
        assert!(claim());
        let is_well = crate::plugin::child_is_well(|| {
            let started = Instant::now();
            !global().unwrap().is_on() && started.elapsed() < PATIENCE
        });
        CLAIMED.store(0, Ordering::Relaxed);
        assert!(is_well);
    }
}
