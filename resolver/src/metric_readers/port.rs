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
use std::time::{Duration, Instant};

use super::prometheus::CONTENT_TYPE;
use crate::own_descriptor::OwnDescriptor;
use crate::quiet_thread;

/// An open port. Dropped, it is closed.
pub(crate) struct Port {
    address: SocketAddr,
    ended: Arc<AtomicBool>,
}

/// What one request may take.
#[derive(Clone, Copy)]
struct Limits {
    /// From its first byte to the last of the answer.
    patience: Duration,
    longest_head: usize,
}

/// No scraper's head is longer.
const LIMITS: Limits = Limits { patience: Duration::from_secs(5), longest_head: 8 * 1024 };

impl Port {
    /// Opens it. `text` is asked for each answer, on the port's thread; `None`: there is nobody any more who measures, and
    /// the thread ends.
    ///
    /// # Errors
    ///
    /// What the system says: the port is taken, or not ours to take; or there is no thread.
    pub(crate) fn open(address: SocketAddr, text: impl Fn() -> Option<String> + Send + 'static) -> io::Result<Self> {
        Self::open_within(LIMITS, address, text)
    }

    fn open_within(
        limits: Limits,
        address: SocketAddr,
        text: impl Fn() -> Option<String> + Send + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        let address = listener.local_addr()?;
        let ended = Arc::new(AtomicBool::new(false));
        let port = Self { address, ended: Arc::clone(&ended) };
        let listener = OwnDescriptor::new(listener)?;
        quiet_thread::spawn("tr-prometheus".to_owned(), move || serve(listener, address, limits, &ended, &text))?;
        Ok(port)
    }

    /// Where it really is: port 0 is any that is free.
    #[cfg(test)]
    fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        // Relaxed: the connection that follows is what the thread sees first.
        self.ended.store(true, Ordering::Relaxed);
        let (port, is_v4) = (self.address.port(), self.address.is_ipv4());
        let any: IpAddr = if is_v4 { Ipv4Addr::LOCALHOST.into() } else { Ipv6Addr::LOCALHOST.into() };
        let ip = if self.address.ip().is_unspecified() { any } else { self.address.ip() };
        // The thread waits for a connection. Where none can be made, it ends with the next.
        let _ = TcpStream::connect_timeout(&SocketAddr::new(ip, port), Duration::from_millis(100));
    }
}

fn serve(
    mut listener: OwnDescriptor<TcpListener>,
    bound_to: SocketAddr,
    limits: Limits,
    ended: &AtomicBool,
    text: &dyn Fn() -> Option<String>,
) {
    loop {
        // None of the program's, where the socket's number is its own by now.
        let accepted = listener.get().and_then(TcpListener::accept);
        if ended.load(Ordering::Relaxed) {
            return;
        }
        let Ok(stream) = accepted.and_then(|(stream, _)| OwnDescriptor::new(stream)) else {
            // No file handle is free, as a rule, or the program has the port itself: not to be asked again at once.
            std::thread::sleep(Duration::from_millis(100));
            if listener.get().is_err() {
                if let Ok(anew) = TcpListener::bind(bound_to).and_then(OwnDescriptor::new) {
                    listener = anew;
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

    fn open() -> Port {
        Port::open(SocketAddr::new(LOCAL, 0), || Some("metric 1\n".to_owned())).unwrap()
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
        Port::open_within(limits, SocketAddr::new(LOCAL, 0), text).unwrap()
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
        let port = Port::open_within(limits, SocketAddr::new(LOCAL, 0), || Some(String::new())).unwrap();
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
        let port = Port::open(SocketAddr::new(LOCAL, 0), text).unwrap();
        assert!(ask(&port, GOOD).starts_with("HTTP/1.1 500 "));
        assert!(ask(&port, GOOD).ends_with("\r\n\r\nmetric 1\n"));
    }

    #[test]
    fn a_port_that_is_dropped_is_free_again() {
        let port = open();
        let address = port.address();
        drop(port);
        let deadline = Instant::now() + Duration::from_secs(20);
        while let Err(error) = TcpListener::bind(address) {
            assert!(Instant::now() < deadline, "{error}");
            std::thread::sleep(Duration::from_millis(5));
        }
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
