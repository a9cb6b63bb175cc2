//! `Collector`: what a plugin sends to while it is checked. It takes what comes, refuses it, or never answers.

#![forbid(unsafe_code)]

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crate::grpc;

/// What it does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// 200.
    #[default]
    Takes,
    /// 200, after 300 ms.
    TakesSlowly,
    /// 503 with `Retry-After: 7`; by gRPC UNAVAILABLE, which says the same.
    IsBusy,
    /// 400; by gRPC INVALID_ARGUMENT.
    Refuses,
    /// 401, with a body that repeats the request's headers, as some servers do; by gRPC UNAUTHENTICATED.
    KnowsNobody,
    /// 403; by gRPC PERMISSION_DENIED.
    Forbids,
    /// Reads, and never answers.
    Stalls,
    /// Answers, a byte of the header every 100 ms, for ever.
    Drips,
    /// Hangs up instead of answering.
    HangsUp,
    /// 503 for every other request, 200 for the others.
    TakesEveryOther,
}

impl Behaviour {
    const ALL: [Self; 10] = [
        Self::Takes,
        Self::TakesSlowly,
        Self::IsBusy,
        Self::Refuses,
        Self::KnowsNobody,
        Self::Forbids,
        Self::Stalls,
        Self::Drips,
        Self::HangsUp,
        Self::TakesEveryOther,
    ];

    /// As it is said to the judge.
    pub(crate) fn word(self) -> String {
        format!("{self:?}")
    }

    /// In a sentence about a backend.
    pub(crate) fn told(self) -> &'static str {
        match self {
            Self::Takes => "takes it",
            Self::TakesSlowly => "takes it after a while",
            Self::IsBusy => "answers 503",
            Self::Refuses => "answers 400",
            Self::KnowsNobody => "answers 401",
            Self::Forbids => "answers 403",
            Self::Stalls => "does not answer",
            Self::Drips => "answers without end",
            Self::HangsUp => "hangs up",
            Self::TakesEveryOther => "answers 503 every other time",
        }
    }

    pub(crate) fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|behaviour| behaviour.word() == word)
    }
}

/// What the collector saw since it was last told how to behave.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Seen {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    /// Bytes came that are neither HTTP/1.1 nor gRPC.
    pub(crate) is_foreign: bool,
}

/// Three addresses on this machine. Its threads end with the process.
pub(crate) struct Collector {
    address: SocketAddr,
    state: Arc<Mutex<State>>,
    /// Takes connections (the kernel does) and nothing of what comes over them.
    silent: TcpListener,
    closed: SocketAddr,
}

#[derive(Default)]
struct State {
    behaviour: Behaviour,
    seen: Seen,
    /// Whence this process connects in [`Collector::seen`], until that is accepted.
    own: Option<SocketAddr>,
}

impl Collector {
    pub(crate) fn open() -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::Builder::new().name("check-collector".to_owned()).spawn(move || accept(&listener, &shared))?;
        // Nobody listens there once this is dropped.
        let closed = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        Ok(Self { address, state, silent: TcpListener::bind("127.0.0.1:0")?, closed })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn silent(&self) -> io::Result<SocketAddr> {
        self.silent.local_addr()
    }

    pub(crate) fn closed(&self) -> SocketAddr {
        self.closed
    }

    /// Counts from nothing.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        *lock(&self.state) = State { behaviour, ..State::default() };
    }

    /// Every connection counts that was made before this is called, also of a plugin that waits for no answer: connections
    /// are accepted in their order, and so is one of our own.
    pub(crate) fn seen(&self) -> Seen {
        let own = {
            // Held, so that it is not accepted before it is known.
            let mut state = lock(&self.state);
            let own = TcpStream::connect(self.address);
            state.own = own.as_ref().ok().and_then(|own| own.local_addr().ok());
            own
        };
        let until = Instant::now() + Duration::from_secs(5);
        while own.is_ok() && lock(&self.state).own.is_some() && Instant::now() < until {
            thread::sleep(Duration::from_millis(1));
        }
        lock(&self.state).seen
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn accept(listener: &TcpListener, state: &Arc<Mutex<State>>) {
    for connection in listener.incoming() {
        let Ok(connection) = connection else { return };
        {
            let mut state = lock(state);
            if state.own.is_some() && state.own == connection.peer_addr().ok() {
                state.own = None;
                continue;
            }
            state.seen.connections += 1;
        }
        let state = Arc::clone(state);
        // Without a thread the connection is closed, and the plugin's answer told as it is.
        let _ = thread::Builder::new().name("check-collector".to_owned()).spawn(move || {
            // An error is the plugin's hanging up: nothing to be done.
            let _ = serve(connection, &state);
        });
    }
}

/// Answers the requests of one connection.
fn serve(mut to: TcpStream, state: &Mutex<State>) -> io::Result<()> {
    let mut from = BufReader::new(to.try_clone()?);
    let mut is_grpc = false;
    while let Some(asked) = next_request(&mut from, &mut to, state, &mut is_grpc)? {
        let behaviour = {
            let mut state = lock(state);
            state.seen.requests += 1;
            match state.behaviour {
                Behaviour::TakesEveryOther if state.seen.requests % 2 == 1 => Behaviour::IsBusy,
                Behaviour::TakesEveryOther => Behaviour::Takes,
                behaviour => behaviour,
            }
        };
        match behaviour {
            Behaviour::Takes | Behaviour::TakesEveryOther => answer(&mut to, &asked, TAKEN)?,
            Behaviour::TakesSlowly => {
                thread::sleep(Duration::from_millis(300));
                answer(&mut to, &asked, TAKEN)?;
            }
            Behaviour::IsBusy => answer(&mut to, &asked, BUSY)?,
            Behaviour::Refuses => answer(&mut to, &asked, REFUSED)?,
            Behaviour::KnowsNobody => answer(&mut to, &asked, UNKNOWN)?,
            Behaviour::Forbids => answer(&mut to, &asked, FORBIDDEN)?,
            // Until the plugin hangs up.
            Behaviour::Stalls => return from.read_to_end(&mut Vec::new()).map(drop),
            Behaviour::Drips => {
                match &asked {
                    Asked::Http(_) => to.write_all(b"HTTP/1.1 200 OK\r\nX-Drip: ")?,
                    Asked::Grpc(stream) => grpc::start(&mut to, *stream)?,
                }
                loop {
                    match &asked {
                        Asked::Http(_) => to.write_all(b"x")?,
                        Asked::Grpc(stream) => grpc::drip(&mut to, *stream)?,
                    }
                    thread::sleep(Duration::from_millis(100));
                }
            }
            Behaviour::HangsUp => return Ok(()),
        }
    }
    Ok(())
}

/// How a request came.
enum Asked {
    /// With its headers, as they are.
    Http(String),
    Grpc(grpc::Stream),
}

/// What becomes of a request, in the words of either protocol.
#[derive(Clone, Copy)]
struct Answer {
    status: &'static str,
    header: &'static str,
    grpc_status: u8,
    grpc_details: Option<&'static str>,
    /// The body is what the request's headers were.
    repeats: bool,
}

const TAKEN: Answer = Answer { status: "200 OK", header: "", grpc_status: 0, grpc_details: None, repeats: false };
const BUSY: Answer = Answer {
    status: "503 Service Unavailable",
    header: "Retry-After: 7\r\n",
    grpc_status: 14,
    grpc_details: Some(grpc::SEVEN_SECONDS),
    ..TAKEN
};
const REFUSED: Answer = Answer { status: "400 Bad Request", grpc_status: 3, ..TAKEN };
const UNKNOWN: Answer = Answer { status: "401 Unauthorized", grpc_status: 16, repeats: true, ..TAKEN };
const FORBIDDEN: Answer = Answer { status: "403 Forbidden", grpc_status: 7, ..TAKEN };

/// One request, whose body nobody needs, by HTTP/1.1 or by gRPC: a connection begins as the one or the other.
fn next_request(
    from: &mut BufReader<TcpStream>,
    to: &mut TcpStream,
    state: &Mutex<State>,
    is_grpc: &mut bool,
) -> io::Result<Option<Asked>> {
    let mut line = Vec::new();
    if !*is_grpc {
        from.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line)?;
    }
    if grpc::is_begun_by(&line) {
        *is_grpc = true;
        grpc::begin(from, to)?;
    }
    match *is_grpc {
        true => Ok(grpc::next_call(from, to)?.map(Asked::Grpc)),
        false => Ok(read_request(&line, from, to, state)?.map(Asked::Http)),
    }
}

/// What follows the first line of a request, without its body. `None`: there is none any more, or it is none.
fn read_request(
    line: &[u8],
    from: &mut BufReader<TcpStream>,
    to: &mut TcpStream,
    state: &Mutex<State>,
) -> io::Result<Option<String>> {
    if line.is_empty() {
        return Ok(None);
    }
    if !line.trim_ascii_end().ends_with(b" HTTP/1.1") {
        lock(state).seen.is_foreign = true;
        return Ok(None);
    }
    let (mut length, mut is_chunked, mut headers) = (0, false, String::new());
    loop {
        let mut line = String::new();
        from.by_ref().take(LONGEST_LINE).read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().map_err(io::Error::other)?,
            "transfer-encoding" => is_chunked = value.trim().eq_ignore_ascii_case("chunked"),
            "expect" => to.write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?,
            _ => {}
        }
        if headers.len() < LONGEST_HEADERS {
            headers.push_str(&line);
        }
    }
    if !is_chunked {
        io::copy(&mut from.by_ref().take(length), &mut io::sink())?;
        return Ok(Some(headers));
    }
    loop {
        let mut size = String::new();
        from.by_ref().take(LONGEST_LINE).read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim_end().split(';').next().unwrap_or_default(), 16);
        let size = size.map_err(io::Error::other)?;
        // The line end behind it is read with it; the last chunk has no bytes, and no trailers are expected.
        io::copy(&mut from.by_ref().take(size + 2), &mut io::sink())?;
        if size == 0 {
            return Ok(Some(headers));
        }
    }
}

/// Mostly no body: an empty OTLP response in protobuf, and nothing that Zipkin or Jaeger would not say.
fn answer(to: &mut TcpStream, asked: &Asked, answer: Answer) -> io::Result<()> {
    let Answer { status, header, grpc_status, grpc_details, repeats } = answer;
    let headers = match asked {
        Asked::Grpc(stream) => return grpc::answer(to, *stream, grpc_status, grpc_details),
        Asked::Http(headers) => headers,
    };
    let (kind, body) = if repeats { ("text/plain", headers.as_str()) } else { ("application/x-protobuf", "") };
    let length = body.len();
    let answer = format!("HTTP/1.1 {status}\r\nContent-Type: {kind}\r\n{header}Content-Length: {length}\r\n\r\n{body}");
    to.write_all(answer.as_bytes())
}

const LONGEST_LINE: u64 = 64 * 1024;
const LONGEST_HEADERS: usize = 4 * 1024;
