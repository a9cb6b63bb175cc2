//! Where lines come from, on a thread of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{SendError, SyncSender};
use std::thread;

use tracer_trace_tree::ReceivedSpan;

use super::counts::Counts;
use super::followed_file::FollowedFile;
use super::lines::{Line, Lines};
use super::otlp;
use crate::failure::Failure;

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

/// What the thread does.
type Reading = dyn FnOnce(&Intake) -> Result<(), NobodyLooks> + Send;

/// Nobody shows traces any more.
pub(super) struct NobodyLooks;

impl From<SendError<Event>> for NobodyLooks {
    fn from(_: SendError<Event>) -> Self {
        NobodyLooks
    }
}

/// Reads `source`, a path or `-`. `ends` says whether its end is the end of everything.
pub(super) fn start(
    source: &str,
    follow: bool,
    ends: bool,
    events: SyncSender<Event>,
    counts: Arc<Counts>,
) -> Result<(), Failure> {
    let name = if source == "-" { "standard input" } else { source }.to_owned();
    let intake = Intake { name, events, counts };
    let path = Path::new(source);
    let read: Box<Reading> = if source == "-" {
        Box::new(|intake| read_to_the_end(io::stdin(), intake))
    } else if follow && path.metadata().map_or(true, |there| there.is_file()) {
        if !path.exists() {
            eprintln!("tracer-interceptors: {source} is not there yet: waiting for it");
        }
        let mut file = FollowedFile::new(path.to_owned());
        Box::new(move |intake| file.follow(intake))
    } else {
        // A pipe is not followed: its end is its end.
        let unreadable = |error: io::Error| Failure::of_ours(format!("cannot read {source}: {error}"));
        if path.is_dir() {
            return Err(Failure::of_ours(format!("{source} is a folder: name a file of OTLP/JSON lines in it")));
        }
        let file = File::open(path).map_err(unreadable)?;
        Box::new(|intake| read_to_the_end(file, intake))
    };
    let run = move || {
        // That nobody looks is known to whoever stopped looking.
        let _ = read(&intake).and_then(|()| if ends { Ok(intake.events.send(Event::End)?) } else { Ok(()) });
    };
    let failed = |error: io::Error| Failure::of_ours(format!("cannot start a thread: {error}"));
    thread::Builder::new().name("source".into()).spawn(run).map(drop).map_err(failed)
}

fn read_to_the_end(mut from: impl Read, intake: &Intake) -> Result<(), NobodyLooks> {
    let mut lines = Lines::default();
    let mut bytes = vec![0; 64 << 10];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => break,
            Ok(length) => intake.take(&mut lines, bytes.get(..length).unwrap_or_default())?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                intake.counts.no_otlp(&intake.name, &format!("cannot be read further: {error}"));
                break;
            }
        }
    }
    intake.finish(&mut lines)
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
