//! What a resolver's reloads need, and what came of them.

#![forbid(unsafe_code)]

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

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
    /// The print of what is in effect.
    pub(super) applied: AtomicU64,
    /// Held during a reload.
    pub(super) one_at_a_time: PerProcess<Mutex<Refused>>,
    /// Whether this process has the thread that looks.
    pub(super) watched: PerProcess<AtomicBool>,
    counted: PerProcess<Counted>,
}

#[derive(Default)]
pub(super) struct Counted {
    pub(super) taken: AtomicU64,
    pub(super) refused: AtomicU64,
}

/// Prints of what cannot be used.
#[derive(Default)]
pub(super) struct Refused {
    /// This was told.
    pub(super) told: Option<u64>,
    /// This was seen once: it may be half written.
    pub(super) seen: Option<u64>,
}

impl Reloading {
    /// `report`: of the load that was.
    pub(super) fn new(source: Source, strict: bool, report: &Report) -> Self {
        let variables = Variables::of_now();
        // The program may go to another folder.
        let source = match (source, config::file_of(&variables)) {
            (Source::Process, Some(path)) | (Source::File(path), _) => {
                Source::File(std::path::absolute(&path).unwrap_or(path))
            }
            (source, _) => source,
        };
        let applied = print_of(&Ok(report.text.clone()));
        Self {
            source,
            variables,
            strict,
            applied: AtomicU64::new(applied),
            one_at_a_time: PerProcess::new(),
            watched: PerProcess::new(),
            counted: PerProcess::new(),
        }
    }

    pub(super) fn stats(&self) -> ReloadStats {
        let Some(counted) = self.counted.get() else { return ReloadStats::default() };
        ReloadStats { taken: counted.taken.load(Ordering::Relaxed), refused: counted.refused.load(Ordering::Relaxed) }
    }

    pub(super) fn counted(&self) -> &Counted {
        self.counted.get_or_init(Counted::default)
    }

    /// What identifies the content that there is now; `None` where there is nothing to look at.
    pub(super) fn print(&self) -> Option<u64> {
        match &self.source {
            Source::File(path) => Some(print_of(&config::file_text(path).map_err(|problem| problem.message))),
            Source::Text { text, .. } => Some(print_of(&Ok(text.clone()))),
            Source::Process => None,
        }
    }
}

/// What tells one content from another: the text, and that of the files that it refers to; or why there is none.
pub(super) fn print_of(content: &Result<String, String>) -> u64 {
    let mut hasher = DefaultHasher::new();
    match content {
        Ok(text) => {
            // A byte order mark is no part of it.
            text.strip_prefix('\u{feff}').unwrap_or(text).hash(&mut hasher);
            config::referenced_files(text).for_each(|content| content.hash(&mut hasher));
        }
        Err(message) => (0_u8, message).hash(&mut hasher),
    }
    hasher.finish()
}
