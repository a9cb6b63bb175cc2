//! A part of a test in a process of its own: for what may abort, hang or fork, and for what is decided once per process.

use std::io::{Read, Write as _};
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use rdkafka::ClientConfig;
use tracer_resolver::Resolver;

use crate::configuration::load;
use crate::kafka;

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status: a signal when it was aborted.
    pub status: ExitStatus,
    /// What it wrote to stdout, its own children too.
    pub stdout: String,
    /// What it wrote to stderr, its own children too.
    pub stderr: String,
    /// How long it ran.
    pub took: Duration,
}

/// Runs the program to its end, and that of all it started. Panics with what they wrote when they need longer than two
/// minutes.
pub fn run(command: &mut Command) -> Ended {
    finish(command, RUN_LIMIT)
}

/// [`run`] with another limit, after which they are killed.
pub fn finish(command: &mut Command, limit: Duration) -> Ended {
    let started = Instant::now();
    // In a group of its own, so that a program that hangs is killed with its children.
    command.process_group(0).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
    // Read beside, so that a child that writes much never waits for us.
    let stdout = read_beside(child.stdout.take().unwrap());
    let stderr = read_beside(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break Some(status);
        }
        if started.elapsed() > limit {
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = started.elapsed();
    // The pipes end when the last of its children has closed them.
    let left = limit.saturating_sub(took).max(Duration::from_millis(200));
    let written = status.and_then(|_| Some((stdout.recv_timeout(left).ok()?, stderr.recv_timeout(left).ok()?)));
    let (Some(status), Some((stdout, stderr))) = (status, written) else {
        let group = i32::try_from(child.id()).unwrap();
        // SAFETY: our own child's group; at worst there is none any more.
        unsafe { libc::kill(-group, libc::SIGKILL) };
        let _ = child.wait();
        panic!("after {limit:?} {command:?} or a child of it still runs: {}{}", rest(&stdout), rest(&stderr));
    };
    Ended { status, stdout, stderr, took }
}

impl Ended {
    /// Panics with what the child wrote unless it ended well.
    pub fn expect_success(&self) {
        assert!(self.status.success(), "{}\n{}{}", self.status, self.stdout, self.stderr);
    }
}

fn read_beside(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (read, all) = channel();
    std::thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).unwrap();
        // Nobody listens to a program that was given up.
        let _ = read.send(String::from_utf8_lossy(&text).into_owned());
    });
    all
}

/// What a program that was killed had written.
fn rest(pipe: &Receiver<String>) -> String {
    match pipe.recv_timeout(Duration::from_secs(1)) {
        Ok(text) => text,
        Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => "(its output was read before)".to_owned(),
    }
}

/// This test program again, running only the test of this name, without the variables that configure tracing.
///
/// That test does its work when [`is_child`], and returns at once, or begins such a child, when it is not.
pub fn child(test: &str) -> Command {
    child_of(&std::env::current_exe().unwrap(), test)
}

/// [`child`] of another executable with the same tests.
pub(crate) fn child_of(executable: &Path, test: &str) -> Command {
    let mut command = Command::new(executable);
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    without_tracing(&mut command).env(MARK, test);
    command
}

/// In a child with a file, its resolver, and `None` in the test itself. Panics when the file is not without error.
pub fn resolver() -> Option<Resolver> {
    is_child().then(|| load(std::fs::read_to_string(given("INTERCEPTORS_CONFIG_FILE")).unwrap()))
}

/// In a child that `Traced::again` started: an untraced configuration of clients of the test's cluster.
pub fn kafka() -> ClientConfig {
    kafka::config_of(given("KAFKA"))
}

/// What the test gave to this child under `name`.
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("the test gives {name}"))
}

/// What a program does in a child that closes what it does not know: each descriptor of which `/proc/self/fd` says what `is_it` says
/// yes to gets closed, and its number is that of one of `make` from then on. Those are returned, and the program's to close.
pub fn take_over(is_it: impl Fn(&str) -> bool, mut make: impl FnMut() -> OwnedFd) -> Vec<OwnedFd> {
    assert!(is_child());
    let of_process = std::fs::read_dir("/proc/self/fd").unwrap().map(|entry| entry.unwrap().path());
    // Read to its end first: the reading has a descriptor too.
    let links: Vec<_> = of_process.filter_map(|link| Some((std::fs::read_link(&link).ok()?, link))).collect();
    let found = links.into_iter().filter(|(target, _)| is_it(&target.to_string_lossy()));
    let take_over = |(_, link): (PathBuf, PathBuf)| {
        let number = link.file_name().unwrap().to_str().unwrap().parse().unwrap();
        let ours = make();
        // SAFETY: the number is what is tried: who believes that it is still his has to find out that it is not.
        unsafe {
            assert_eq!(libc::dup2(ours.as_raw_fd(), number), number);
            OwnedFd::from_raw_fd(number)
        }
    };
    found.map(take_over).collect()
}

/// A socket of the program's that has the number of one that it has closed.
pub struct ProgramsSocket {
    own: UnixStream,
    peer: UnixStream,
}

/// [`take_over`] of all sockets, by connected ones of the program's with a word that waits to be read.
pub fn take_over_sockets() -> Vec<ProgramsSocket> {
    let mut peers = Vec::new();
    let own = take_over(
        |target| target.starts_with("socket:"),
        || {
            let (own, mut peer) = UnixStream::pair().unwrap();
            peer.write_all(b"word").unwrap();
            peers.push(peer);
            own.into()
        },
    );
    own.into_iter().map(UnixStream::from).zip(peers).map(|(own, peer)| ProgramsSocket { own, peer }).collect()
}

impl ProgramsSocket {
    /// Panics if somebody else has written to it, has read from it, or has closed it.
    pub fn assert_untouched(mut self) {
        let (mut word, mut answer) = ([0; 4], Vec::new());
        self.own.read_exact(&mut word).unwrap();
        self.own.write_all(b"answer").unwrap();
        drop(self.own);
        self.peer.read_to_end(&mut answer).unwrap();
        assert_eq!((&word, &*String::from_utf8_lossy(&answer)), (b"word", "answer"));
    }
}

/// The command, without the variables of this process that configure tracing: to be called before others are set.
pub fn without_tracing(command: &mut Command) -> &mut Command {
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["OTEL_", "JAEGER_", "INTERCEPTORS_", "TRACERRESOLVER_"].iter().any(|prefix| name_text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command
}

/// Whether this process is a [`child`].
pub fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

const RUN_LIMIT: Duration = Duration::from_secs(120);
const MARK: &str = "TRACER_RESOLVER_TEST_CHILD";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_gives_its_status_and_what_it_wrote() {
        let ended = finish(Command::new("sh").args(["-c", "echo out; echo err >&2; exit 3"]), RUN_LIMIT);
        assert_eq!((ended.status.code(), &*ended.stdout, &*ended.stderr), (Some(3), "out\n", "err\n"));
    }

    #[test]
    #[should_panic(expected = "still runs: begun\n")]
    fn a_program_that_hangs_is_killed() {
        finish(Command::new("sh").args(["-c", "echo begun; sleep 300"]), Duration::from_millis(300));
    }

    #[test]
    #[should_panic(expected = "or a child of it still runs")]
    fn a_child_that_outlives_its_program_is_noticed_and_killed() {
        finish(Command::new("sh").args(["-c", "sleep 300 & echo begun"]), Duration::from_millis(300));
    }
}
