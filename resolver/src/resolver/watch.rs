//! The thread that looks whether the configuration has changed, for those who want that (`[reload]`).

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::Shared;
use crate::control_page::ControlPage;
use crate::{diagnostics, quiet_thread};

/// How soon a request is seen.
const STEP: Duration = Duration::from_millis(250);

impl Shared {
    /// Starts the thread, if the configuration wants it and this process has none: a child of a fork starts its own with its
    /// first client. A few atomic loads otherwise.
    pub(super) fn watch(self: &Arc<Self>) {
        if !self.rules().config().reload.enabled {
            return;
        }
        let started = self.reloading.watched.get_or_init(AtomicBool::default);
        if started.swap(true, Ordering::Relaxed) {
            return;
        }
        let shared = Arc::downgrade(self);
        if let Err(error) = quiet_thread::spawn("tr-reload".to_owned(), move || look(&shared)) {
            started.store(false, Ordering::Relaxed);
            diagnostics::error(&format!(
                "the configuration is not looked at again, because the system gives no thread: {error}; the next client \
                 tries again"
            ));
        }
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
    loop {
        let Some(there) = shared.upgrade().filter(|shared| !shared.has_ended()) else { return };
        let wanted = there.rules().config().reload;
        if !wanted.enabled {
            there.reloading.watched.get_or_init(AtomicBool::default).store(false, Ordering::Relaxed);
            return;
        }
        let due = last + wanted.interval;
        if due <= Instant::now() {
            there.look();
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
