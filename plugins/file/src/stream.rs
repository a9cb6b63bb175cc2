//! A standard stream. It is the application's: what is written to it waits no longer than it may, leaves whole lines, and goes to
//! no other file.
//!
//! RATIONALE: "What if stderr is slow, closed, or another file?"

use std::io::{Error, ErrorKind, Result};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::{Errno, FdFlags, fcntl_getfd, write};
use rustix::net::{SendFlags, send};
use tracer_plugin_api::{BackendError, Batch};
use tracer_plugin_kit::OwnDescriptor;

use crate::rotated_file::failed;

/// A stream, for as long as its number is what it was.
#[derive(Debug)]
pub(crate) struct Stream<T: AsFd> {
    name: &'static str,
    /// Of the process: closes nothing.
    descriptor: OwnDescriptor<T>,
    /// What is still to be written of a line whose beginning the reader has, and the batch that it is of.
    begun: Option<(u64, Vec<u8>)>,
}

impl<T: AsFd> Stream<T> {
    /// # Errors
    ///
    /// A configuration error where the process has no such stream.
    pub(crate) fn of_the_process(name: &'static str, stream: T) -> std::result::Result<Self, BackendError> {
        let unusable = |what: &str| {
            let message = format!("{name} {what}; `path` can name a file in its place");
            BackendError::config("/path", message)
        };
        if is_the_programs(&stream) {
            let what = "was closed when the program was started, and its number is now that of a file of the program";
            return Err(unusable(what));
        }
        Self::new(name, stream).map_err(|error| unusable(&format!("cannot be used: {error}")))
    }

    fn new(name: &'static str, stream: T) -> Result<Self> {
        Ok(Self { name, descriptor: OwnDescriptor::new(stream)?, begun: None })
    }

    /// Writes the lines of a batch, each of which ends in a newline; on a later try those that are missing.
    ///
    /// # Errors
    ///
    /// Retryable. The line at which it stopped is gone on with first of all, whatever is to be written next.
    pub(crate) fn write_lines(
        &mut self,
        lines: &[u8],
        batch: &Batch<'_>,
        patience: Duration,
    ) -> std::result::Result<(), BackendError> {
        let count = lines_of(lines).count();
        // More than there are would be no word of ours: all of it goes then.
        let mut done = usize::try_from(batch.retry_cookie).ok().filter(|done| *done < count).unwrap_or(0);
        let written = self.write_missing(lines, batch.batch_id, &mut done, Instant::now() + patience);
        written.map_err(|error| failed("written", self.name, &error).with_retry_cookie(done as u64))
    }

    /// Ends a line that was begun.
    ///
    /// # Errors
    ///
    /// As [`Stream::write_lines`].
    pub(crate) fn flush(&mut self, patience: Duration) -> std::result::Result<(), BackendError> {
        let written = self.write_missing(&[], 0, &mut 0, Instant::now() + patience);
        written.map_err(|error| failed("written", self.name, &error))
    }

    fn write_missing(&mut self, lines: &[u8], batch: u64, done: &mut usize, give_up: Instant) -> Result<()> {
        let turn = Turn::take(&WRITER, give_up);
        let _turn = turn.ok_or_else(|| Error::new(ErrorKind::TimedOut, "another backend writes to it"))?;
        if let Some((of, rest)) = self.begun.take() {
            let (count, written) = self.put(&rest, give_up);
            if written.is_err() {
                self.begun = Some((of, rest.get(count..).unwrap_or_default().to_vec()));
                return written;
            }
            *done += usize::from(of == batch);
        }
        let before: usize = lines_of(lines).take(*done).map(<[u8]>::len).sum();
        let missing = lines.get(before..).unwrap_or_default();
        let (count, written) = self.put(missing, give_up);
        if written.is_err() {
            let mut end = 0;
            for line in lines_of(missing) {
                let start = end;
                end += line.len();
                if end > count {
                    self.begun = missing.get(count..end).filter(|_| count > start).map(|rest| (batch, rest.to_vec()));
                    break;
                }
                *done += 1;
            }
        }
        written
    }

    /// How many bytes were written, and what kept the others.
    fn put(&self, bytes: &[u8], give_up: Instant) -> (usize, Result<()>) {
        let mut written = 0;
        while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
            match self.put_some(rest, give_up) {
                Ok(count) => written += count,
                Err(error) => return (written, Err(error)),
            }
        }
        (written, Ok(()))
    }

    /// As much as there is room for, when there is some.
    fn put_some(&self, bytes: &[u8], give_up: Instant) -> Result<usize> {
        let stream = self.descriptor.get().ok_or_else(|| {
            let what = "its number is closed, or another file's than when this backend began (`path` can name a file)";
            Error::other(what)
        })?;
        let way = Way::to(stream.as_fd())?;
        loop {
            let left = give_up.saturating_duration_since(Instant::now());
            let limit = Timespec::try_from(left).ok();
            match poll(&mut [PollFd::new(stream, PollFlags::OUT)], limit.as_ref()) {
                Ok(0) => return Err(Error::new(ErrorKind::TimedOut, "nobody reads it, or not as fast as spans come")),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            match way.write(stream.as_fd(), bytes) {
                Err(Errno::INTR) => {}
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                // Less room than for the least that it takes, or others were faster.
                Err(Errno::AGAIN) if !left.is_zero() => std::thread::sleep(PAUSE.min(left)),
                written => return Ok(written?),
            }
        }
    }
}

/// How a stream is written to without waiting: `O_NONBLOCK` would be set for the program too.
enum Way {
    /// Nobody has to read what goes to a disk.
    Plain,
    Socket,
    /// The same pipe, as an open file of our own.
    Pipe(OwnedFd),
    /// A terminal, or a pipe that may not be opened: there is room for so much where there is any.
    InPortions,
}

impl Way {
    fn to(stream: BorrowedFd<'_>) -> Result<Self> {
        let is = fstat(stream)?;
        Ok(match FileType::from_raw_mode(is.st_mode) {
            FileType::RegularFile => Way::Plain,
            FileType::Socket => Way::Socket,
            FileType::Fifo => {
                let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
                let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
                let own = open(path, flags, Mode::empty()).ok();
                let is_it =
                    |own: &OwnedFd| fstat(own).is_ok_and(|own| (own.st_dev, own.st_ino) == (is.st_dev, is.st_ino));
                own.filter(is_it).map_or(Way::InPortions, Way::Pipe)
            }
            _ => Way::InPortions,
        })
    }

    fn write(&self, stream: BorrowedFd<'_>, bytes: &[u8]) -> rustix::io::Result<usize> {
        match self {
            Way::Plain => write(stream, bytes),
            Way::Socket => send(stream, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL),
            Way::Pipe(own) => write(own, bytes),
            Way::InPortions => write(stream, bytes.get(..PORTION).unwrap_or(bytes)),
        }
    }
}

/// The turn to write to a stream: lines of several instances would mix. Of both streams, which may be one terminal.
///
/// Not a `Mutex`: a child that is forked while its parent's thread has it would wait for a thread that it has not.
struct Turn<'a>(&'a AtomicU32);

/// The process whose thread writes; 0 is none.
static WRITER: AtomicU32 = AtomicU32::new(0);

impl<'a> Turn<'a> {
    /// `None`: another has it until `give_up`.
    fn take(writer: &'a AtomicU32, give_up: Instant) -> Option<Self> {
        let own = std::process::id();
        let mut holder = 0;
        loop {
            // Acquire: pairs with the release of whoever had it. A parent's turn ended with the fork.
            match writer.compare_exchange(holder, own, Ordering::Acquire, Ordering::Relaxed) {
                Ok(_) => return Some(Self(writer)),
                Err(now) if now != own => holder = now,
                Err(_) if Instant::now() >= give_up => return None,
                Err(_) => {
                    holder = 0;
                    std::thread::sleep(PAUSE);
                }
            }
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.store(0, Ordering::Release);
    }
}

/// Whether the program has opened it itself, because the stream was closed when it was started: what a process is given has no
/// close-on-exec. Node sets it for all three streams.
fn is_the_programs(stream: &impl AsFd) -> bool {
    let is_marked = |fd: BorrowedFd<'_>| fcntl_getfd(fd).is_ok_and(|flags| flags.contains(FdFlags::CLOEXEC));
    let (input, output, errors) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    is_marked(stream.as_fd()) && ![input.as_fd(), output.as_fd(), errors.as_fd()].into_iter().all(is_marked)
}

fn lines_of(bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
    bytes.split_inclusive(|byte| *byte == b'\n')
}

const PAUSE: Duration = Duration::from_millis(1);

/// `PIPE_BUF`: a pipe that can be written to takes so much at once.
const PORTION: usize = 4096;

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::fs::File;
    use std::io::Read as _;
    use std::os::unix::net::UnixStream;
    use std::rc::Rc;
    use std::sync::mpsc::channel;

    use tracer_plugin_api::{ErrorKind as BackendErrorKind, Signal};

    use super::*;

    const SOON: Duration = Duration::from_millis(20);
    const LONG: Duration = Duration::from_secs(60);

    fn batch(batch_id: u64, retry_cookie: u64) -> Batch<'static> {
        Batch { retry_cookie, ..Batch::first_try(Signal::Traces, b"x", 1, batch_id) }
    }

    /// Three, which are more than any stream holds.
    fn lines(letter: &str) -> String {
        ["1", "2", "3"].map(|number| format!("{}{number}\n", letter.repeat(1 << 20))).concat()
    }

    /// What comes at the other end.
    fn reading(mut reader: impl std::io::Read + Send + 'static) -> std::thread::JoinHandle<String> {
        std::thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).unwrap();
            read
        })
    }

    /// Panics if `work` waits.
    fn at_last<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(work()));
        receiver.recv_timeout(LONG).expect("it waits")
    }

    #[test]
    fn what_a_slow_reader_has_of_a_batch_is_not_written_again() {
        for is_nonblocking in [true, false] {
            let (writer, reader) = UnixStream::pair().unwrap();
            writer.set_nonblocking(is_nonblocking).unwrap();
            let mut stream = Stream::new("stderr", writer).unwrap();
            let error = stream.write_lines(lines("a").as_bytes(), &batch(1, 0), SOON).unwrap_err();
            assert_eq!((error.kind(), error.retry_cookie()), (BackendErrorKind::Retryable, 0));
            assert!(stream.begun.is_some());
            let reading = reading(reader);
            stream.write_lines(lines("a").as_bytes(), &batch(1, 0), LONG).unwrap();
            drop(stream);
            assert_eq!(reading.join().unwrap(), lines("a"));
        }
    }

    #[test]
    fn a_line_that_was_begun_is_ended_before_another_batch_or_by_a_flush() {
        for others in [lines("b"), String::new()] {
            let (writer, reader) = UnixStream::pair().unwrap();
            let mut stream = Stream::new("stderr", writer).unwrap();
            stream.write_lines(lines("a").as_bytes(), &batch(1, 0), SOON).unwrap_err();
            let reading = reading(reader);
            let ended = if others.is_empty() {
                stream.flush(LONG)
            } else {
                stream.write_lines(others.as_bytes(), &batch(2, 0), LONG)
            };
            ended.unwrap();
            drop(stream);
            let a = lines("a");
            assert_eq!(reading.join().unwrap(), [a.split_inclusive('\n').next().unwrap(), &others].concat());
        }
    }

    #[test]
    fn whole_lines_that_the_reader_has_are_counted() {
        let (writer, reader) = UnixStream::pair().unwrap();
        let mut stream = Stream::new("stderr", writer).unwrap();
        let lines = format!("one\ntwo\n{}", lines("a"));
        let error = stream.write_lines(lines.as_bytes(), &batch(1, 0), SOON).unwrap_err();
        assert_eq!(error.retry_cookie(), 2);
        let reading = reading(reader);
        stream.write_lines(b"another\n", &batch(2, 0), LONG).unwrap();
        stream.write_lines(lines.as_bytes(), &batch(1, error.retry_cookie()), LONG).unwrap();
        stream.write_lines(b"of another form\n", &batch(1, error.retry_cookie()), LONG).unwrap();
        drop(stream);
        let read = reading.join().unwrap();
        let begun = lines.split_inclusive('\n').take(3).collect::<String>();
        let rest = lines.split_inclusive('\n').skip(2).collect::<String>();
        assert!(read == [&begun, "another\n", &rest, "of another form\n"].concat(), "{} bytes", read.len());
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_waited_for_no_longer_than_there_is_time() {
        let (reader, writer) = std::io::pipe().unwrap();
        let (mut stream, error) = at_last(|| {
            let mut stream = Stream::new("stderr", writer).unwrap();
            let error = stream.write_lines(lines("a").as_bytes(), &batch(1, 0), SOON).unwrap_err();
            (stream, error)
        });
        assert!(error.message().contains("nobody reads it"), "{error:?}");
        let reading = reading(reader);
        stream.write_lines(lines("a").as_bytes(), &batch(1, error.retry_cookie()), LONG).unwrap();
        drop(stream);
        assert_eq!(reading.join().unwrap(), lines("a"));
    }

    #[test]
    fn a_pipe_that_may_not_be_opened_is_written_to_in_portions() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let bytes = [b'x'; PORTION + 1];
        assert_eq!(Way::InPortions.write(writer.as_fd(), &bytes), Ok(PORTION));
        drop(writer);
        let mut read = Vec::new();
        reader.read_to_end(&mut read).unwrap();
        assert_eq!(read.len(), PORTION);
    }

    #[test]
    fn a_file_takes_all_at_once() {
        let directory = tempfile::tempdir().unwrap();
        let file = File::create(directory.path().join("log")).unwrap();
        let mut stream = Stream::new("stderr", file).unwrap();
        stream.write_lines(lines("a").as_bytes(), &batch(1, 0), Duration::ZERO).unwrap();
        assert_eq!(std::fs::read_to_string(directory.path().join("log")).unwrap(), lines("a"));
    }

    #[test]
    fn a_reader_that_has_gone_away_is_worth_another_try() {
        let (writer, reader) = UnixStream::pair().unwrap();
        drop(reader);
        let mut stream = Stream::new("stdout", writer).unwrap();
        let error = stream.write_lines(b"x\n", &batch(1, 0), LONG).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Retryable);
        assert!(error.message().starts_with("stdout cannot be written: "), "{error:?}");
    }

    /// What another file may take the number of.
    struct Number {
        ours: File,
        others: File,
        is_ours: Rc<Cell<bool>>,
    }

    impl AsFd for Number {
        fn as_fd(&self) -> BorrowedFd<'_> {
            if self.is_ours.get() { self.ours.as_fd() } else { self.others.as_fd() }
        }
    }

    #[test]
    fn nothing_is_written_to_another_file_that_has_the_number() {
        let directory = tempfile::tempdir().unwrap();
        let [ours, others] = ["ours", "others"].map(|name| directory.path().join(name));
        let is_ours = Rc::new(Cell::new(true));
        let [one, other] = [&ours, &others].map(|path| File::create(path).unwrap());
        let number = Number { ours: one, others: other, is_ours: Rc::clone(&is_ours) };
        let mut stream = Stream::new("stderr", number).unwrap();
        is_ours.set(false);
        let error = stream.write_lines(b"x\n", &batch(1, 0), LONG).unwrap_err();
        assert!(error.kind() == BackendErrorKind::Retryable && error.message().contains("another file's"), "{error:?}");
        is_ours.set(true);
        stream.write_lines(b"y\n", &batch(2, 0), LONG).unwrap();
        let [ours, others] = [ours, others].map(|path| std::fs::read_to_string(path).unwrap());
        assert_eq!((&*ours, &*others), ("y\n", ""));
    }

    #[test]
    fn what_the_program_has_opened_where_a_stream_was_closed_is_no_stream() {
        let directory = tempfile::tempdir().unwrap();
        let data = File::create(directory.path().join("data")).unwrap();
        let error = Stream::of_the_process("stderr", &data).unwrap_err();
        assert_eq!((error.kind(), error.pointer()), (BackendErrorKind::Config, "/path"));
        let given = rustix::io::dup(&data).unwrap();
        assert!(Stream::of_the_process("stderr", given).is_ok());
    }

    #[test]
    fn a_turn_is_taken_over_from_the_process_that_this_one_was_forked_from_and_else_waited_for() {
        let writer = AtomicU32::new(std::process::id() + 1);
        let now = Instant::now();
        let turn = Turn::take(&writer, now).unwrap();
        assert!(Turn::take(&writer, now).is_none());
        drop(turn);
        assert!(Turn::take(&writer, now).is_some());
    }
}
