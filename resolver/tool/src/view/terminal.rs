//! Trees in the terminal.

use std::process::ExitCode;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use tracer_trace_tree::{Drawing, LiveTraces};

use super::counts::Counts;
use super::intake::Event;
use super::options::Only;
use crate::failure::Failure;
use crate::output::{self, Shown};

/// Draws each trace as it completes, and what is left at the end.
pub(super) fn draw(received: &Receiver<Event>, only: Only, counts: &Counts) -> Result<ExitCode, Failure> {
    let colours = output::has_colors();
    let drawing = Drawing { attributes: Vec::new(), times: true, queued: true, reasons: true, colours };
    let mut traces = LiveTraces::new(drawing).without_a_limit().only(move |spans| only.wants(spans));
    let mut told = Told::new();
    let mut looked = Instant::now();
    loop {
        match received.recv_timeout(TICK) {
            // All traces are looked at for those that are complete: not for every batch.
            Ok(Event::Spans(spans)) => {
                traces.add(spans);
                if looked.elapsed() < TICK {
                    continue;
                }
            }
            Ok(Event::End | Event::Stop) | Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => {}
        }
        looked = Instant::now();
        if let Shown::Enough = output::write(traces.take_complete().as_bytes())? {
            return Ok(ExitCode::SUCCESS);
        }
        told.now_and_then(counts);
    }
    output::write(traces.take_all().as_bytes())?;
    told.at_the_end(counts);
    Ok(ExitCode::SUCCESS)
}

/// What cannot be shown is said on standard error: at once, and then not more often than a person reads.
pub(super) struct Told {
    last: Option<(Instant, String)>,
}

impl Told {
    pub(super) fn new() -> Self {
        Self { last: None }
    }

    pub(super) fn now_and_then(&mut self, counts: &Counts) {
        if self.last.as_ref().is_none_or(|(when, _)| when.elapsed() > BETWEEN) {
            self.at_the_end(counts);
        }
    }

    pub(super) fn at_the_end(&mut self, counts: &Counts) {
        let Some(sentence) = counts.sentence() else { return };
        if self.last.as_ref().is_none_or(|(_, last)| *last != sentence) {
            output::note(&sentence);
            self.last = Some((Instant::now(), sentence));
        }
    }
}

const TICK: Duration = Duration::from_millis(100);
const BETWEEN: Duration = Duration::from_secs(10);
