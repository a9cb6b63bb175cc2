//! What the engine and the plugins say while something is tried.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Keeps warnings and errors; nothing else is written anywhere.
struct Heard(Mutex<Vec<String>>);

static HEARD: Heard = Heard(Mutex::new(Vec::new()));

impl Log for Heard {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(record.args().to_string());
        }
    }

    fn flush(&self) {}
}

/// From now on what is said is kept, and not written to standard error.
pub(super) fn listen() {
    // Fails from the second call on, which is as good.
    let _ = log::set_logger(&HEARD);
    log::set_max_level(LevelFilter::Warn);
}

/// What was said since this was asked last.
pub(super) fn take() -> Vec<String> {
    std::mem::take(&mut *HEARD.0.lock().unwrap_or_else(PoisonError::into_inner))
}
