//! From a file's bytes to the spans that its lines hold, on their way to whoever shows them.

use std::sync::Arc;
use std::sync::mpsc::{SendError, SyncSender};

use tracer_trace_tree::ReceivedSpan;

use super::counts::Counts;
use super::lines::{Line, Lines};
use super::otlp;

/// What comes from the sources.
pub(super) enum Event {
    Spans(Vec<ReceivedSpan>),
    /// No source has more.
    End,
    /// Somebody pressed Ctrl-C.
    Stop,
}

/// Where the spans of a file go.
pub(super) struct Intake {
    /// For what is said of its lines.
    pub(super) name: String,
    pub(super) events: SyncSender<Event>,
    pub(super) counts: Arc<Counts>,
}

/// Nobody shows traces any more.
pub(super) struct NobodyLooks;

impl From<SendError<Event>> for NobodyLooks {
    fn from(_: SendError<Event>) -> Self {
        NobodyLooks
    }
}

impl Intake {
    /// Takes more of the file, and hands on what its lines say.
    pub(super) fn take(&self, lines: &mut Lines, bytes: &[u8]) -> Result<(), NobodyLooks> {
        let mut batches = Vec::new();
        lines.push(bytes, |line| batches.extend(self.read(line)));
        self.send(batches)
    }

    /// The same for a last line without an end.
    pub(super) fn finish(&self, lines: &mut Lines) -> Result<(), NobodyLooks> {
        let mut batches = Vec::new();
        lines.finish(|line| batches.extend(self.read(line)));
        self.send(batches)
    }

    fn send(&self, batches: Vec<Vec<ReceivedSpan>>) -> Result<(), NobodyLooks> {
        batches
            .into_iter()
            .filter(|batch| !batch.is_empty())
            .try_for_each(|batch| self.events.send(Event::Spans(batch)).map_err(NobodyLooks::from))
    }

    fn read(&self, line: Line<'_>) -> Option<Vec<ReceivedSpan>> {
        let (number, read) = match line {
            Line::Whole(number, line) => (number, otlp::from_json(line)),
            Line::TooLong(number) => (number, Err("longer than any batch".to_owned())),
        };
        match read {
            Ok(read) => {
                self.counts.without_ids(read.without_ids);
                Some(read.spans)
            }
            Err(why) => {
                self.counts.no_otlp(&format!("{}:{number}", self.name), &why);
                None
            }
        }
    }
}
