//! Where lines come from, on a thread of their own.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread;

use super::counts::Counts;
use super::followed_file::FollowedFile;
use super::intake::{Event, Intake, NobodyLooks};
use super::lines::Lines;
use crate::failure::Failure;
use crate::output;

/// What the thread does.
type Reading = dyn FnOnce(&Intake) -> Result<(), NobodyLooks> + Send;

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
            output::note(&format!("{source} is not there yet: waiting for it"));
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
