//! Standard error, which is the application's: what we write there never waits.
//!
//! A pipe that nobody reads, a stopped terminal, a log driver that stalls: a plain `write` waits there, perhaps for ever. And
//! `O_NONBLOCK` is no way out, for it would be set for the application, and for every other process that has the same open
//! file. So each message goes by a way that cannot wait; what does not fit is dropped and counted, and the number is said
//! with the next message that gets through.
//!
//! See RATIONALE.md, "Why is stderr opened anew for each message?".

use std::ffi::{CStr, c_int};
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::cancellation::uncancelled;

/// Writes `message`, which ends in a newline, to standard error; or counts it, where that would have to wait.
///
/// Any thread, also on a small stack. Takes no lock, which another thread may hold at the moment of a fork, and uses no
/// thread-local storage of ours. In one call where it can be, so that the lines of several threads and processes do not
/// mix. A reader that has gone away ends nobody: its signal is held back. So is the one that stops a process which writes
/// from the background to its terminal.
pub fn write_to_stderr(message: &str) {
    STDERR.write(message);
}

static STDERR: Place = Place::new(libc::STDERR_FILENO);

/// A descriptor that messages are written to.
struct Place {
    fd: c_int,
    /// Messages that were not written, or not to their end, and of which nothing was said yet.
    dropped: AtomicU64,
    /// The latest message ended in the middle of a line.
    cut: AtomicBool,
}

impl Place {
    const fn new(fd: c_int) -> Self {
        Self { fd, dropped: AtomicU64::new(0), cut: AtomicBool::new(false) }
    }

    fn write(&self, message: &str) {
        uncancelled(|| self.write_uncancelled(message));
    }

    fn write_uncancelled(&self, message: &str) {
        let _signals = SignalsHeldBack::begin();
        // Relaxed, as below: numbers for people.
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        let cut = self.cut.swap(false, Ordering::Relaxed);
        let notice = match dropped {
            0 => String::new(),
            1 => format!("{NOTICE} a message was lost here: stderr could not be written to\n"),
            many => format!("{NOTICE} {many} messages were lost here: stderr could not be written to\n"),
        };
        let line_end = if cut { "\n" } else { "" };
        let whole;
        let bytes = if cut || dropped > 0 {
            whole = [line_end, notice.as_str(), message].concat();
            whole.as_bytes()
        } else {
            message.as_bytes()
        };
        let written = without_waiting(self.fd, bytes);
        if written < bytes.len() {
            let unsaid = if written < line_end.len() + notice.len() { dropped } else { 0 };
            self.dropped.fetch_add(unsaid + 1, Ordering::Relaxed);
            let last = written.checked_sub(1).and_then(|last| bytes.get(last));
            self.cut.store(last.map_or(cut, |last| *last != b'\n'), Ordering::Relaxed);
        }
    }
}

/// Writes as many of `bytes` to `fd` as can be without waiting; how many.
fn without_waiting(fd: c_int, bytes: &[u8]) -> usize {
    let Some(file) = stat(fd) else { return 0 };
    match file.st_mode & libc::S_IFMT {
        // Nobody has to read what goes to a disk.
        libc::S_IFREG | libc::S_IFBLK => all(bytes, |rest| plain_write(fd, rest)),
        libc::S_IFCHR if libc::major(file.st_rdev) == MEMORY_DEVICES => all(bytes, |rest| plain_write(fd, rest)),
        libc::S_IFSOCK => all(bytes, |rest| {
            // SAFETY: a buffer and its length.
            unsafe { libc::send(fd, rest.as_ptr().cast(), rest.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) }
        }),
        libc::S_IFIFO => match Own::of(fd, &file) {
            Some(own) => own.write(bytes),
            // As another user, who may not open it.
            None => all(bytes, |rest| gift(fd, rest)),
        },
        _ => match if is_terminal(fd) { Own::of(fd, &file).or_else(|| Own::terminal(&file)) } else { None } {
            Some(own) => own.write(bytes),
            // Another user's terminal, or some device, of which opening it might be an order. A byte at a time: there is room
            // for one.
            None => all(bytes, |rest| match rest.get(..1).filter(|_| has_room(fd)) {
                Some(byte) => plain_write(fd, byte),
                None => -1,
            }),
        },
    }
}

const NOTICE: &str = "tracer-resolver: WARN:";

/// The kernel's number of `/dev/null` and its like.
const MEMORY_DEVICES: u32 = 1;

/// Calls `write` with what is left of `bytes` until all is written or it gives none; how many were written.
fn all(bytes: &[u8], mut write: impl FnMut(&[u8]) -> isize) -> usize {
    let mut written = 0;
    while let Some(rest) = bytes.get(written..).filter(|rest| !rest.is_empty()) {
        match usize::try_from(write(rest)) {
            Ok(0) => break,
            Ok(more) => written += more,
            Err(_) if io::Error::last_os_error().kind() == io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    written
}

fn plain_write(fd: c_int, bytes: &[u8]) -> isize {
    // SAFETY: a buffer and its length.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) }
}

/// The same pipe or terminal as an open file of our own, whose `O_NONBLOCK` is nobody else's.
struct Own(c_int);

impl Own {
    /// What `fd` is, if the system lets us open it.
    fn of(fd: c_int, file: &libc::stat) -> Option<Self> {
        // The thread's own table of descriptors, should it not share that of the process. Written by hand: this is used
        // where nothing may be allocated.
        let path: &CStr = if fd == libc::STDERR_FILENO { c"/proc/thread-self/fd/2" } else { &path_of(fd)? };
        Self::open(path).filter(|own| stat(own.0).is_some_and(|own| same_file(&own, file)))
    }

    /// The process's terminal, if that is `file`: it may be opened where its device, which is another user's, may not.
    fn terminal(file: &libc::stat) -> Option<Self> {
        const MINE: &CStr = c"/dev/tty";
        /// The device of a terminal that was opened by another name.
        const TIOCGDEV: libc::Ioctl = 0x8004_5432_u32 as libc::Ioctl;
        let own = Self::open(MINE)?;
        let mut device: u32 = 0;
        // SAFETY: writes a number of that type.
        let known = unsafe { libc::ioctl(own.0, TIOCGDEV, &raw mut device) } == 0;
        // As the kernel packs a number of 32 bits: its minor has 20, the major lies between them.
        let (major, minor) = (device >> 8 & 0xfff, device & 0xff | device >> 12 & 0xf_ff00);
        (known && (major, minor) == (libc::major(file.st_rdev), libc::minor(file.st_rdev))).then_some(own)
    }

    fn open(path: &CStr) -> Option<Self> {
        let flags = libc::O_WRONLY | libc::O_NONBLOCK | libc::O_CLOEXEC | libc::O_NOCTTY | libc::O_APPEND;
        // SAFETY: a NUL-terminated path.
        let fd = unsafe { libc::open(path.as_ptr(), flags) };
        (fd >= 0).then_some(Self(fd))
    }

    fn write(&self, bytes: &[u8]) -> usize {
        all(bytes, |rest| plain_write(self.0, rest))
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // SAFETY: opened in `open`, closed once.
        unsafe { libc::close(self.0) };
    }
}

fn is_terminal(fd: c_int) -> bool {
    // SAFETY: reads nothing of ours.
    unsafe { libc::isatty(fd) == 1 }
}

fn stat(fd: c_int) -> Option<libc::stat> {
    let mut file = MaybeUninit::uninit();
    // SAFETY: `file` is read only when it was written.
    unsafe { (libc::fstat(fd, file.as_mut_ptr()) == 0).then(|| file.assume_init()) }
}

fn same_file(one: &libc::stat, other: &libc::stat) -> bool {
    (one.st_dev, one.st_ino, one.st_rdev) == (other.st_dev, other.st_ino, other.st_rdev)
}

fn path_of(fd: c_int) -> Option<std::ffi::CString> {
    std::ffi::CString::new(format!("/proc/thread-self/fd/{fd}")).ok()
}

/// Whether a byte may be written to `fd` at once.
fn has_room(fd: c_int) -> bool {
    let mut poll = libc::pollfd { fd, events: libc::POLLOUT, revents: 0 };
    // SAFETY: one entry.
    unsafe { libc::poll(&raw mut poll, 1, 0) == 1 && poll.revents & libc::POLLOUT != 0 }
}

/// Puts pages with `bytes` into a pipe, whose reader frees them: the one call for a pipe that can be told not to wait.
fn gift(fd: c_int, bytes: &[u8]) -> isize {
    // SAFETY: pages of our own, as large as what is copied there. They are given up by us at once, unchanged; the pipe
    // has its own hold of them.
    unsafe {
        let (read_write, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
        let pages = libc::mmap(ptr::null_mut(), bytes.len(), read_write, flags, -1, 0);
        if pages == libc::MAP_FAILED {
            return -1;
        }
        ptr::copy_nonoverlapping(bytes.as_ptr(), pages.cast(), bytes.len());
        let lent = libc::iovec { iov_base: pages, iov_len: bytes.len() };
        let written = libc::vmsplice(fd, &raw const lent, 1, libc::SPLICE_F_NONBLOCK);
        let error = *libc::__errno_location();
        libc::munmap(pages, bytes.len());
        *libc::__errno_location() = error;
        written
    }
}

/// A reader that has gone away; a terminal that is another group's; a file that may not grow.
const RAISED: [c_int; 3] = [libc::SIGPIPE, libc::SIGTTOU, libc::SIGXFSZ];

/// While a message is written: the signals that writing may raise in this thread are held back.
struct SignalsHeldBack {
    raised: libc::sigset_t,
    before: libc::sigset_t,
    pending: libc::sigset_t,
}

impl SignalsHeldBack {
    fn begin() -> Self {
        // SAFETY: sets that live here; the mask is this thread's own.
        unsafe {
            let (mut raised, mut before, mut pending) = (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed());
            libc::sigemptyset(&raw mut raised);
            for signal in RAISED {
                libc::sigaddset(&raw mut raised, signal);
            }
            libc::sigpending(&raw mut pending);
            libc::pthread_sigmask(libc::SIG_BLOCK, &raw const raised, &raw mut before);
            Self { raised, before, pending }
        }
    }
}

impl Drop for SignalsHeldBack {
    fn drop(&mut self) {
        // SAFETY: as above; what was pending before is not ours to take.
        unsafe {
            let mut ours = self.raised;
            for signal in RAISED {
                if libc::sigismember(&raw const self.pending, signal) == 1 {
                    libc::sigdelset(&raw mut ours, signal);
                }
            }
            let no_wait = libc::timespec { tv_sec: 0, tv_nsec: 0 };
            while libc::sigtimedwait(&raw const ours, ptr::null_mut(), &raw const no_wait) > 0 {}
            libc::pthread_sigmask(libc::SIG_SETMASK, &raw const self.before, ptr::null_mut());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};
    use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
    use std::os::unix::net::UnixStream;
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::*;

    /// Panics if `work` waits.
    fn at_once<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
        let (sender, receiver) = channel();
        std::thread::spawn(move || sender.send(work()));
        receiver.recv_timeout(Duration::from_secs(20)).expect("it waits")
    }

    fn pipe() -> (File, File) {
        let mut ends = [0; 2];
        // SAFETY: two descriptors, which are ours from here on.
        unsafe {
            assert_eq!(libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC), 0);
            (File::from_raw_fd(ends[0]), File::from_raw_fd(ends[1]))
        }
    }

    /// The application's end of a terminal, and that of who shows it.
    fn terminal() -> (File, File) {
        let (mut master, mut slave) = (0, 0);
        // SAFETY: two descriptors, which are ours from here on; no name, and the usual settings.
        unsafe {
            let (name, settings, size) = (ptr::null_mut(), ptr::null(), ptr::null());
            assert_eq!(libc::openpty(&raw mut master, &raw mut slave, name, settings, size), 0);
            (File::from_raw_fd(slave), File::from_raw_fd(master))
        }
    }

    fn flags(file: &File) -> c_int {
        // SAFETY: reads nothing of ours.
        unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETFL) }
    }

    /// Writes until there is no room; how often.
    fn fill(place: &'static Place, line: &'static str) -> u64 {
        at_once(move || {
            let mut messages = 0;
            while place.dropped.load(Ordering::Relaxed) == 0 {
                place.write(line);
                messages += 1;
            }
            messages
        })
    }

    fn place(file: &File) -> &'static Place {
        Box::leak(Box::new(Place::new(file.as_raw_fd())))
    }

    #[test]
    fn a_pipe_that_nobody_reads_costs_messages_and_no_time_and_the_next_one_that_fits_says_how_many() {
        let (mut reader, writer) = pipe();
        let place = place(&writer);
        let written = fill(place, "tracer-resolver: WARN: a line\n") - 1;
        at_once(|| place.write("tracer-resolver: WARN: another\n"));
        assert_eq!(flags(&writer) & libc::O_NONBLOCK, 0, "the application's open file is as it was");
        let mut read = vec![0; 1 << 20];
        let before = reader.read(&mut read).unwrap();
        let text = String::from_utf8(read[..before].to_vec()).unwrap();
        assert_eq!(text.matches("a line\n").count() as u64, written);
        at_once(|| place.write("tracer-resolver: WARN: heard\n"));
        let after = reader.read(&mut read).unwrap();
        let text = String::from_utf8(read[..after].to_vec()).unwrap();
        let notice = "tracer-resolver: WARN: 2 messages were lost here: stderr could not be written to\n";
        assert_eq!(text.trim_start_matches('\n'), format!("{notice}tracer-resolver: WARN: heard\n"));
        assert_eq!(place.dropped.load(Ordering::Relaxed), 0);
    }

    #[test]
    fn a_message_that_was_cut_does_not_run_into_the_next() {
        let (mut reader, writer) = pipe();
        let place = place(&writer);
        let long: &'static str = Box::leak("x".repeat(1 << 20).into_boxed_str());
        at_once(move || place.write(long));
        let mut read = vec![0; 1 << 20];
        while reader.read(&mut read).unwrap() == 65536 {
            at_once(|| place.write("heard\n"));
        }
        let text = String::from_utf8_lossy(&read[..200]).into_owned();
        assert!(text.starts_with("\ntracer-resolver: WARN: a message was lost here"), "{text}");
    }

    #[test]
    fn a_terminal_that_is_stopped_is_not_waited_for() {
        let (ours, _shown) = terminal();
        fill(place(&ours), "tracer-resolver: WARN: a line\n");
        let (ours, mut shown) = terminal();
        let place = place(&ours);
        // SAFETY: a terminal of ours.
        assert_eq!(unsafe { libc::tcflow(ours.as_raw_fd(), libc::TCOOFF) }, 0);
        at_once(|| place.write("not heard\n"));
        // SAFETY: as above.
        assert_eq!(unsafe { libc::tcflow(ours.as_raw_fd(), libc::TCOON) }, 0);
        at_once(|| place.write("heard\n"));
        let mut read = [0; 200];
        let length = shown.read(&mut read).unwrap();
        let read = String::from_utf8_lossy(&read[..length]).into_owned();
        assert!(read.contains("a message was lost here") && read.ends_with("heard\r\n"), "{read:?}");
    }

    #[test]
    fn a_socket_that_nobody_reads_is_not_waited_for() {
        let (writer, mut reader) = UnixStream::pair().unwrap();
        let writer = File::from(OwnedFd::from(writer));
        let place = place(&writer);
        fill(place, "tracer-resolver: WARN: a line\n");
        let mut read = vec![0; 1 << 20];
        assert!(reader.read(&mut read).unwrap() > 0);
        drop(reader);
        at_once(|| place.write("nobody hears\n"));
    }

    #[test]
    fn a_pipe_that_may_not_be_opened_is_written_to_all_the_same_and_not_waited_for() {
        let (mut reader, mut writer) = pipe();
        let fd = writer.as_raw_fd();
        assert_eq!(at_once(move || all(b"a line\n", |rest| gift(fd, rest))), 7);
        let mut read = vec![0; 1 << 20];
        assert_eq!(reader.read(&mut read).unwrap(), 7);
        assert_eq!(&read[..7], b"a line\n");
        writer.write_all(&[b'x'; 65536]).unwrap();
        assert_eq!(at_once(move || all(b"a line\n", |rest| gift(fd, rest))), 0);
    }

    #[test]
    fn a_terminal_that_may_not_be_opened_is_written_to_byte_by_byte_while_it_has_room() {
        let (ours, mut shown) = terminal();
        let fd = ours.as_raw_fd();
        let byte_by_byte = move |rest: &[u8]| if has_room(fd) { plain_write(fd, &rest[..1]) } else { -1 };
        assert_eq!(at_once(move || all(b"a line\n", byte_by_byte)), 7);
        let mut read = [0; 20];
        assert_eq!(shown.read(&mut read).unwrap(), 8);
        let much = vec![b'x'; 1 << 20];
        assert!(at_once(move || all(&much, byte_by_byte)) < 1 << 20);
    }

    #[test]
    fn a_file_takes_all_and_a_closed_descriptor_counts() {
        let mut file = tempfile::tempfile().unwrap();
        let to_file = place(&file);
        to_file.write("one\n");
        to_file.write("two\n");
        let mut text = String::new();
        std::io::Seek::rewind(&mut file).unwrap();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text, "one\ntwo\n");
        let closed = Place::new(-1);
        closed.write("nobody hears\n");
        assert_eq!(closed.dropped.load(Ordering::Relaxed), 1);
    }

    /// Every file of the process is limited, so it is a process of its own.
    #[test]
    fn a_file_that_may_not_grow_raises_nothing() {
        const CHILD: &str = "WRITES_TO_A_FULL_FILE";
        if std::env::var_os(CHILD).is_some() {
            let file = tempfile::tempfile().unwrap();
            let limit = libc::rlimit { rlim_cur: 0, rlim_max: libc::RLIM_INFINITY };
            // SAFETY: a limit and a disposition of this process.
            unsafe { libc::setrlimit(libc::RLIMIT_FSIZE, &raw const limit) };
            place(&file).write("there is no room\n");
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        let ended = child.env(CHILD, "1").arg("a_file_that_may_not_grow").output().unwrap();
        assert!(ended.status.success(), "{ended:?}");
    }

    #[test]
    fn a_reader_that_has_gone_away_raises_nothing() {
        let (reader, writer) = pipe();
        drop(reader);
        let place = place(&writer);
        // The test would end here.
        at_once(|| {
            // SAFETY: the default, for this process; Rust's library had it ignored.
            let before = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
            place.write("nobody hears\n");
            // SAFETY: as it was.
            unsafe { libc::signal(libc::SIGPIPE, before) };
        });
        assert_eq!(place.dropped.load(Ordering::Relaxed), 1);
    }
}
