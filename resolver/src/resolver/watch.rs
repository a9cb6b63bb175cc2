//! The thread that looks whether the configuration has changed, for those who want that (`[reload]`).

#![forbid(unsafe_code)]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Shared;
use crate::control_page::ControlPage;
use crate::{diagnostics, quiet_thread};

/// How soon a request is seen.
const STEP: Duration = Duration::from_millis(250);
/// How soon what was found changed is looked at again: whoever writes it is through by then.
const SETTLING: Duration = Duration::from_secs(1);

impl Shared {
    /// Starts the thread, if the configuration wants it and this process has none: a child of a fork starts its own with its
    /// first client. A few atomic loads otherwise.
    pub(super) fn watch(self: &Arc<Self>) {
        if !self.rules().config().reload.enabled {
            return;
        }
        let watched = self.reloading.watched();
        if watched.swap(true, Ordering::SeqCst) {
            return;
        }
        let shared = Arc::downgrade(self);
        if let Err(error) = quiet_thread::spawn("tr-reload".to_owned(), move || look(&shared)) {
            watched.store(false, Ordering::SeqCst);
            diagnostics::error(&format!(
                "the configuration is not looked at again, because the system gives no thread: {error}; the next client \
                 tries again"
            ));
        }
    }
}

impl Shared {
    /// Whether its rules want no looks, and nobody has changed that meanwhile: whoever has found it watched.
    fn stops_watching(&self) -> bool {
        let wants_none = || !self.rules().config().reload.enabled;
        if !wants_none() {
            return false;
        }
        let watched = self.reloading.watched();
        watched.store(false, Ordering::SeqCst);
        wants_none() || watched.swap(true, Ordering::SeqCst)
    }
}

/// Until the resolver is gone, or its configuration wants no looks any more.
fn look(shared: &Weak<Shared>) {
    let mut last = Instant::now();
    let page = ControlPage::new().map_err(|error| {
        diagnostics::warn(&format!(
            "`tracer-interceptors reload` does not reach this process, because the system refuses memory files: {error}"
        ));
    });
    let mut is_new = false;
    loop {
        let Some(there) = shared.upgrade().filter(|shared| !shared.has_ended()) else { return };
        if there.stops_watching() {
            return;
        }
        let interval = there.rules().config().reload.interval;
        let due = last + if is_new { interval.min(SETTLING) } else { interval };
        if due <= Instant::now() {
            is_new = catch_unwind(AssertUnwindSafe(|| there.look())).unwrap_or_else(|_| {
                diagnostics::error("a look at the configuration has failed, and what was in effect before stays so");
                false
            });
            last = Instant::now();
        }
        if let Some((page, asked)) = page.as_ref().ok().and_then(|page| page.asked().map(|asked| (page, asked))) {
            let (outcome, text) = there.reload_for_others();
            page.answer(asked, outcome, &text);
        }
        drop(there);
        sleep(due.saturating_duration_since(Instant::now()).clamp(Duration::from_millis(1), STEP));
    }
}
