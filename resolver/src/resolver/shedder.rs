//! How many of the new traces may begin, by what the queues of all backends want; and who is told of it.
//!
//! `resolver/src/tracer/RATIONALE.md`: "Why are whole traces shed, and by one threshold for the process?"

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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
    /// Changed with `telling` locked.
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
        let running = backends.iter().filter_map(|known| Some((known.name.as_str(), known.running()?.wish())));
        let wishes: Vec<_> = running.collect();
        if let Some((level, line)) = self.look(now, &wishes, || services.shed()) {
            diagnostics::say(diagnostics::TARGET, level, &line);
        }
    }

    /// Takes the wish of the backend that wants the fewest; gives a line for the log.
    ///
    /// Who takes nothing at the moment has no say beside one that does: the traces that it has no room for are another's. At
    /// the end nobody has any. `shed`: how many traces have not begun so far.
    fn look(&self, now: Instant, wishes: &[(&str, Wish)], shed: impl FnOnce() -> u64) -> Option<(Level, String)> {
        let worst = worst(wishes);
        let halvings = worst.map(|(_, wish)| wish.halvings).unwrap_or_default();
        let mut telling = self.telling();
        if self.has_ended.load(Ordering::Relaxed) {
            return None;
        }
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
        let telling = self.telling();
        self.has_ended.store(true, Ordering::Relaxed);
        // Under the lock: a look that is under way has asked before, and none asks after.
        self.asker.ask(1.0);
        drop(telling);
    }

    fn telling(&self) -> MutexGuard<'_, Telling> {
        self.telling.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plugin::child_is_well;
    use crate::tracer::shedding;

    /// Of a backend of which so much of a queue of 1,000 bytes is full.
    fn wish(held: u64, is_heard: bool) -> Wish {
        Wish { halvings: Halvings::of(held, 1_000, 250), is_heard, held, bound: 1_000 }
    }

    /// What begins then, in a process of its own.
    fn share(wishes: &[(&str, Wish)], expected: f64) -> bool {
        child_is_well(|| {
            let shedder = Shedder::new();
            shedder.look(Instant::now(), wishes, || 0);
            let (share, _) = shedding::now();
            (share - expected).abs() < 0.001
        })
    }

    #[test]
    fn the_backend_that_wants_the_fewest_traces_has_them_and_one_that_takes_nothing_has_no_say_beside_others() {
        let (free, full) = (wish(0, true), wish(875, true));
        assert!(share(&[("a", free), ("b", full)], 1.0 / 16.0) && share(&[("a", full), ("b", free)], 1.0 / 16.0));
        let away = wish(1_000, false);
        assert!(share(&[("a", free), ("b", away)], 1.0) && share(&[("a", full), ("b", away)], 1.0 / 16.0));
        assert!(share(&[("a", away)], 0.0), "there is nobody else");
        assert!(share(&[], 1.0));
    }

    #[test]
    fn that_fewer_begin_is_told_once_a_minute_at_the_most_and_that_all_do_again_after_it_was() {
        assert!(child_is_well(|| {
            let (shedder, now) = (Shedder::new(), Instant::now());
            let told = |seconds: u64, held, shed| {
                shedder.look(now + std::time::Duration::from_secs(seconds), &[("a", wish(held, true))], || shed)
            };
            let begins =
                |line: Option<(Level, String)>, text: &str| line.is_some_and(|(_, line)| line.starts_with(text));
            begins(told(0, 900, 0), "backend `a` takes fewer spans than come")
                && told(1, 950, 10).is_none()
                && begins(told(2, 0, 30), "all new traces begin again: the backends keep up; 30 traces were not begun")
                && told(3, 900, 30).is_none()
                && told(4, 0, 40).is_none()
                && begins(told(70, 900, 40), "backend `a`")
        }));
    }

    #[test]
    fn at_the_end_all_traces_begin_whatever_the_queues_want() {
        assert!(child_is_well(|| {
            let shedder = Shedder::new();
            shedder.look(Instant::now(), &[("a", wish(900, true))], || 0);
            let before = shedding::now().0;
            shedder.end();
            let after = shedding::now().0;
            // A look that was late.
            shedder.look(Instant::now(), &[("a", wish(950, true))], || 0);
            before < 1.0 && after == 1.0 && shedding::now().0 == 1.0
        }));
    }

    #[test]
    fn a_look_that_is_under_way_at_the_end_keeps_no_trace_from_beginning_after_it() {
        assert!(child_is_well(|| {
            (0..2_000).all(|_| {
                let (shedder, begin) = (Shedder::new(), std::sync::Barrier::new(2));
                std::thread::scope(|scope| {
                    scope.spawn(|| {
                        begin.wait();
                        shedder.look(Instant::now(), &[("a", wish(900, true))], || 0);
                    });
                    begin.wait();
                    shedder.end();
                });
                shedding::now().0 == 1.0
            })
        }));
    }
}
