//! The port that Prometheus asks: one thread, one request at a time, `GET /metrics` and nothing else.
//!
//! It runs in other people's processes, so everything about it is bounded: the size of a request, the time that all of it
//! may take, and what is answered. `RATIONALE.md`: "Why is the Prometheus port written by hand?"

#![forbid(unsafe_code)]

use std::io::{self, ErrorKind, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::prometheus::CONTENT_TYPE;
use crate::own_descriptor::OwnDescriptor;
use crate::{diagnostics, quiet_thread};

/// A port that is open, or is opened as soon as nobody else has it. Dropped, it is closed.
pub(crate) struct Port {
    address: SocketAddr,
    state: Arc<State>,
    thread: Option<JoinHandle<()>>,
}

/// What a port and its thread share.
struct State {
    ended: AtomicBool,
    /// Whether the thread has the port, and waits there.
    listens: AtomicBool,
}

/// What one request may take.
#[derive(Clone, Copy)]
struct Limits {
    /// From its first byte to the last of the answer.
    patience: Duration,
    longest_head: usize,
    /// Between two tries to open a port that another process has, or our own of before until it has answered its last request.
    pause: Duration,
}

/// No scraper's head is longer.
const LIMITS: Limits =
    Limits { patience: Duration::from_secs(5), longest_head: 8 * 1024, pause: Duration::from_secs(5) };

impl Port {
    /// Opens it. `text` is asked for each answer, on the port's thread; `None`: there is nobody any more who measures, and
    /// the thread ends. Where it cannot be opened now, `cannot` is told why, and it is tried again every five seconds.
    ///
    /// # Errors
    ///
    /// What the system says when it gives no thread.
    pub(crate) fn open(
        address: SocketAddr,
        text: impl Fn() -> Option<String> + Send + 'static,
        cannot: impl FnOnce(&io::Error),
    ) -> io::Result<Self> {
        Self::open_within(LIMITS, address, text, cannot)
    }

    fn open_within(
        limits: Limits,
        address: SocketAddr,
        text: impl Fn() -> Option<String> + Send + 'static,
        cannot: impl FnOnce(&io::Error),
    ) -> io::Result<Self> {
        let listener = bind(address);
        // Port 0 is any that is free.
        let opened = listener.as_ref().ok().and_then(|listener| listener.get().ok()?.local_addr().ok());
        let address = opened.unwrap_or(address);
        let state = Arc::new(State { ended: AtomicBool::new(false), listens: AtomicBool::new(listener.is_ok()) });
        let (shared, listener) = (Arc::clone(&state), listener.map_err(|error| cannot(&error)).ok());
        let serves = move || serve(listener, address, limits, &shared, &text);
        let thread = quiet_thread::spawn("tr-prometheus".to_owned(), serves)?;
        Ok(Self { address, state, thread: Some(thread) })
    }

    /// Whether it is open at this moment.
    pub(crate) fn is_open(&self) -> bool {
        self.state.listens.load(Ordering::Relaxed)
    }

    /// Where it really is.
    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Relaxed: the connection that follows, or the thread's being woken, is what it sees first.
        self.state.ended.store(true, Ordering::Relaxed);
        let Some(thread) = self.thread.take() else { return };
        thread.thread().unpark();
        if self.is_open() {
            let (port, is_v4) = (self.address.port(), self.address.is_ipv4());
            let any: IpAddr = if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
            let ip = if self.address.ip().is_unspecified() { any } else { self.address.ip() };
            // The thread waits for a connection. Where none can be made, it ends with the next.
            let _ = TcpStream::connect_timeout(&SocketAddr::new(ip, port), CLOSES);
        }
        // Whoever opens the next one would find it taken; but a request that is being answered is not waited for.
        quiet_thread::join_until(thread, Instant::now() + CLOSES);
    }
}

/// How long the end of a port waits for its thread.
const CLOSES: Duration = Duration::from_millis(100);

fn bind(address: SocketAddr) -> io::Result<OwnDescriptor<TcpListener>> {
    TcpListener::bind(address).and_then(OwnDescriptor::new)
}

fn serve(
    mut listener: Option<OwnDescriptor<TcpListener>>,
    bound_to: SocketAddr,
    limits: Limits,
    state: &State,
    text: &dyn Fn() -> Option<String>,
) {
    while !state.ended.load(Ordering::Relaxed) {
        let Some(open) = &listener else {
            std::thread::park_timeout(limits.pause);
            if state.ended.load(Ordering::Relaxed) {
                return;
            }
            listener = bind(bound_to).ok();
            if listener.is_some() {
                state.listens.store(true, Ordering::Relaxed);
                diagnostics::info(&format!("metrics for Prometheus are at http://{bound_to}/metrics from now on"));
            }
            continue;
        };
        // None of the program's, where the socket's number is its own by now.
        let accepted = open.get().and_then(TcpListener::accept);
        if state.ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = accepted.and_then(|(stream, _)| OwnDescriptor::new(stream)) else {
            // No file handle is free, as a rule, or the program has the port itself: not to be asked again at once.
            std::thread::sleep(Duration::from_millis(100));
            if open.get().is_err() {
                if let Ok(anew) = bind(bound_to) {
                    listener = Some(anew);
                }
            }
            continue;
        };
        let deadline = Instant::now() + limits.patience;
        // Who goes away, or is too slow, gets no answer.
        let Ok(head) = read_head(&stream, limits.longest_head, deadline) else { continue };
        let answer = match judge(&head, bound_to.ip()) {
            Err(refusal) => refusal.text(),
            Ok(()) => match catch_unwind(AssertUnwindSafe(text)) {
                Ok(Some(text)) => answer("200 OK", CONTENT_TYPE, "", &text),
                Ok(None) => return,
                Err(_) => Refusal("500 Internal Server Error", "the metrics could not be collected").text(),
            },
        };
        let _ = write_all(&stream, answer.as_bytes(), deadline);
    }
}

/// Everything up to the empty line.
fn read_head(stream: &OwnDescriptor<TcpStream>, longest: usize, deadline: Instant) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    let mut part = [0; 1024];
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        if head.len() > longest {
            return Err(ErrorKind::InvalidData.into());
        }
        let mut stream = stream.get()?;
        stream.set_read_timeout(Some(left_until(deadline)?))?;
        let read = stream.read(&mut part)?;
        if read == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(part.get(..read).unwrap_or_default());
    }
    Ok(head)
}

fn write_all(stream: &OwnDescriptor<TcpStream>, mut bytes: &[u8], deadline: Instant) -> io::Result<()> {
    while !bytes.is_empty() {
        let mut stream = stream.get()?;
        stream.set_write_timeout(Some(left_until(deadline)?))?;
        let written = stream.write(bytes)?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        bytes = bytes.get(written..).unwrap_or_default();
    }
    Ok(())
}

/// Never zero, which would be no limit.
fn left_until(deadline: Instant) -> io::Result<Duration> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() { Err(ErrorKind::TimedOut.into()) } else { Ok(left) }
}

/// A status, and why.
#[derive(Debug, PartialEq)]
struct Refusal(&'static str, &'static str);

impl Refusal {
    fn text(&self) -> String {
        let allow = if self.0.starts_with("405") { "allow: GET\r\n" } else { "" };
        answer(self.0, "text/plain; charset=utf-8", allow, &format!("{}\n", self.1))
    }
}

fn answer(status: &str, kind: &str, more: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n{more}cache-control: no-store\r\n\
         x-content-type-options: nosniff\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}

/// Whether this request is answered with the metrics.
fn judge(head: &[u8], bound_to: IpAddr) -> Result<(), Refusal> {
    const BAD: Refusal = Refusal("400 Bad Request", "this is no request of HTTP/1");
    let head = std::str::from_utf8(head).map_err(|_| BAD)?;
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(BAD);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(BAD);
    }
    let headers: Vec<(&str, &str)> = lines.filter_map(|line| line.split_once(':')).collect();
    let all = |name: &'static str| {
        headers.iter().filter(move |(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| *value)
    };
    // What a page in a browser asks for, from wherever it came, it is not to read: by a name of its own that leads here
    // (DNS rebinding) it could. Who opens the port to a network is asked there by the names that the network has.
    if all("origin").next().is_some() {
        return Err(Refusal("403 Forbidden", "pages in a browser get nothing here"));
    }
    let mut hosts = all("host").peekable();
    if bound_to.is_loopback() && (hosts.peek().is_none() || !hosts.all(|host| is_address(host.trim()))) {
        return Err(Refusal("403 Forbidden", "ask by the address, such as 127.0.0.1"));
    }
    if target.split('?').next() != Some("/metrics") {
        return Err(Refusal("404 Not Found", "the metrics are at /metrics"));
    }
    if method == "GET" { Ok(()) } else { Err(Refusal("405 Method Not Allowed", "only GET")) }
}

/// Whether a host is an address of a machine, or `localhost`, which is one by its definition; with a port or without.
fn is_address(host: &str) -> bool {
    let is_port = |text: &str| {
        text.is_empty() || text.strip_prefix(':').is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some((address, port)) = host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return is_port(port) && address.parse::<Ipv6Addr>().is_ok();
    }
    let (name, port) = host.split_at(host.find(':').unwrap_or(host.len()));
    is_port(port) && (name.eq_ignore_ascii_case("localhost") || name.parse::<Ipv4Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    fn opened(limits: Limits, text: impl Fn() -> Option<String> + Send + 'static) -> Port {
        let port = Port::open_within(limits, SocketAddr::new(LOCAL, 0), text, |error| panic!("{error}")).unwrap();
        assert!(port.is_open());
        port
    }

    fn open() -> Port {
        opened(LIMITS, || Some("metric 1\n".to_owned()))
    }

    /// What is answered; empty if nothing is.
    fn ask(port: &Port, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(port.address()).unwrap();
        stream.write_all(request).unwrap();
        let mut answer = Vec::new();
        // A connection that is closed with bytes of ours unread is reset.
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8(answer).unwrap()
    }

    #[test]
    fn metrics_are_answered_and_the_port_goes_on_whatever_else_is_asked() {
        let port = open();
        let good = b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9464\r\n\r\n";
        for (request, status) in [
            (&b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"[..], "404"),
            (b"POST /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\n\r\n", "405"),
            (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", "403"),
            (b"GET /metrics HTTP/1.1\r\n\r\n", "403"),
            (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n", "403"),
            (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\nOrigin: http://evil.example\r\n\r\n", "403"),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "400"),
            (b"\x16\x03\x01\xff\r\n\r\n", "400"),
            (b"GET  /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", "400"),
        ] {
            let answer = ask(&port, request);
            assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request:?}: {answer}");
            assert!(!answer.contains("metric 1"), "{answer}");
        }
        let answer = ask(&port, good);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\nmetric 1\n"), "{answer}");
        assert!(answer.contains("content-type: text/plain; version=0.0.4"), "{answer}");
    }

    const GOOD: &[u8] = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
    /// Nothing is to end by time.
    const HOUR: Duration = Duration::from_secs(3_600);
    /// How long a test waits for what must come.
    const LIMIT: Duration = Duration::from_secs(30);

    /// A port that ends what takes longer than half a second, and answers at first with so much.
    fn impatient(bytes: usize) -> Port {
        let limits = Limits { patience: Duration::from_millis(500), ..LIMITS };
        let first = AtomicUsize::new(bytes);
        let text = move || Some("x".repeat(first.swap(1, Ordering::Relaxed)));
        opened(limits, text)
    }

    fn connected(port: &Port) -> TcpStream {
        let stream = TcpStream::connect(port.address()).unwrap();
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        stream
    }

    /// Whether one that asks as it should is answered, while another one is at it.
    fn answers(port: &Port) -> bool {
        let mut stream = connected(port);
        stream.write_all(GOOD).unwrap();
        let mut status = [0; 15];
        stream.read_exact(&mut status).is_ok() && status == *b"HTTP/1.1 200 OK"
    }

    #[test]
    fn a_head_without_an_end_is_read_up_to_its_limit_however_much_time_there_is() {
        let limits = Limits { patience: HOUR, ..LIMITS };
        let port = opened(limits, || Some(String::new()));
        let mut stream = connected(&port);
        stream.write_all(&vec![b'x'; 3 * LIMITS.longest_head]).unwrap();
        // Closed, be it with bytes of ours unread; not waited for.
        let end = stream.read(&mut [0; 1]).map_err(|error| error.kind());
        assert!(matches!(end, Ok(0) | Err(ErrorKind::ConnectionReset)), "{end:?}");
        assert!(answers(&port));
    }

    #[test]
    fn who_says_nothing_is_not_waited_for() {
        let port = impatient(1);
        let silent = connected(&port);
        assert!(answers(&port));
        drop(silent);
    }

    #[test]
    fn who_says_a_byte_now_and_then_has_no_more_time_for_that() {
        let port = impatient(1);
        let mut slow = connected(&port);
        let ended = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !ended.load(Ordering::Relaxed) && slow.write_all(b"x").is_ok() {
                    std::thread::sleep(Duration::from_millis(10));
                }
            });
            let is_answered = answers(&port);
            ended.store(true, Ordering::Relaxed);
            assert!(is_answered);
        });
    }

    #[test]
    fn who_does_not_read_its_answer_is_not_waited_for() {
        // More than any buffer between the two.
        let port = impatient(16 << 20);
        let mut deaf = connected(&port);
        deaf.write_all(GOOD).unwrap();
        assert!(answers(&port));
        drop(deaf);
    }

    #[test]
    fn a_collection_that_panics_is_told_and_the_port_goes_on() {
        let is_first = AtomicBool::new(true);
        let text = move || {
            assert!(!is_first.swap(false, Ordering::Relaxed), "a panic that the test wants");
            Some("metric 1\n".to_owned())
        };
        let port = opened(LIMITS, text);
        assert!(ask(&port, GOOD).starts_with("HTTP/1.1 500 "));
        assert!(ask(&port, GOOD).ends_with("\r\n\r\nmetric 1\n"));
    }

    #[test]
    fn a_port_that_is_dropped_is_free_again() {
        let port = open();
        let address = port.address();
        drop(port);
        TcpListener::bind(address).unwrap();
    }

    /// The process of before, or the port of before of this one, which is at a request still.
    #[test]
    fn a_port_that_another_has_is_opened_once_it_is_free() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let (address, mut why) = (other.local_addr().unwrap(), None);
        let limits = Limits { pause: Duration::from_millis(10), ..LIMITS };
        let text = || Some("metric 1\n".to_owned());
        let port = Port::open_within(limits, address, text, |error| why = Some(error.kind())).unwrap();
        assert_eq!((why, port.is_open()), (Some(ErrorKind::AddrInUse), false));
        drop(other);
        let deadline = Instant::now() + LIMIT;
        while !port.is_open() {
            assert!(Instant::now() < deadline);
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(ask(&port, GOOD).ends_with("metric 1\n"));
    }

    #[test]
    fn a_port_that_another_has_is_given_up_at_once() {
        let other = TcpListener::bind((LOCAL, 0)).unwrap();
        let limits = Limits { pause: HOUR, ..LIMITS };
        let port = Port::open_within(limits, other.local_addr().unwrap(), || None, |_| ()).unwrap();
        let state = Arc::downgrade(&port.state);
        drop(port);
        let deadline = Instant::now() + LIMIT;
        while state.upgrade().is_some() {
            assert!(Instant::now() < deadline, "its thread is there still");
            std::thread::sleep(Duration::from_millis(5));
        }
        other.set_nonblocking(true).unwrap();
        assert_eq!(other.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "the other was not disturbed");
    }

    #[test]
    fn only_a_port_of_this_machine_wants_to_be_asked_by_its_address() {
        let asked_by = |host: &str, bound_to: IpAddr| {
            judge(format!("GET /metrics HTTP/1.1\r\nHost: {host}\r\n\r\n").as_bytes(), bound_to)
        };
        for host in ["127.0.0.1", "127.0.0.1:9464", "LOCALHOST:1", "[::1]:9464", "10.0.0.1"] {
            assert_eq!(asked_by(host, LOCAL), Ok(()), "{host}");
        }
        for host in
            ["", "evil.example", "127.0.0.1.evil.example", "[::1", "localhost.evil", "127.0.0.1@x", "2130706433"]
        {
            assert!(asked_by(host, LOCAL).is_err(), "{host}");
            assert_eq!(asked_by(host, Ipv4Addr::UNSPECIFIED.into()), Ok(()), "{host}");
        }
    }
}
