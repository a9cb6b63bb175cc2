//! `Connection`: how one is made, and calls on it, one at a time.

use std::future::{Future, poll_fn};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use h2::client::{Builder, SendRequest};
use h2::{Ping, PingPong};
use http::Request;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, socket_with};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use tracer_plugin_http::ProxyUrl;
use tracer_plugin_kit::look_up;

use crate::address::Address;
use crate::call::{Reply, call};
use crate::drive::drive;
use crate::message::Message;
use crate::wire::{Line, Told, Wire};

/// An HTTP/2 connection to a collector. Belongs to one export at a time; between two of them nobody reads what comes.
pub(crate) struct Connection {
    line: Arc<Line>,
    http2: h2::client::Connection<Wire, Bytes>,
    sender: SendRequest<Bytes>,
    pings: Option<PingPong>,
    used: Instant,
}

/// Why there is no answer.
pub(crate) enum Trouble {
    /// The time was over, while this was awaited.
    TimedOut(&'static str),
    /// The addresses of the name.
    NotKnown(io::Error),
    /// No connection.
    Unreachable(io::Error),
    /// The proxy answers, but not with a way through; or the connection to it breaks.
    Proxy(String),
    /// The connection ended before TLS was agreed upon.
    Handshake(io::Error, Box<Told>),
    /// Anything else: the connection is over.
    Lost(Option<h2::Error>, Box<Told>),
    /// The connection may well live, the call does not.
    Reset(h2::Error),
}

/// Where to, and how.
pub(crate) struct Way<'a> {
    pub(crate) address: &'a Address,
    pub(crate) proxy: Option<&'a ProxyUrl>,
    /// `None`: not encrypted.
    pub(crate) tls: Option<(&'a Arc<ClientConfig>, ServerName<'static>)>,
}

impl Connection {
    pub(crate) fn open(way: Way<'_>, deadline: Instant) -> Result<Self, Trouble> {
        let socket = match way.address {
            Address::Socket(path) => local_socket(path).map_err(Trouble::Unreachable)?,
            Address::Network(_) => {
                let place = way.proxy.map_or_else(|| way.address.place(), ProxyUrl::address);
                socket_to(&place, deadline)?
            }
        };
        let line = Arc::new(Line::new(socket).map_err(Trouble::Unreachable)?);
        if let Some(proxy) = way.proxy {
            tunnel(&line, proxy, &way.address.place(), deadline)?;
        }
        let tls = match way.tls {
            Some((config, name)) => {
                let begun = ClientConnection::new(Arc::clone(config), name);
                Some(begun.map_err(|error| Trouble::Handshake(io::Error::other(error), Box::default()))?)
            }
            None => None,
        };
        let mut wire = Wire::new(Arc::clone(&line), tls);
        let agreed = drive(&line, deadline, poll_fn(|_| wire.poll_handshake()));
        agreed.ok_or(Trouble::TimedOut("TLS handshake"))?.map_err(|error| Trouble::Handshake(error, line.told()))?;
        let mut builder = Builder::new();
        builder.enable_push(false).max_header_list_size(MOST_HEADERS).max_send_buffer_size(SEND_BUFFER);
        let begun = drive(&line, deadline, builder.handshake::<_, Bytes>(wire));
        let begun = begun.ok_or(Trouble::TimedOut("HTTP/2"))?;
        let (sender, mut http2) = begun.map_err(|error| Trouble::Lost(Some(error), line.told()))?;
        let pings = http2.ping_pong();
        Ok(Connection { line, http2, sender, pings, used: Instant::now() })
    }

    /// Sends `request` with `message`, and waits for the answer until `deadline`.
    pub(crate) fn call(
        &mut self,
        request: Request<()>,
        message: &Message<'_>,
        deadline: Instant,
    ) -> Result<Reply, Trouble> {
        let mut call = pin!(call(self.sender.clone(), request, message));
        let http2 = &mut self.http2;
        let ended = drive(
            &self.line,
            deadline,
            poll_fn(|context| {
                // First, for it reads what the call waits for.
                let over = Pin::new(&mut *http2).poll(context);
                match (call.as_mut().poll(context), over) {
                    // The connection's end says more than what it did to the call.
                    (Poll::Ready(Err(_)), Poll::Ready(Err(over))) => Poll::Ready((Some(Err(over)), true)),
                    (Poll::Ready(answer), over) => Poll::Ready((Some(answer), over.is_ready())),
                    (Poll::Pending, Poll::Ready(Ok(()))) => Poll::Ready((None, true)),
                    (Poll::Pending, Poll::Ready(Err(error))) => Poll::Ready((Some(Err(error)), true)),
                    (Poll::Pending, Poll::Pending) => Poll::Pending,
                }
            }),
        );
        self.used = Instant::now();
        match ended.ok_or(Trouble::TimedOut("answer"))? {
            (Some(Ok(reply)), _) => Ok(reply),
            (Some(Err(error)), false) if error.is_reset() => Err(Trouble::Reset(error)),
            (Some(Err(error)), _) => Err(Trouble::Lost(Some(error), self.line.told())),
            (None, _) => Err(Trouble::Lost(None, self.line.told())),
        }
    }

    /// Whether it can be used again: what came meanwhile is read, and, if it was idle for long, the server asked for a sign
    /// of life (a PING of HTTP/2), for which it has half of the time that is left, and five seconds at most.
    pub(crate) fn is_alive(&mut self, deadline: Instant) -> bool {
        let idle = self.used.elapsed();
        if idle > LONGEST_IDLE {
            return false;
        }
        let (http2, sender) = (&mut self.http2, &mut self.sender);
        let mut is_open = |context: &mut Context<'_>| {
            Pin::new(&mut *http2).poll(context).is_pending()
                && !matches!(sender.poll_ready(context), Poll::Ready(Err(_)))
        };
        // Polled once.
        if drive(&self.line, Instant::now(), poll_fn(|context| Poll::Ready(is_open(context)))) != Some(true) {
            return false;
        }
        let Some(pings) = self.pings.as_mut().filter(|_| idle > LONG_IDLE) else { return true };
        if pings.send_ping(Ping::opaque()).is_err() {
            return false;
        }
        let now = Instant::now();
        let limit = now + (deadline.saturating_duration_since(now) / 2).min(LONGEST_PING);
        let answered = poll_fn(|context| {
            let is_open = is_open(context);
            match pings.poll_pong(context) {
                Poll::Ready(pong) => Poll::Ready(pong.is_ok()),
                Poll::Pending if is_open => Poll::Pending,
                Poll::Pending => Poll::Ready(false),
            }
        });
        drive(&self.line, limit, answered) == Some(true)
    }

    /// As if it had been idle for so long.
    #[cfg(test)]
    pub(crate) fn age(&mut self, by: Duration) {
        self.used = self.used.checked_sub(by).unwrap_or(self.used);
    }
}

/// The first of the addresses that takes a connection. Each has its share of the time.
fn socket_to(place: &str, deadline: Instant) -> Result<OwnedFd, Trouble> {
    let left = || deadline.saturating_duration_since(Instant::now());
    let addresses = look_up(place, left()).map_err(|error| match error.kind() {
        ErrorKind::TimedOut => Trouble::TimedOut("name look-up"),
        _ => Trouble::NotKnown(error),
    })?;
    let mut last = Trouble::NotKnown(io::Error::other("it has no address"));
    for (address, others) in addresses.iter().zip((1..=addresses.len()).rev()) {
        let share = left() / u32::try_from(others).unwrap_or(u32::MAX);
        if share.is_zero() {
            return Err(Trouble::TimedOut("connection"));
        }
        match TcpStream::connect_timeout(address, share) {
            Ok(socket) => {
                // Else a small batch waits for the acknowledgement of the one before it.
                socket.set_nodelay(true).map_err(Trouble::Unreachable)?;
                return Ok(socket.into());
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => last = Trouble::TimedOut("connection"),
            Err(error) => last = Trouble::Unreachable(error),
        }
    }
    Err(last)
}

/// Never waits: a socket whose queue is full says so.
fn local_socket(path: &Path) -> io::Result<OwnedFd> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
    rustix::net::connect(&socket, &SocketAddrUnix::new(path)?)?;
    Ok(socket)
}

/// Asks an HTTP proxy for a way to `place`.
fn tunnel(line: &Line, proxy: &ProxyUrl, place: &str, deadline: Instant) -> Result<(), Trouble> {
    let credentials = proxy.credentials().map(|(user, password)| STANDARD.encode(format!("{user}:{password}")));
    let credentials = credentials.map(|basic| format!("Proxy-Authorization: Basic {basic}\r\n")).unwrap_or_default();
    let question = format!("CONNECT {place} HTTP/1.1\r\nHost: {place}\r\n{credentials}\r\n");
    let (mut asked, mut answer) = (0, Vec::new());
    let answered = poll_fn(|_| {
        while let Some(rest) = question.as_bytes().get(asked..).filter(|rest| !rest.is_empty()) {
            match (&*line).write(rest) {
                Ok(count) => asked += count,
                other => return pending_or(other),
            }
        }
        // A byte at a time: what follows the head is the server's.
        while !answer.ends_with(b"\r\n\r\n") && answer.len() < LONGEST_HEAD {
            let mut byte = [0];
            match (&*line).read(&mut byte) {
                Ok(1) => answer.extend(byte),
                other => return pending_or(other),
            }
        }
        Poll::Ready(Ok(()))
    });
    match drive(line, deadline, answered) {
        None => Err(Trouble::Proxy("no answer within the time".to_owned())),
        Some(Err(error)) => Err(Trouble::Proxy(error.to_string())),
        Some(Ok(())) => {
            let first = String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned();
            match first.split(' ').nth(1) {
                Some(status) if first.starts_with("HTTP/1.") && status.starts_with('2') => Ok(()),
                _ => Err(Trouble::Proxy(format!("it answered {first:?}"))),
            }
        }
    }
}

/// Of a read or a write that did not go on; at the end of the connection it is an error too.
fn pending_or(done: io::Result<usize>) -> Poll<io::Result<()>> {
    match done {
        Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
        Err(error) => Poll::Ready(Err(error)),
        Ok(_) => Poll::Ready(Err(ErrorKind::UnexpectedEof.into())),
    }
}

/// Of the servers' answers: a status, its message and its details.
const MOST_HEADERS: u32 = 64 * 1024;
/// The most of a message that waits in a connection; the rest stays where it is.
const SEND_BUFFER: usize = 64 * 1024;
/// Of a proxy's answer.
const LONGEST_HEAD: usize = 16 * 1024;
/// Beyond this a connection is tried before a batch is entrusted to it.
const LONG_IDLE: Duration = Duration::from_secs(5);
const LONGEST_PING: Duration = Duration::from_secs(5);
/// Beyond this it is not kept.
const LONGEST_IDLE: Duration = Duration::from_secs(300);
