//! How many of the new traces may begin, by what the queues of all backends want; and who is told of it.
//!
//! `resolver/src/tracer/RATIONALE.md`: "Why are whole traces shed, and by one threshold for the process?"

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use log::Level;

use super::destination::Destination;
use super::ledger::Ledger;
use crate::counted::{counted, verb};
use crate::diagnostics::{self, OnceAMinute};
use crate::export::{Halvings, Wish};
use crate::per_process::PerProcess;
use crate::tracer::shedding::Asker;

/// See the module. The batch thread's, but for what is told at the end.
pub(super) struct Shedder {
    asker: Asker,
    has_ended: AtomicBool,
    telling: PerProcess<Mutex<Telling>>,
}

#[derive(Default)]
struct Telling {
    halvings: Halvings,
    lines: OnceAMinute,
    /// While fewer traces begin, and that was said: how many had not begun before.
    told: Option<u64>,
}

impl Shedder {
    pub(super) fn new() -> Self {
        Self { asker: Asker::new(), has_ended: AtomicBool::new(false), telling: PerProcess::new() }
    }

    /// Lets as many traces begin as these backends have room for, and tells of it. Called by the batch thread.
    pub(super) fn follow(&self, now: Instant, backends: &[Arc<Destination>], services: &Ledger) {
        if self.has_ended.load(Ordering::Relaxed) {
            return;
        }
        let running = backends.iter().filter_map(|known| Some((known.name.as_str(), known.running()?.wish())));
        let wishes: Vec<_> = running.collect();
        if let Some((level, line)) = self.look(now, &wishes, || services.shed()) {
            diagnostics::say(diagnostics::TARGET, level, &line);
        }
    }

    /// Takes the wish of the backend that wants the fewest; gives a line for the log.
    ///
    /// Who takes nothing at the moment has no say beside one that does: the traces that it has no room for are another's.
    /// `shed`: how many traces have not begun so far.
    fn look(&self, now: Instant, wishes: &[(&str, Wish)], shed: impl FnOnce() -> u64) -> Option<(Level, String)> {
        let worst = worst(wishes);
        let halvings = worst.map(|(_, wish)| wish.halvings).unwrap_or_default();
        let mut telling = self.telling.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner);
        if halvings != telling.halvings {
            telling.halvings = halvings;
            self.asker.ask(halvings.share());
        }
        match (worst, telling.told) {
            (Some((backend, wish)), None) if !halvings.is_none() && telling.lines.opens(now) => {
                telling.told = Some(shed());
                Some((Level::Warn, warning(backend, &wish)))
            }
            (_, Some(before)) if halvings.is_none() => {
                telling.told = None;
                let shed = shed().saturating_sub(before);
                let text = format!(
                    "all new traces begin again: the backends keep up; {} {} not begun meanwhile",
                    counted(shed, "trace"),
                    verb(shed, "was", "were")
                );
                Some((Level::Info, text))
            }
            _ => None,
        }
    }

    /// No more spans come: the queues want nothing any more.
    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.asker.ask(1.0);
    }
}

/// The wish that holds.
fn worst<'a>(wishes: &[(&'a str, Wish)]) -> Option<(&'a str, Wish)> {
    let somebody_takes = wishes.iter().any(|(_, wish)| wish.is_heard);
    let heard = wishes.iter().filter(|(_, wish)| wish.is_heard || !somebody_takes);
    heard.max_by_key(|(_, wish)| wish.halvings).copied()
}

fn warning(backend: &str, wish: &Wish) -> String {
    const MIB: u64 = 1 << 20;
    format!(
        "backend `{backend}` takes fewer spans than come: {} of {} MiB wait. Fewer traces begin until it keeps up, now {:.0} in 100; \
         those that begin stay whole, and say by `th` in their trace state for how many they stand. More arrive with a faster \
         backend, with more `queue_bytes` or `concurrency`, or with a sampler that keeps less; `shed_traces = false` of the \
         backend drops batches instead",
        wish.held.div_ceil(MIB),
        wish.bound.div_ceil(MIB),
        wish.halvings.share() * 100.0
    )
}
