//! What a resolver's reloads need, and what came of them.

#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use crate::config::{self, Report, Source, Variables};
use crate::per_process::PerProcess;
use crate::status::ReloadStats;

/// What came of [`Resolver::reload`](crate::Resolver::reload).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reloaded {
    /// What the configuration says now is in effect.
    Changed,
    /// It says what it said before; nothing was touched.
    Unchanged,
    /// Tracing has been off since the process began, or the resolver was shut down: no client is there to be traced.
    Off,
}

/// What a resolver's reloads need: where its configuration came from, and what was made of it last.
pub(super) struct Reloading {
    pub(super) source: Source,
    /// As they were at the start: a program may change its environment, but no thread may look at it meanwhile.
    pub(super) variables: Variables,
    pub(super) strict: bool,
    /// The print of what is in effect; 0 where that is not known, and so is no content's.
    pub(super) applied: AtomicU64,
    /// Held during a reload.
    pub(super) one_at_a_time: PerProcess<Mutex<Looks>>,
    /// Whether this process has the thread that looks.
    watched: PerProcess<AtomicBool>,
    counted: PerProcess<Counted>,
}

/// What the looks of a process have seen that is not in effect.
#[derive(Default)]
pub(super) struct Looks {
    /// This was seen once: it may be half written.
    pub(super) settling: Option<u64>,
    /// This cannot be used.
    pub(super) refused: Option<Refusal>,
}

pub(super) struct Refusal {
    pub(super) print: u64,
    /// What was said of it.
    pub(super) told: String,
    /// What it wants may be there by then: a plugin, a folder, another mode of the file.
    pub(super) again_at: Instant,
}

#[derive(Default)]
pub(super) struct Counted {
    pub(super) taken: AtomicU64,
    pub(super) refused: AtomicU64,
    /// Of what the file says now. A lock of its own: the status does not wait for a reload.
    last_error: Mutex<Option<(String, Instant)>>,
}

/// What tells one content from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Print {
    /// Of the text alone.
    text: u64,
    /// With the files that it refers to. Never 0.
    pub(super) whole: u64,
}

impl Reloading {
    /// To be made before the configuration is read: what changes after that is found changed.
    pub(super) fn new(source: Source, strict: bool) -> (Self, Print) {
        let variables = Variables::of_now();
        // The program may go to another folder.
        let source = match (source, config::file_of(&variables)) {
            (Source::Process, Some(path)) | (Source::File(path), _) => {
                Source::File(std::path::absolute(&path).unwrap_or(path))
            }
            (source, _) => source,
        };
        let reloading = Self {
            source,
            variables,
            strict,
            applied: AtomicU64::new(0),
            one_at_a_time: PerProcess::new(),
            watched: PerProcess::new(),
            counted: PerProcess::new(),
        };
        let print = reloading.print();
        (reloading, print)
    }

    /// Says what was read in the end, after `before` was looked at. If that is something else nobody knows to which of both
    /// the files belong that were read with it: it is looked at again.
    pub(super) fn has_read(&self, before: Print, report: &Report) {
        let same = before.text == hasher_of(&report.text).finish();
        self.applied.store(if same { before.whole } else { 0 }, Ordering::Relaxed);
    }

    pub(super) fn stats(&self, generation: u64) -> ReloadStats {
        let Some(counted) = self.counted.get() else { return ReloadStats { generation, ..ReloadStats::default() } };
        let last_error = counted.last_error.lock().unwrap_or_else(PoisonError::into_inner).clone();
        ReloadStats {
            taken: counted.taken.load(Ordering::Relaxed),
            refused: counted.refused.load(Ordering::Relaxed),
            generation,
            last_error: last_error.map(|(message, at)| (message, at.elapsed())),
        }
    }

    pub(super) fn counted(&self) -> &Counted {
        self.counted.get_or_init(Counted::default)
    }

    pub(super) fn watched(&self) -> &AtomicBool {
        self.watched.get_or_init(AtomicBool::default)
    }

    /// What identifies the content that there is now.
    pub(super) fn print(&self) -> Print {
        Print::of(&match &self.source {
            Source::File(path) => config::file_text(path).map_err(|problem| problem.message),
            Source::Text { text, .. } => Ok(text.clone()),
            // Variables are those of the start.
            Source::Process => Ok(String::new()),
        })
    }
}

impl Counted {
    pub(super) fn fails(&self, error: Option<String>) {
        let error = error.map(|error| (error, Instant::now()));
        *self.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

impl Print {
    /// Of a text, and of the files that it refers to; or of why there is none.
    fn of(content: &Result<String, String>) -> Self {
        match content {
            Ok(text) => {
                let mut hasher = hasher_of(text);
                let text_hash = hasher.finish();
                config::referenced_files(text).for_each(|content| content.hash(&mut hasher));
                Self { text: text_hash, whole: hasher.finish().max(1) }
            }
            Err(message) => {
                let mut hasher = DefaultHasher::new();
                (0_u8, message).hash(&mut hasher);
                Self { text: 0, whole: hasher.finish().max(1) }
            }
        }
    }
}

/// One that has a text alone. A byte order mark is no part of it.
fn hasher_of(text: &str) -> DefaultHasher {
    let mut hasher = DefaultHasher::new();
    text.strip_prefix('\u{feff}').unwrap_or(text).hash(&mut hasher);
    hasher
}
