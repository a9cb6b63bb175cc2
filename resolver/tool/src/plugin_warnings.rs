//! What the engine and the plugins warn of: collected for the report, so that it stands with all the rest.

#![forbid(unsafe_code)]

use std::sync::{Mutex, PoisonError};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::output;

/// Takes their warnings from now on, which would go to standard error.
pub(crate) fn collect() {
    // Fails only if somebody collects already.
    if log::set_logger(&COLLECTOR).is_ok() {
        log::set_max_level(LevelFilter::Warn);
    }
}

/// Those of the time since this was last asked.
pub(crate) fn taken() -> Vec<String> {
    std::mem::take(&mut *COLLECTOR.0.lock().unwrap_or_else(PoisonError::into_inner))
}

/// Tells them on standard error, where the answer itself has no place for them.
pub(crate) fn tell() {
    for warning in taken() {
        output::note(&warning);
    }
}

struct Collector(Mutex<Vec<String>>);

static COLLECTOR: Collector = Collector(Mutex::new(Vec::new()));

impl Log for Collector {
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
