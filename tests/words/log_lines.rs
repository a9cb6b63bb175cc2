//! What was logged, for tests of what the library says.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Collects every record of this process from [`LogLines::start`] on.
pub struct LogLines {
    lines: Mutex<Vec<(log::Level, String)>>,
}

static LINES: LogLines = LogLines { lines: Mutex::new(Vec::new()) };

impl LogLines {
    /// Becomes the logger of this process; further calls give the same one.
    pub fn start() -> &'static Self {
        // Fails from the second call on: then it is the logger already.
        let _ = log::set_logger(&LINES);
        log::set_max_level(log::LevelFilter::Debug);
        &LINES
    }

    /// The messages of this level so far that contain `text`.
    pub fn with(&self, level: log::Level, text: &str) -> Vec<String> {
        let lines = self.lock();
        lines.iter().filter(|(of, line)| *of == level && line.contains(text)).map(|(_, line)| line.clone()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(log::Level, String)>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl log::Log for LogLines {
    fn enabled(&self, _: &log::Metadata<'_>) -> bool {
        true
    }

    fn log(&self, record: &log::Record<'_>) {
        self.lock().push((record.level(), record.args().to_string()));
    }

    fn flush(&self) {}
}
