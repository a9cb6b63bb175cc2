//! Stderr: a terminal with a line that changes, or plain lines.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _, Write as _};
use std::sync::{Mutex, PoisonError};

use log::{Level, Log, Metadata, Record};

/// Where the shop speaks; a logger too, whose lines stand above the one that changes.
pub(crate) struct Screen {
    terminal: bool,
    /// The line that changes; empty when there is none.
    line: Mutex<String>,
    /// What was logged: libraries repeat themselves.
    logged: Mutex<HashSet<String>>,
}

impl Screen {
    pub(crate) fn stderr() -> Self {
        Screen { terminal: io::stderr().is_terminal(), line: Mutex::default(), logged: Mutex::default() }
    }

    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Says something that stays.
    pub(crate) fn say(&self, text: &str) {
        let line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        let (clear, again) = if line.is_empty() { ("", "") } else { ("\r\x1b[K", line.as_str()) };
        write(&format!("{clear}{text}\n{again}"));
    }

    /// Says something that the next call replaces, where that is possible.
    pub(crate) fn show(&self, text: &str) {
        if !self.terminal {
            return self.say(text);
        }
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        // A line that is broken cannot be drawn over: the terminal cuts what is too long.
        *line = format!("\x1b[?7l{text}\x1b[?7h");
        write(&format!("\r\x1b[K{line}"));
    }

    /// Lets the line that changes stay as it is.
    pub(crate) fn keep(&self) {
        let mut line = self.line.lock().unwrap_or_else(PoisonError::into_inner);
        if !line.is_empty() {
            write("\n");
            line.clear();
        }
    }
}

impl Log for Screen {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= Level::Warn
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            let text = format!("{}: {}", record.level(), record.args());
            let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
            if logged.len() < LOGGED && logged.insert(text.clone()) {
                self.say(&text);
            }
        }
    }

    fn flush(&self) {}
}

fn write(text: &str) {
    // A closed stderr leaves nobody to tell.
    let _ = io::stderr().lock().write_all(text.as_bytes());
}

/// A flood says no more than its beginning.
const LOGGED: usize = 50;
