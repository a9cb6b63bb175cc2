//! An HTTP/1.1 server as small as it can be: POST, keep-alive, gzip, a thread per connection.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// One request, its body decompressed.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// `POST` and the like.
    pub method: String,
    /// Path and query, as they came.
    pub path: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// Decompressed.
    pub body: Vec<u8>,
}

/// What to answer.
#[derive(Clone, Debug)]
pub struct Reply {
    /// The status.
    pub status: u16,
    /// Beside `content-length`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

/// A connection: TCP, or TLS over it.
pub trait Stream: Read + Write + Send {}
impl<T: Read + Write + Send> Stream for T {}

/// Listens on a free port of 127.0.0.1 until it is stopped or dropped.
pub struct HttpServer {
    address: SocketAddr,
    state: Arc<State>,
    listener: Option<JoinHandle<()>>,
}

type Handler = dyn Fn(&Request) -> Reply + Send + Sync;
type Acceptor = dyn Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync;

struct State {
    handler: Box<Handler>,
    acceptor: Box<Acceptor>,
    stopped: AtomicBool,
    mood: Mutex<Mood>,
    connections: Mutex<Vec<TcpStream>>,
}

/// How the server was told to behave.
#[derive(Default)]
struct Mood {
    failure: Option<Reply>,
    delay: Duration,
    requests: Vec<Request>,
    accepted: usize,
}

impl Request {
    /// A header by its name in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

impl Reply {
    /// A status and nothing else.
    pub fn status(status: u16) -> Self {
        Reply { status, headers: Vec::new(), body: Vec::new() }
    }

    /// The reply with a header more.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The reply with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }
}

impl HttpServer {
    /// Starts on a free port; `handler` answers the requests that the server was not told to fail.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start(handler: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> io::Result<Self> {
        Self::start_with(0, |stream| Ok(Box::new(stream)), handler)
    }

    /// Starts on `port`, 0 for a free one; `acceptor` makes of a TCP connection what requests are read from, such as TLS.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_with(
        port: u16,
        acceptor: impl Fn(TcpStream) -> io::Result<Box<dyn Stream>> + Send + Sync + 'static,
        handler: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
        let address = listener.local_addr()?;
        let state = Arc::new(State {
            handler: Box::new(handler),
            acceptor: Box::new(acceptor),
            stopped: AtomicBool::new(false),
            mood: Mutex::default(),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&state);
        let listener = std::thread::spawn(move || accept(&listener, &accepting));
        Ok(HttpServer { address, state, listener: Some(listener) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The same as `http://127.0.0.1:port`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The requests that were read wholly, those that were failed among them; the last 256 of them.
    pub fn requests(&self) -> Vec<Request> {
        self.state.mood().requests.clone()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.mood().accepted
    }

    /// Answers every request from now on with `reply`; `None` ends it.
    pub fn fail_with(&self, reply: Option<Reply>) {
        self.state.mood().failure = reply;
    }

    /// Waits that long before each answer from now on.
    pub fn respond_after(&self, delay: Duration) {
        self.state.mood().delay = delay;
    }

    /// Closes every connection, as a server does with those that are idle for long; the port stays open.
    pub fn close_connections(&self) {
        for connection in self.state.connections().drain(..) {
            // It may be closed already.
            let _ = connection.shutdown(Shutdown::Both);
        }
    }

    /// Closes the port and every connection, in the middle of whatever is going on. As dropping does.
    pub fn stop(&mut self) {
        self.state.stopped.store(true, Ordering::SeqCst);
        self.close_connections();
        if let Some(listener) = self.listener.take() {
            // Wakes `accept`, which then sees that it is stopped; if it cannot connect, it has ended.
            let _ = TcpStream::connect(self.address);
            let _ = listener.join();
        }
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl State {
    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn connections(&self) -> MutexGuard<'_, Vec<TcpStream>> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::SeqCst)
    }
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for connection in listener.incoming() {
        if state.is_stopped() {
            return;
        }
        let Ok(connection) = connection else { continue };
        let Ok(handle) = connection.try_clone() else { continue };
        let peer = handle.peer_addr().ok();
        state.connections().push(handle);
        if state.is_stopped() {
            // `stop` may have looked at the connections before this one was among them.
            let _ = connection.shutdown(Shutdown::Both);
            return;
        }
        state.mood().accepted += 1;
        let state = Arc::clone(state);
        // Ends when its connection does, which `stop` sees to.
        std::thread::spawn(move || {
            serve(connection, &state);
            state.connections().retain(|open| open.peer_addr().ok() != peer);
        });
    }
}

fn serve(connection: TcpStream, state: &State) {
    let Ok(stream) = (state.acceptor)(connection) else { return };
    let mut stream = BufReader::new(stream);
    while let Ok(Some(request)) = read_request(&mut stream) {
        let (delay, failure) = {
            let mut mood = state.mood();
            if mood.requests.len() == KEPT_REQUESTS {
                mood.requests.remove(0);
            }
            mood.requests.push(request.clone());
            (mood.delay, mood.failure.clone())
        };
        std::thread::sleep(delay);
        if state.is_stopped() {
            return;
        }
        let reply = failure.unwrap_or_else(|| (state.handler)(&request));
        if write_reply(stream.get_mut(), &reply).is_err() {
            return;
        }
    }
}

fn read_request(stream: &mut impl BufRead) -> io::Result<Option<Request>> {
    let mut line = String::new();
    if stream.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_whitespace();
    let mut request = Request {
        method: words.next().unwrap_or_default().to_owned(),
        path: words.next().unwrap_or_default().to_owned(),
        ..Default::default()
    };
    loop {
        let mut line = String::new();
        stream.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        request.headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let body = if request.header("transfer-encoding") == Some("chunked") {
        read_chunks(stream)?
    } else {
        let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        read_exactly(stream, length)?
    };
    request.body = if request.header("content-encoding") == Some("gzip") {
        let mut plain = Vec::new();
        flate2::read::GzDecoder::new(body.as_slice()).read_to_end(&mut plain)?;
        plain
    } else {
        body
    };
    Ok(Some(request))
}

fn read_exactly(stream: &mut impl BufRead, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    stream.take(length).read_to_end(&mut bytes)?;
    if (bytes.len() as u64) < length { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(bytes) }
}

/// The body of a client that does not know its length when it begins, as OpenTelemetry's in JavaScript.
fn read_chunks(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        stream.read_line(&mut size)?;
        let size = u64::from_str_radix(size.trim(), 16).map_err(io::Error::other)?;
        body.extend(read_exactly(stream, size)?);
        stream.read_line(&mut String::new())?;
        if size == 0 {
            return Ok(body);
        }
    }
}

fn write_reply(stream: &mut impl Write, reply: &Reply) -> io::Result<()> {
    let mut head = format!("HTTP/1.1 {} Reply\r\ncontent-length: {}\r\n", reply.status, reply.body.len());
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str("\r\n");
    stream.write_all(head.as_bytes())?;
    stream.write_all(&reply.body)?;
    stream.flush()
}

/// A server that runs for long must not keep every body.
const KEPT_REQUESTS: usize = 256;
