//! When metrics are collected, and the port at which they are asked for.
//!
//! The batch thread collects, as often as the interval says and when the process ends: it is there already, and in every
//! fork anew. A thread of its own has only the port for Prometheus. Without metrics none of this is made.

#![forbid(unsafe_code)]

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::encode::Span;
use super::port::Port;
use crate::clock;
use crate::config;
use crate::diagnostics;
use crate::per_process::PerProcess;
use crate::swap::Swap;

/// The schedule of one resolver.
pub(crate) struct Reader {
    settings: Swap<config::Metrics>,
    here: PerProcess<Here>,
}

/// Of one process: a fork begins with an interval, a port and values of its own.
struct Here {
    /// When the values began: nanoseconds since 1970.
    began: u64,
    next: Mutex<Instant>,
    /// The address that was asked for, and what is open there.
    port: Mutex<Option<(SocketAddr, Option<Port>)>>,
    ended: AtomicBool,
    /// Held during a collection: what was read later is sent later.
    collecting: Mutex<()>,
}

impl Reader {
    pub(crate) fn new(settings: config::Metrics) -> Self {
        let reader = Self { settings: Swap::new(Arc::new(settings)), here: PerProcess::new() };
        reader.here();
        reader
    }

    /// The settings are these from here on; values go on from where they are.
    pub(crate) fn follow(&self, settings: &config::Metrics) {
        self.settings.store(Arc::new(settings.clone()));
        let mut next = self.here().next.lock().unwrap_or_else(PoisonError::into_inner);
        *next = (*next).min(Instant::now() + settings.interval);
    }

    /// Opens the port in this process, if there is to be one; a port that is open stays, unless it is to be another or
    /// none (`is_wanted`).
    ///
    /// `text` is all that is known then; `None`: nobody measures any more.
    pub(crate) fn open_port(&self, is_wanted: bool, text: impl Fn() -> Option<String> + Send + 'static) {
        let address = self.settings.load().prometheus.filter(|_| is_wanted && !self.has_ended());
        let mut here = self.here().port.lock().unwrap_or_else(PoisonError::into_inner);
        if here.as_ref().map(|(known, _)| *known) == address {
            return;
        }
        // The one of before is closed first: it may be the same number of another address.
        drop(here.take());
        let Some(address) = address else { return };
        let cannot = |error: &io::Error| {
            diagnostics::warn(&format!(
                "Prometheus cannot ask this process for metrics: {address}: {error}; it is tried again every five seconds \
                 (`prometheus` of [metrics]; several processes cannot share one: `textfile` with {{pid}} gives each its own file)"
            ));
        };
        let port = Port::open(address, text, cannot);
        match &port {
            Ok(port) if port.is_open() => {
                diagnostics::info(&format!("metrics for Prometheus are at http://{address}/metrics"));
            }
            Ok(_) => {}
            Err(error) => cannot(error),
        }
        *here = Some((address, port.ok()));
    }

    /// Whether it is time to collect. Only the first who asks is told so.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        let mut next = self.here().next.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = now >= *next;
        if is_due {
            *next = now + self.settings.load().interval;
        }
        is_due
    }

    /// Nothing is collected by itself any more in this process, and nobody can ask.
    pub(crate) fn end(&self) {
        // Relaxed: nothing is read because of it.
        self.here().ended.store(true, Ordering::Relaxed);
        let port = self.here().port.lock().unwrap_or_else(PoisonError::into_inner).take();
        // Without the lock: the port may wait a moment for its thread to be woken.
        drop(port);
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.here().ended.load(Ordering::Relaxed)
    }

    /// Collects, one at a time.
    pub(crate) fn collect<T>(&self, collect: impl FnOnce(Span) -> T) -> T {
        let here = self.here();
        let _one_at_a_time = here.collecting.lock().unwrap_or_else(PoisonError::into_inner);
        collect(Span { began: here.began, read: clock::unix_nanos() })
    }

    fn here(&self) -> &Here {
        self.here.get_or_init(|| Here {
            began: clock::unix_nanos(),
            next: Mutex::new(Instant::now() + self.settings.load().interval),
            port: Mutex::new(None),
            ended: AtomicBool::new(false),
            collecting: Mutex::new(()),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn each_interval_is_told_once() {
        let interval = Duration::from_secs(60);
        let reader = Reader::new(config::Metrics { interval, ..config::Metrics::default() });
        let start = Instant::now();
        assert!(!reader.is_due(start));
        let later = start + interval;
        assert_eq!((reader.is_due(later), reader.is_due(later)), (true, false));
        // A process that slept does not catch up.
        let much_later = later + 10 * interval;
        assert_eq!((reader.is_due(much_later), reader.is_due(much_later)), (true, false));
    }

    #[test]
    fn what_is_read_later_has_a_later_time_and_all_began_together() {
        let reader = Reader::new(config::Metrics::default());
        let (first, second) = (reader.collect(|time| time), reader.collect(|time| time));
        assert_eq!(first.began, second.began);
        assert!(first.began <= first.read && first.read <= second.read);
    }
}
