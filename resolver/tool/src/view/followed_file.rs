//! A file that others write while it is read: it grows, is rotated, replaced or cut.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use super::intake::{Intake, NobodyLooks};
use super::lines::Lines;

/// A path, and the file that was met there last. Holding it open keeps its inode from being given to another file.
pub(super) struct FollowedFile {
    path: PathBuf,
    open: Option<OpenFile>,
    lines: Lines,
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
        Self { path, open: None, lines: Lines::default() }
    }

    /// Reads what there is and what comes, for ever.
    pub(super) fn follow(&mut self, intake: &Intake) -> Result<(), NobodyLooks> {
        let mut said = None;
        loop {
            match self.look(intake) {
                Ok(looked) => looked?,
                Err(error) => {
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
    pub(super) fn look(&mut self, intake: &Intake) -> io::Result<Result<(), NobodyLooks>> {
        let there = match fs::metadata(&self.path) {
            Ok(there) => Some(there),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => return Err(error),
        };
        let Some(open) = &mut self.open else {
            if there.is_none() {
                return Ok(Ok(()));
            }
            self.begin(File::open(&self.path)?);
            return self.read(intake);
        };
        let own = identity(&open.file.metadata()?);
        let is_other = there.is_some_and(|there| identity(&there) != own);
        // Whoever moved it away may have written to it between the last look and that.
        let read = self.read(intake)?;
        if read.is_err() || !is_other {
            return Ok(read);
        }
        let newer = self.newer_than(own)?;
        if newer.is_none() {
            intake.counts.gap();
        }
        for file in newer.unwrap_or(vec![File::open(&self.path)?]) {
            if let Err(nobody) = self.end_of_file(intake) {
                return Ok(Err(nobody));
            }
            self.begin(file);
            let read = self.read(intake)?;
            if read.is_err() {
                return Ok(read);
            }
        }
        Ok(Ok(()))
    }

    /// The files that came after the one that was read, oldest first: those of a rotation are `PATH.1`, the newest of them,
    /// `PATH.2` and so on. None if that one is not among them: then it cannot be said what came between.
    fn newer_than(&self, own: (u64, u64)) -> io::Result<Option<Vec<File>>> {
        let mut files: Vec<(File, (u64, u64))> = Vec::new();
        // From the newest on: if it is rotated meanwhile, a file is met again, and none is missed.
        for part in 0..MOST_PARTS {
            let mut name = self.path.clone().into_os_string();
            if part > 0 {
                name.push(format!(".{part}"));
            }
            let file = match File::open(PathBuf::from(name)) {
                Ok(file) => file,
                // Between two steps of a rotation there is no file at the path.
                Err(error) if error.kind() == io::ErrorKind::NotFound && part == 0 => continue,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            let identity = identity(&file.metadata()?);
            if identity == own {
                return Ok(Some(files.into_iter().rev().map(|(file, _)| file).collect()));
            }
            if files.iter().all(|(_, met)| *met != identity) {
                files.push((file, identity));
            }
        }
        Ok(None)
    }

    fn begin(&mut self, file: File) {
        self.open = Some(OpenFile { file, read: 0, tail: Vec::new() });
        self.lines.restart();
    }

    /// A half line at the end of a file that nobody writes to any more stays half: it is looked at as it is.
    fn end_of_file(&mut self, intake: &Intake) -> Result<(), NobodyLooks> {
        intake.finish(&mut self.lines)
    }

    fn read(&mut self, intake: &Intake) -> io::Result<Result<(), NobodyLooks>> {
        let Some(open) = &mut self.open else { return Ok(Ok(())) };
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
                Ok(0) => return Ok(Ok(())),
                Ok(length) => length,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let new = bytes.get(..length).unwrap_or_default();
            open.read += length as u64;
            open.tail.extend_from_slice(new);
            let older = open.tail.len().saturating_sub(TAIL);
            open.tail.drain(..older);
            if let Err(nobody) = intake.take(&mut self.lines, new) {
                return Ok(Err(nobody));
            }
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

fn identity(of: &Metadata) -> (u64, u64) {
    (of.dev(), of.ino())
}

/// A person does not see less.
const PAUSE: Duration = Duration::from_millis(100);

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
            let folder = tempfile::tempdir().unwrap();
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
            assert!(self.file.look(&self.intake).unwrap().is_ok());
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
