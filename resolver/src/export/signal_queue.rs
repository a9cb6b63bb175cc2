//! A signal's queue: the batches of one signal that wait for a backend, and how the backend takes that signal.
//!
//! `resolver/RATIONALE.md`: "Why has each signal a queue of its own within a backend's?"

use std::collections::VecDeque;

use super::circuit::Circuit;
use super::finished_batch::Signal;
use super::worker_states::Entry;
use crate::config::Retry;
use crate::diagnostics::OnceAMinute;

/// See the module.
#[derive(Debug)]
pub(super) struct SignalQueue {
    pub(super) signal: Signal,
    /// In order of `sequence`.
    pub(super) waiting: VecDeque<Entry>,
    /// An address that does not take metrics says nothing about the one for spans.
    pub(super) circuit: Circuit,
    pub(super) trouble: OnceAMinute,
    pub(super) refusals: OnceAMinute,
    /// While the backend fails, and that was said: what had been lost before.
    pub(super) trouble_announced: Option<u64>,
}

/// One queue for each signal.
#[derive(Debug)]
pub(super) struct BySignal {
    traces: SignalQueue,
    metrics: SignalQueue,
}

impl SignalQueue {
    fn new(signal: Signal, retry: Retry) -> Self {
        Self {
            signal,
            waiting: VecDeque::new(),
            circuit: Circuit::new(retry),
            trouble: OnceAMinute::default(),
            refusals: OnceAMinute::default(),
            trouble_announced: None,
        }
    }

    /// What log lines about it begin with.
    pub(super) fn prefix(&self) -> &'static str {
        match self.signal {
            Signal::Traces => "",
            Signal::Metrics => "metrics: ",
        }
    }
}

impl BySignal {
    pub(super) fn new(retry: Retry) -> Self {
        Self { traces: SignalQueue::new(Signal::Traces, retry), metrics: SignalQueue::new(Signal::Metrics, retry) }
    }

    pub(super) fn of(&mut self, signal: Signal) -> &mut SignalQueue {
        match signal {
            Signal::Traces => &mut self.traces,
            Signal::Metrics => &mut self.metrics,
        }
    }

    pub(super) fn of_ref(&self, signal: Signal) -> &SignalQueue {
        match signal {
            Signal::Traces => &self.traces,
            Signal::Metrics => &self.metrics,
        }
    }

    pub(super) fn all(&self) -> [&SignalQueue; 2] {
        [&self.traces, &self.metrics]
    }

    pub(super) fn all_mut(&mut self) -> [&mut SignalQueue; 2] {
        [&mut self.traces, &mut self.metrics]
    }

    pub(super) fn waiting(&self) -> impl Iterator<Item = &Entry> {
        self.traces.waiting.iter().chain(&self.metrics.waiting)
    }

    pub(super) fn are_empty(&self) -> bool {
        self.all().iter().all(|queue| queue.waiting.is_empty())
    }
}
