//! A file of lines that is rotated by size.

use std::fmt::Display;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use tracer_plugin_api::BackendError;
use tracer_plugin_kit::{Counters, OwnDescriptor};

/// `PATH`, and its older parts `PATH.1` (the newest of them) to `PATH.<max_files - 1>`.
///
/// Several backends may write to it, of one process or of many (forked workers): each line is written, and each rotation
/// done, by whoever holds the lock of the file that has the path at that moment. If someone else moves it away
/// (logrotate), a new one is begun at the next line. A program may close the descriptor, and give its number to a file of its own:
/// then that one is let alone, and the path opened again.
#[derive(Debug)]
pub(crate) struct RotatedFile {
    path: PathBuf,
    max_bytes: u64,
    max_files: u32,
    /// `None` until it was opened, and after an error.
    open: Option<OpenFile>,
}

type OpenFile = OwnDescriptor<File>;

/// What became of lines.
#[derive(PartialEq)]
enum Written {
    Whole,
    /// The path is another file's now: there they are to be written.
    Elsewhere,
    /// Others hold the file.
    Locked,
}

impl RotatedFile {
    pub(crate) fn new(path: PathBuf, max_bytes: u64, max_files: u32) -> Self {
        RotatedFile { path, max_bytes, max_files, open: None }
    }

    /// Opens the file, to go on at its end.
    ///
    /// # Errors
    ///
    /// Retryable: a disk can be mounted, a permission given.
    pub(crate) fn open(&mut self, counters: &Counters) -> Result<(), BackendError> {
        self.current(counters).map(|_| ())
    }

    /// Appends `lines`, after rotation if it would grow beyond its size. Lines longer than that have a file of their own.
    ///
    /// # Errors
    ///
    /// Retryable. What was written of them is taken back: the file ends with a whole line. So is a lock that others
    /// hold for as long as `patience`.
    pub(crate) fn write_lines(
        &mut self,
        lines: &[u8],
        patience: Duration,
        counters: &Counters,
    ) -> Result<(), BackendError> {
        let give_up = Instant::now() + patience;
        for round in 0_u32.. {
            // The second round is for a rotation, or a file that another has rotated.
            if round > 1 {
                if Instant::now() >= give_up {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
            let open = self.current(counters)?;
            let written = self.write_locked(&open, lines, give_up)?;
            if written != Written::Elsewhere {
                self.open = Some(open);
            }
            match written {
                Written::Whole => return Ok(()),
                Written::Elsewhere => {}
                Written::Locked => {
                    let message = format!("{} is locked by another process", self.path.display());
                    return Err(BackendError::retryable(message));
                }
            }
        }
        Err(BackendError::retryable(format!("{} is another file at each look", self.path.display())))
    }

    fn write_locked(&self, open: &OpenFile, lines: &[u8], give_up: Instant) -> Result<Written, BackendError> {
        let lock = Lock::take(open, give_up).map_err(|error| failed("locked", self.path.display(), &error))?;
        let Some(_lock) = lock else { return Ok(Written::Locked) };
        // Whoever had the lock before may have rotated it.
        let Some((mut file, length)) = self.in_place(open) else { return Ok(Written::Elsewhere) };
        if length > 0 && length.saturating_add(lines.len() as u64) > self.max_bytes {
            self.rotate()?;
            return Ok(Written::Elsewhere);
        }
        append(&mut file, length, lines).map_err(|error| failed("written", self.path.display(), &error))?;
        Ok(Written::Whole)
    }

    /// Waits until the lines are on the disk.
    pub(crate) fn sync(&mut self) -> Result<(), BackendError> {
        let Some(mut last) = self.open.take() else { return Ok(()) };
        if last.get().is_none() {
            last = open(&self.path).map_err(|error| failed("opened", self.path.display(), &error))?;
        }
        match self.open.insert(last).get().map_or(Ok(()), File::sync_data) {
            Ok(()) => Ok(()),
            // What cannot be synced (a pipe, /dev/null) holds nothing back.
            Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => Ok(()),
            Err(error) => Err(failed("flushed", self.path.display(), &error)),
        }
    }

    /// The file that has the path, open.
    fn current(&mut self, counters: &Counters) -> Result<OpenFile, BackendError> {
        if let Some(open) = self.open.take().filter(|open| self.in_place(open).is_some()) {
            return Ok(open);
        }
        let open = open(&self.path).map_err(|error| failed("opened", self.path.display(), &error))?;
        counters.connected();
        Ok(open)
    }

    /// The file and its length, if it is what has the path, and its descriptor still its own.
    fn in_place<'a>(&self, open: &'a OpenFile) -> Option<(&'a File, u64)> {
        let there = std::fs::metadata(&self.path).ok().filter(|there| open.is(there))?;
        Some((open.get()?, there.len()))
    }

    /// `PATH.1` becomes `PATH.2` and so on; the oldest goes.
    fn rotate(&self) -> Result<(), BackendError> {
        let older = |n: u32| {
            let mut name = self.path.clone().into_os_string();
            name.push(format!(".{n}"));
            PathBuf::from(name)
        };
        if self.max_files == 1 {
            return remove(&self.path);
        }
        for n in (1..self.max_files - 1).rev() {
            rename(&older(n), &older(n + 1))?;
        }
        rename(&self.path, &older(1))
    }
}

/// The lock of a file, until it is dropped: `flock`, which a crashed process gives back.
struct Lock<'a>(Option<&'a OpenFile>);

impl<'a> Lock<'a> {
    /// `None`: others hold it until `give_up`.
    fn take(open: &'a OpenFile, give_up: Instant) -> std::io::Result<Option<Self>> {
        let mut pause = Duration::from_micros(50);
        loop {
            let Some(file) = open.get() else { return Err(Errno::BADF.into()) };
            match flock(file, FlockOperation::NonBlockingLockExclusive) {
                Ok(()) => return Ok(Some(Self(Some(open)))),
                Err(Errno::WOULDBLOCK) if Instant::now() >= give_up => return Ok(None),
                Err(Errno::WOULDBLOCK) => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(5));
                }
                Err(Errno::INTR) => {}
                // A file system without locks: one writer at a time is then up to whoever names the file.
                Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::NOLCK | Errno::INVAL) => return Ok(Some(Self(None))),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Drop for Lock<'_> {
    fn drop(&mut self) {
        // Said, not left to the closing: a fork has a copy of the descriptor. It fails for what is not locked only.
        let _ = self.0.and_then(OwnDescriptor::get).map(|file| flock(file, FlockOperation::Unlock));
    }
}

fn open(path: &Path) -> std::io::Result<OpenFile> {
    OwnDescriptor::new(OpenOptions::new().append(true).create(true).mode(FOR_OWNER_AND_GROUP).open(path)?)
}

/// Writes at the end, or leaves the file as long as it was.
fn append(file: &mut impl Tail, length: u64, lines: &[u8]) -> std::io::Result<()> {
    let written = file.write_all(lines);
    if written.is_err() {
        // If this fails too, nothing better is left: the reader of the file will find half a line.
        let _ = file.cut_to(length);
    }
    written
}

/// A file as `append` needs it; in tests, one on a disk that becomes full.
trait Tail: Write {
    fn cut_to(&mut self, length: u64) -> std::io::Result<()>;
}

impl Tail for &File {
    fn cut_to(&mut self, length: u64) -> std::io::Result<()> {
        self.set_len(length)
    }
}

fn rename(from: &Path, to: &Path) -> Result<(), BackendError> {
    match std::fs::rename(from, to) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failed("rotated", from.display(), &error)),
    }
}

fn remove(path: &Path) -> Result<(), BackendError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("rotated", path.display(), &error)),
        _ => Ok(()),
    }
}

/// What may work later: `place` could not be opened, locked, written or whatever `what` says.
pub(crate) fn failed(what: &str, place: impl Display, error: &std::io::Error) -> BackendError {
    BackendError::retryable(format!("{place} cannot be {what}: {error}"))
}

/// From one look at a file that is another one each time to the next.
const PAUSE: Duration = Duration::from_millis(1);

/// Spans may hold message keys and the like: not for everyone on the machine.
const FOR_OWNER_AND_GROUP: u32 = 0o640;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use tracer_plugin_api::ErrorKind as BackendErrorKind;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(60);

    fn write(file: &mut RotatedFile, line: &str) {
        file.write_lines(line.as_bytes(), PATIENCE, &Counters::default()).unwrap();
    }

    fn files(directory: &Path) -> Vec<(String, String)> {
        let mut files: Vec<_> = std::fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read_to_string(entry.path()).unwrap()))
            .collect();
        files.sort();
        files
    }

    fn named(files: &[(&str, &str)]) -> Vec<(String, String)> {
        files.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
    }

    #[test]
    fn a_file_is_rotated_before_it_grows_beyond_its_size_and_the_oldest_goes() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 8, 3);
        for line in ["111\n", "222\n", "333\n", "444\n", "555\n", "666\n", "777\n"] {
            write(&mut file, line);
        }
        let expected = named(&[("spans", "777\n"), ("spans.1", "555\n666\n"), ("spans.2", "333\n444\n")]);
        assert_eq!(files(directory.path()), expected);
    }

    #[test]
    fn with_one_file_the_old_lines_go() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 8, 1);
        for line in ["111\n", "222\n", "333\n"] {
            write(&mut file, line);
        }
        assert_eq!(files(directory.path()), named(&[("spans", "333\n")]));
    }

    #[test]
    fn a_line_longer_than_the_size_has_a_file_of_its_own() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 4, 3);
        write(&mut file, "1234567\n");
        write(&mut file, "x\n");
        assert_eq!(files(directory.path()), named(&[("spans", "x\n"), ("spans.1", "1234567\n")]));
    }

    #[test]
    fn an_existing_file_is_gone_on_with_and_its_size_counts() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("spans"), "111\n").unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 8, 2);
        write(&mut file, "222\n");
        write(&mut file, "333\n");
        assert_eq!(files(directory.path()), named(&[("spans", "333\n"), ("spans.1", "111\n222\n")]));
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 1000, 2);
        write(&mut file, "111\n");
        std::fs::rename(directory.path().join("spans"), directory.path().join("moved")).unwrap();
        write(&mut file, "222\n");
        assert_eq!(files(directory.path()), named(&[("moved", "111\n"), ("spans", "222\n")]));
    }

    #[test]
    fn two_backends_with_one_file_lose_no_line() {
        let directory = tempfile::tempdir().unwrap();
        let mut one = RotatedFile::new(directory.path().join("spans"), 8, 9);
        let mut other = RotatedFile::new(directory.path().join("spans"), 8, 9);
        for line in ["111\n", "222\n", "333\n"] {
            write(&mut one, line);
            write(&mut other, line);
        }
        let expected = named(&[("spans", "333\n333\n"), ("spans.1", "222\n222\n"), ("spans.2", "111\n111\n")]);
        assert_eq!(files(directory.path()), expected);
    }

    /// Each has the file opened by itself, so each is to the others what another process would be. Without the lock lines
    /// are lost in rotations that two do at once.
    #[test]
    fn many_writers_that_rotate_one_file_lose_no_line_and_tear_none() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans");
        std::thread::scope(|scope| {
            for writer in 0..8 {
                let mut file = RotatedFile::new(path.clone(), 500, 1000);
                scope.spawn(move || {
                    for line in 0..500 {
                        write(&mut file, &format!("writer {writer} line {line}\n"));
                    }
                });
            }
        });
        let files = files(directory.path());
        assert!(files.iter().all(|(_, text)| text.len() <= 500), "each file keeps its size");
        let mut lines: Vec<_> = files.iter().flat_map(|(_, text)| text.lines()).collect();
        lines.sort_unstable();
        let mut expected: Vec<_> =
            (0..8).flat_map(|writer| (0..500).map(move |line| format!("writer {writer} line {line}"))).collect();
        expected.sort_unstable();
        assert_eq!(lines, expected);
    }

    #[test]
    fn a_file_that_another_process_keeps_locked_is_worth_another_try() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans");
        let mut file = RotatedFile::new(path.clone(), 1000, 2);
        let other = open(&path).unwrap();
        let lock = Lock::take(&other, Instant::now()).unwrap().unwrap();
        let error = file.write_lines(b"x\n", Duration::from_millis(20), &Counters::default()).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Retryable);
        drop(lock);
        write(&mut file, "x\n");
    }

    #[test]
    fn a_full_disk_is_worth_another_try() {
        let error = RotatedFile::new("/dev/full".into(), 1000, 2)
            .write_lines(b"x\n", PATIENCE, &Counters::default())
            .unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Retryable);
        assert!(error.message().starts_with("/dev/full cannot be written: "), "{error}");
    }

    /// Takes three bytes, then says that the disk is full.
    struct AlmostFull(File, usize);

    impl Write for AlmostFull {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let taken = self.0.write(&bytes[..bytes.len().min(self.1)])?;
            self.1 -= taken;
            if taken == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(taken) }
        }

        fn flush(&mut self) -> std::io::Result<()> {
            self.0.flush()
        }
    }

    impl Tail for AlmostFull {
        fn cut_to(&mut self, length: u64) -> std::io::Result<()> {
            self.0.set_len(length)
        }
    }

    #[test]
    fn half_a_line_is_taken_back() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("spans");
        std::fs::write(&path, "whole\n").unwrap();
        let file = OpenOptions::new().append(true).open(&path).unwrap();
        let error = append(&mut AlmostFull(file, 3), 6, b"next line\n").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::StorageFull);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "whole\n");
    }

    #[test]
    fn a_directory_that_went_away_is_worth_another_try() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("gone/spans"), 1000, 2);
        let error = file.write_lines(b"x\n", PATIENCE, &Counters::default()).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Retryable);
        std::fs::create_dir(directory.path().join("gone")).unwrap();
        write(&mut file, "x\n");
    }

    #[test]
    fn a_new_file_is_not_for_everyone() {
        let directory = tempfile::tempdir().unwrap();
        let mut file = RotatedFile::new(directory.path().join("spans"), 1000, 2);
        write(&mut file, "x\n");
        let mode = std::fs::metadata(directory.path().join("spans")).unwrap().permissions().mode();
        assert_eq!(mode & 0o137, 0, "{mode:o}");
    }
}
