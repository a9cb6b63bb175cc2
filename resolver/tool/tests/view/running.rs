//! A `view` that runs, and what it says.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// Ends with the test.
pub(crate) struct Running {
    child: Child,
    lines: Receiver<String>,
}

impl Running {
    /// Starts `view` with these words.
    pub(crate) fn start(words: &[&str]) -> Self {
        let mut child = command(words).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, lines) = channel();
        let (out, err) = (child.stdout.take().unwrap(), child.stderr.take().unwrap());
        let pipes: [Box<dyn std::io::Read + Send>; 2] = [Box::new(out), Box::new(err)];
        for pipe in pipes {
            let sender = sender.clone();
            thread::spawn(move || {
                BufReader::new(pipe).lines().map_while(Result::ok).try_for_each(|line| sender.send(line))
            });
        }
        Self { child, lines }
    }

    /// Waits for a line with these words in it.
    pub(crate) fn says(&self, words: &str) -> String {
        let mut said = Vec::new();
        let limit = Instant::now() + Duration::from_secs(60);
        while let Ok(line) = self.lines.recv_timeout(limit.saturating_duration_since(Instant::now())) {
            if line.contains(words) {
                return line;
            }
            said.push(line);
        }
        panic!("no {words:?} in {said:#?}");
    }

    /// Waits until it says where it is, `host:port`.
    pub(crate) fn address(&self) -> String {
        let line = self.says("http://");
        line.split("http://").nth(1).unwrap().split('/').next().unwrap().to_owned()
    }

    /// What Ctrl-C does.
    pub(crate) fn interrupt(&self) {
        assert!(Command::new("kill").arg("-INT").arg(self.child.id().to_string()).status().unwrap().success());
    }

    pub(crate) fn status(&mut self) -> Option<i32> {
        self.child.wait().unwrap().code()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        self.child.wait().unwrap();
    }
}

pub(crate) fn command(words: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tracer-interceptors"));
    command.arg("view").args(words).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."));
    command
}

/// An HTTP answer: its status, and all of it.
pub(crate) fn ask(address: &str, request: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    // A server may answer, and close, before it has read all.
    let _ = stream.write_all(request);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    (status, answer)
}

/// The head of a request, with these lines besides.
pub(crate) fn head(method: &str, path: &str, lines: &[&str]) -> Vec<u8> {
    let lines: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n{lines}\r\n").into_bytes()
}

/// `POST /v1/traces` with this body.
pub(crate) fn post(address: &str, lines: &[&str], body: &[u8]) -> (u16, String) {
    let length = format!("Content-Length: {}", body.len());
    let lines: Vec<_> = ["Host: collector", length.as_str()].into_iter().chain(lines.iter().copied()).collect();
    ask(address, &[head("POST", "/v1/traces", &lines).as_slice(), body].concat())
}

/// One line of OTLP/JSON, with one span.
pub(crate) fn line(name: &str) -> String {
    let ids = format!("\"traceId\":\"{:032x}\",\"spanId\":\"{:016x}\"", name.len() + 1, 7);
    format!("{{\"resourceSpans\":[{{\"scopeSpans\":[{{\"spans\":[{{{ids},\"name\":\"{name}\"}}]}}]}}]}}\n")
}
