//! A part of a test in a process of its own: for what may abort, hang or fork, and for what is decided once per process.

use std::io::Read;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

/// How a child ended.
#[derive(Debug)]
pub struct Ended {
    /// Its status: a signal when it was aborted.
    pub status: ExitStatus,
    /// What it wrote, to stdout and then stderr.
    pub output: String,
    /// How long it ran.
    pub took: Duration,
}

/// The part that this process is to play; `None` in the test itself.
pub fn part() -> Option<String> {
    std::env::var(PART).ok()
}

/// What the test gave to this part under `name`.
pub fn given(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("the test gives {name}"))
}

/// Runs the test called `test` of this executable again, as `part`; panics when it has not ended after a minute.
pub fn run(test: &str, part: &str, gives: &[(&str, &str)]) -> Ended {
    run_executable(&std::env::current_exe().unwrap(), test, part, gives)
}

/// [`run`], of another executable with the same tests.
pub fn run_executable(executable: &std::path::Path, test: &str, part: &str, gives: &[(&str, &str)]) -> Ended {
    let mut command = Command::new(executable);
    command.args([test, "--exact", "--nocapture", "--test-threads=1"]).env(PART, part).envs(gives.iter().copied());
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // Read beside, so that a child that writes much never waits for us.
    let stdout = read_beside(child.stdout.take().unwrap());
    let stderr = read_beside(child.stderr.take().unwrap());
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if started.elapsed() > LIMIT {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{test} hangs as {part:?}: {}{}", stdout.join().unwrap(), stderr.join().unwrap());
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = started.elapsed();
    Ended { status, output: stdout.join().unwrap() + &stderr.join().unwrap(), took }
}

impl Ended {
    /// Panics with what the child wrote unless it ended well.
    pub fn expect_success(&self) {
        assert!(self.status.success(), "{}\n{}", self.status, self.output);
    }
}

fn read_beside(mut pipe: impl Read + Send + 'static) -> std::thread::JoinHandle<String> {
    std::thread::spawn(move || {
        let mut text = Vec::new();
        pipe.read_to_end(&mut text).unwrap();
        String::from_utf8_lossy(&text).into_owned()
    })
}

/// This test program again, running only the test of this name, without the variables that configure tracing.
///
/// That test does its work when [`is_child`], and returns at once when it is not.
pub fn child(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test, "--nocapture", "--test-threads=1"]);
    for (name, _) in std::env::vars_os() {
        let name_text = name.to_string_lossy();
        if ["OTEL_", "JAEGER_", "INTERCEPTORS_", "TRACERRESOLVER_"].iter().any(|prefix| name_text.starts_with(prefix)) {
            command.env_remove(&name);
        }
    }
    command.env(MARK, test);
    command
}

/// Whether this process was started by [`child`].
pub fn is_child() -> bool {
    std::env::var_os(MARK).is_some()
}

const PART: &str = "TRACER_TEST_PART";
const LIMIT: Duration = Duration::from_secs(60);
const MARK: &str = "TRACER_RESOLVER_TEST_CHILD";
