//! A file that others write while it is read: it grows, is rotated, replaced or cut.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use super::intake::{Intake, NobodyLooks};
use super::lines::Lines;

/// A path, and the file that was met there last. Holding it open keeps its inode from being given to another file.
pub(super) struct FollowedFile {
    path: PathBuf,
    open: Option<OpenFile>,
    /// If the file was not there at first: its newest older part of then, if any.
    before: Option<Option<Identity>>,
    lines: Lines,
}

/// Why a look ended before its end.
enum Halt {
    NobodyLooks,
    Unreadable(io::Error),
}

impl From<NobodyLooks> for Halt {
    fn from(_: NobodyLooks) -> Self {
        Halt::NobodyLooks
    }
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Self {
        Halt::Unreadable(error)
    }
}

struct OpenFile {
    file: File,
    /// How much of it was read.
    read: u64,
    /// The last bytes that were read: a file that has others there was cut and written anew.
    tail: Vec<u8>,
}

impl FollowedFile {
    pub(super) fn new(path: PathBuf) -> Self {
        let mut file = Self { path, open: None, before: None, lines: Lines::default() };
        if !file.path.exists() {
            file.before = Some(fs::metadata(file.part(1)).ok().as_ref().map(identity));
        }
        file
    }

    /// Reads what there is and what comes, for ever.
    pub(super) fn follow(&mut self, intake: &Intake) -> Result<(), NobodyLooks> {
        let mut said = None;
        loop {
            match self.look(intake) {
                Ok(()) => {}
                Err(Halt::NobodyLooks) => return Err(NobodyLooks),
                Err(Halt::Unreadable(error)) => {
                    // Once for each kind of error: a permission may be given later.
                    if said.replace(error.kind()) != Some(error.kind()) {
                        intake.counts.no_otlp(&intake.name, &format!("cannot be read: {error}"));
                    }
                }
            }
            thread::sleep(PAUSE);
        }
    }

    /// Reads what has come since the last look.
    fn look(&mut self, intake: &Intake) -> Result<(), Halt> {
        let there = match fs::metadata(&self.path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error.into()),
        };
        let newer = match &self.open {
            Some(open) => {
                let own = identity(&open.file.metadata()?);
                let is_other = there.is_some_and(|there| identity(&there) != own);
                // Whoever moved it away may have written to it between the last look and that.
                self.read(intake)?;
                if !is_other {
                    return Ok(());
                }
                self.newer_than(Some(own))?
            }
            None if there.is_none() => return Ok(()),
            // Between two looks it may have been rotated several times.
            None => match self.before {
                Some(before) => self.newer_than(before)?,
                None => Some(open_if_there(&self.path)?.into_iter().collect()),
            },
        };
        let files = match newer {
            Some(files) => files,
            None => {
                let Some(file) = open_if_there(&self.path)? else { return Ok(()) };
                intake.counts.gap();
                vec![file]
            }
        };
        for file in files {
            self.end_of_file(intake)?;
            self.begin(file);
            self.read(intake)?;
        }
        Ok(())
    }

    /// The files that came after `own`, oldest first: those of a rotation are `PATH.1`, the newest of them, `PATH.2` and so
    /// on. None if that one is not among them: then it cannot be said what came between. After nothing came all of them.
    fn newer_than(&self, own: Option<Identity>) -> io::Result<Option<Vec<File>>> {
        let mut files: Vec<(File, Identity)> = Vec::new();
        let (mut part, mut patience) = (0, PATIENCE);
        // From the newest on: if it is rotated meanwhile, a file is met again, and none is missed.
        while part < MOST_PARTS {
            let Some(file) = open_if_there(&self.part(part))? else {
                // Between two steps of a rotation there is no file of this number.
                let is_moving = part > 0 && self.part(part + 1).exists();
                if is_moving && patience > 0 {
                    patience -= 1;
                    thread::sleep(Duration::from_millis(1));
                } else if part == 0 {
                    part = 1;
                } else {
                    break;
                }
                continue;
            };
            let identity = identity(&file.metadata()?);
            if Some(identity) == own {
                return Ok(Some(files.into_iter().rev().map(|(file, _)| file).collect()));
            }
            if files.iter().all(|(_, met)| *met != identity) {
                files.push((file, identity));
            }
            part += 1;
        }
        Ok(own.is_none().then(|| files.into_iter().rev().map(|(file, _)| file).collect()))
    }

    /// `PATH` for 0, else `PATH.1` and so on.
    fn part(&self, number: u32) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        if number > 0 {
            name.push(format!(".{number}"));
        }
        PathBuf::from(name)
    }

    fn begin(&mut self, file: File) {
        self.open = Some(OpenFile { file, read: 0, tail: Vec::new() });
        self.lines.restart();
    }

    /// A half line at the end of a file that nobody writes to any more stays half: it is looked at as it is.
    fn end_of_file(&mut self, intake: &Intake) -> Result<(), NobodyLooks> {
        intake.finish(&mut self.lines)
    }

    fn read(&mut self, intake: &Intake) -> Result<(), Halt> {
        let Some(open) = &mut self.open else { return Ok(()) };
        if open.was_cut()? {
            if self.lines.has_half() {
                intake.counts.no_otlp(&intake.name, "it was cut within a line");
            }
            (open.read, open.tail) = (0, Vec::new());
            self.lines.restart();
        }
        let mut bytes = vec![0; 256 << 10];
        loop {
            let length = match open.file.read_at(&mut bytes, open.read) {
                Ok(0) => return Ok(()),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error.into()),
            };
            let new = bytes.get(..length).unwrap_or_default();
            open.read += length as u64;
            open.tail.extend_from_slice(new);
            let older = open.tail.len().saturating_sub(TAIL);
            open.tail.drain(..older);
            intake.take(&mut self.lines, new)?;
        }
    }
}

impl OpenFile {
    fn was_cut(&self) -> io::Result<bool> {
        if self.file.metadata()?.len() < self.read {
            return Ok(true);
        }
        let mut tail = vec![0; self.tail.len()];
        match self.file.read_exact_at(&mut tail, self.read - self.tail.len() as u64) {
            Ok(()) => Ok(tail != self.tail),
            // Cut between the two looks.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(true),
            Err(error) => Err(error),
        }
    }
}

/// Device and inode.
type Identity = (u64, u64);

fn identity(of: &Metadata) -> Identity {
    (of.dev(), of.ino())
}

/// A file may be gone between one look and the next.
fn open_if_there(path: &Path) -> io::Result<Option<File>> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A person does not see less.
const PAUSE: Duration = Duration::from_millis(100);

/// A rotation renames a file in far less time than so many steps take.
const PATIENCE: u32 = 50;

/// More older parts than anybody keeps.
const MOST_PARTS: u32 = 1000;

/// Lines of different batches differ in their last bytes: those are times and ids.
const TAIL: usize = 256;

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write as _;
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, sync_channel};

    use tempfile::TempDir;

    use super::*;
    use crate::view::counts::Counts;
    use crate::view::intake::Event;

    /// A file that is looked at by hand.
    struct Looked {
        folder: TempDir,
        file: FollowedFile,
        intake: Intake,
        received: Receiver<Event>,
    }

    impl Looked {
        fn new() -> Self {
            Self::within(tempfile::tempdir().unwrap())
        }

        fn within(folder: TempDir) -> Self {
            let (events, received) = sync_channel(1000);
            let intake = Intake { name: "spans".into(), events, counts: Arc::new(Counts::default()) };
            Self { file: FollowedFile::new(folder.path().join("spans")), folder, intake, received }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().join(name)
        }

        fn write(&self, text: &str) {
            let mut file = OpenOptions::new().append(true).create(true).open(self.path("spans")).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        }

        fn rotate(&self) {
            for part in (1..9).rev() {
                let _ = fs::rename(self.path(&format!("spans.{part}")), self.path(&format!("spans.{}", part + 1)));
            }
            fs::rename(self.path("spans"), self.path("spans.1")).unwrap();
        }

        /// The names of the spans that a look brings.
        fn look(&mut self) -> String {
            assert!(self.file.look(&self.intake).is_ok());
            let spans = self.received.try_iter().flat_map(|event| match event {
                Event::Spans(spans) => spans,
                _ => Vec::new(),
            });
            spans.map(|span| span.name).collect::<Vec<_>>().join(" ")
        }

        fn said(&self) -> String {
            self.intake.counts.sentence().unwrap_or_default()
        }
    }

    fn line(name: &str) -> String {
        let ids = format!("\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\"", 1, 1);
        format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{{ids},\"name\":\"{name}\"}}]}}]}}]}}\n")
    }

    #[test]
    fn it_is_read_as_it_grows_line_by_line_also_when_it_comes_later() {
        let mut looked = Looked::new();
        assert_eq!(looked.look(), "");
        let (whole, half) = (line("a"), line("b"));
        looked.write(&whole);
        looked.write(&half[..30]);
        assert_eq!(looked.look(), "a");
        looked.write(&half[30..]);
        assert_eq!((looked.look(), looked.look()), ("b".into(), String::new()));
        assert_eq!(looked.said(), "");
    }

    #[test]
    fn rotations_between_two_looks_lose_nothing() {
        for rotations in 1..=4 {
            let mut looked = Looked::new();
            looked.write(&line("first"));
            assert_eq!(looked.look(), "first");
            let mut expected = Vec::new();
            for number in 0..rotations {
                // To the old one too, after the last look.
                looked.write(&line(&format!("old{number}")));
                looked.rotate();
                looked.write(&line(&format!("new{number}")));
                expected.extend([format!("old{number}"), format!("new{number}")]);
            }
            assert_eq!(looked.look(), expected.join(" "), "{rotations} rotations");
            assert_eq!(looked.said(), "");
        }
    }

    #[test]
    fn what_was_rotated_away_before_the_first_look_is_read_and_what_is_older_is_not() {
        for older in [false, true] {
            let folder = tempfile::tempdir().unwrap();
            if older {
                fs::write(folder.path().join("spans.1"), line("old")).unwrap();
            }
            let mut looked = Looked::within(folder);
            for name in ["a", "b", "c"] {
                looked.write(&line(name));
                looked.rotate();
            }
            looked.write(&line("d"));
            assert_eq!((looked.look(), looked.said()), ("a b c d".into(), String::new()), "{older}");
        }
    }

    #[test]
    fn a_hole_in_the_middle_of_a_rotation_is_waited_for() {
        let mut looked = Looked::new();
        looked.write(&line("a"));
        assert_eq!(looked.look(), "a");
        looked.rotate();
        looked.write(&line("b"));
        looked.rotate();
        looked.write(&line("c"));
        let (from, to) = (looked.path("spans.1"), looked.path("hidden"));
        fs::rename(&from, &to).unwrap();
        let mover = thread::spawn(move || {
            thread::sleep(Duration::from_millis(5));
            fs::rename(to, from).unwrap();
        });
        assert_eq!((looked.look(), looked.said()), ("b c".into(), String::new()));
        mover.join().unwrap();
    }

    #[test]
    fn a_rotation_that_is_seen_half_way_waits_for_the_new_file() {
        let mut looked = Looked::new();
        looked.write(&line("a"));
        assert_eq!(looked.look(), "a");
        looked.write(&line("b"));
        looked.rotate();
        assert_eq!((looked.look(), looked.look()), ("b".into(), String::new()));
        looked.write(&line("c"));
        assert_eq!((looked.look(), looked.said()), ("c".into(), String::new()));
    }

    #[test]
    fn a_file_that_is_cut_is_read_from_its_start_even_if_it_has_grown_again_since() {
        let mut looked = Looked::new();
        looked.write(&line("a"));
        looked.write(&line("b"));
        assert_eq!(looked.look(), "a b");
        fs::write(looked.path("spans"), line("c")).unwrap();
        assert_eq!(looked.look(), "c");
        fs::write(looked.path("spans"), [line("d"), line("e"), line("f")].concat()).unwrap();
        assert_eq!(looked.look(), "d e f");
        looked.write("{\"half");
        assert_eq!(looked.look(), "");
        fs::write(looked.path("spans"), "").unwrap();
        assert_eq!(looked.look(), "");
        assert!(looked.said().contains("it was cut within a line"), "{}", looked.said());
    }

    #[test]
    fn a_file_that_is_replaced_is_read_from_its_start_and_what_may_be_missed_is_said() {
        let mut looked = Looked::new();
        looked.write(&line("a"));
        assert_eq!(looked.look(), "a");
        looked.write(&line("b"));
        fs::write(looked.path("other"), line("c")).unwrap();
        fs::rename(looked.path("other"), looked.path("spans")).unwrap();
        assert_eq!(looked.look(), "b c");
        assert!(looked.said().contains("1 time the file was gone"), "{}", looked.said());
        fs::remove_file(looked.path("spans")).unwrap();
        assert_eq!(looked.look(), "");
        looked.write(&line("d"));
        assert_eq!(looked.look(), "d");
    }

    #[test]
    fn lines_that_are_no_otlp_are_counted_and_the_first_is_named() {
        let mut looked = Looked::new();
        looked.write(&format!("no json\n\n{}{{\"resourceLogs\":[]}}\n[1]\n", line("a")));
        assert_eq!(looked.look(), "a");
        let said = looked.said();
        assert!(said.contains("3 lines or requests were no OTLP (the first: spans:1: "), "{said}");
    }
}
