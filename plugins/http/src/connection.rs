//! How a connection is made, and what goes wrong with it in more words than the library has for it.
//!
//! ```text
//!   ThroughProxy ──▶ TcpConnector ──▶ HearsOut ──────▶ Handshake ────▶ ToServer
//!   its errors are   opens a socket   a server that    its errors are  counts, and looks whether
//!   the proxy's      if there is no   hangs up has     told apart      the answer is HTTP at all
//!                    proxy            the last word
//! ```

use std::cell::Cell;
use std::fmt;
use std::io::ErrorKind;
use std::sync::Arc;

use tracer_plugin_kit::Counters;
use ureq::unversioned::transport::{
    Buffers, ConnectProxyConnector, ConnectionDetails, Connector, Either, NextTimeout, RustlsConnector, Transport,
};

use crate::tcp::TcpConnector;

/// What the library below is told as an error of somebody else's, and gives back as it is.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// It is the proxy that fails, not the server behind it.
    Proxy(ureq::Error),
    /// The connection ended before TLS was agreed upon.
    Handshake(std::io::Error),
    /// What answers does not speak HTTP/1: the first bytes it said.
    NotHttp(Vec<u8>),
}

// Whether the request that this thread makes has led to a new connection: they are made on the thread that needs them.
thread_local!(pub(crate) static NEW_CONNECTION: Cell<bool> = const { Cell::new(false) });

/// The way to the server, whose connections are counted; by a proxy if the configuration of the agent has one.
pub(crate) fn connector(has_proxy: bool, counters: Arc<Counters>) -> impl Connector {
    ().chain(ThroughProxy(ConnectProxyConnector::default()))
        .chain(TcpConnector)
        .chain(HearsOut)
        .chain(Handshake(RustlsConnector::default()))
        .chain(ToServer { has_proxy, counters })
}

/// Marks what fails on the way to a proxy, or in front of it, as the proxy's.
#[derive(Debug)]
struct ThroughProxy(ConnectProxyConnector);

impl<In: Transport> Connector<In> for ThroughProxy {
    type Out = Either<In, Box<dyn Transport>>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(|error| Trouble::Proxy(error).into())
    }
}

/// See [`HeardOut`].
#[derive(Debug)]
struct HearsOut;

impl<In: Transport> Connector<In> for HearsOut {
    type Out = HeardOut<In>;

    fn connect(&self, _details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        Ok(chained.map(|inner| HeardOut { inner, hung_up: None, is_over: false }))
    }
}

/// A connection on which a server that hangs up in the middle of the request has the last word: it has said before why
/// it does (the request is too large, a certificate is missing), and that is still there to be read. Below TLS, whose
/// alerts are such words.
#[derive(Debug)]
struct HeardOut<T> {
    inner: T,
    /// Why the request could not be sent to its end, until it is known whether there was a word.
    hung_up: Option<ureq::Error>,
    is_over: bool,
}

impl<T: Transport> Transport for HeardOut<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        if self.is_over {
            return Ok(());
        }
        self.inner.transmit_output(amount, timeout).or_else(|error| {
            if !is_hanging_up(&error) {
                return Err(error);
            }
            (self.hung_up, self.is_over) = (Some(error), true);
            Ok(())
        })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let heard = self.inner.await_input(timeout);
        if matches!(heard, Ok(true)) {
            return heard;
        }
        self.hung_up.take().map_or(heard, Err)
    }

    fn is_open(&mut self) -> bool {
        !self.is_over && self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

fn is_hanging_up(error: &ureq::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
    matches!(error, ureq::Error::Io(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted))
}

/// Tells a connection that ends in the handshake from one that ends later.
#[derive(Debug)]
struct Handshake(RustlsConnector);

impl<In: Transport> Connector<In> for Handshake {
    type Out = <RustlsConnector as Connector<In>>::Out;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        self.0.connect(details, chained).map_err(|error| match error {
            ureq::Error::Io(error) if error.get_ref().is_none_or(|inner| !inner.is::<rustls::Error>()) => {
                Trouble::Handshake(error).into()
            }
            error => error,
        })
    }
}

/// Counts the connections to the server, and listens to them.
#[derive(Debug)]
struct ToServer {
    has_proxy: bool,
    counters: Arc<Counters>,
}

impl<In: Transport> Connector<In> for ToServer {
    type Out = Either<In, Attentive<In>>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, ureq::Error> {
        // The connection to the proxy itself is made by this very chain, from within, without a proxy. What is said on
        // it is the tunnel's.
        if self.has_proxy && details.config.proxy().is_none() {
            return Ok(chained.map(Either::A));
        }
        if chained.is_some() {
            self.counters.connected();
            NEW_CONNECTION.set(true);
        }
        Ok(chained.map(|inner| Either::B(Attentive { inner, awaits_answer: false })))
    }
}

/// A connection whose answers are looked at before they are read.
#[derive(Debug)]
struct Attentive<T> {
    inner: T,
    /// The next bytes are the first of an answer.
    awaits_answer: bool,
}

impl<T: Transport> Transport for Attentive<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.inner.buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), ureq::Error> {
        self.awaits_answer = true;
        self.inner.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, ureq::Error> {
        let progressed = self.inner.await_input(timeout)?;
        if self.awaits_answer {
            let said = self.inner.buffers().input();
            match is_http(said) {
                Some(true) => self.awaits_answer = false,
                Some(false) => return Err(Trouble::NotHttp(beginning(said)).into()),
                None => {}
            }
        }
        Ok(progressed)
    }

    fn is_open(&mut self) -> bool {
        self.inner.is_open()
    }

    fn is_tls(&self) -> bool {
        self.inner.is_tls()
    }
}

/// Whether these are the first bytes of an HTTP/1 answer; `None` if they are too few to tell.
fn is_http(said: &[u8]) -> Option<bool> {
    let said = said.trim_ascii_start();
    let (said, version) = (said.get(..VERSION.len()).unwrap_or(said), VERSION.get(..said.len()).unwrap_or(VERSION));
    match said == version {
        true if said.len() < VERSION.len() => None,
        equal => Some(equal),
    }
}

fn beginning(said: &[u8]) -> Vec<u8> {
    said.get(..64).unwrap_or(said).to_vec()
}

impl From<Trouble> for ureq::Error {
    fn from(trouble: Trouble) -> Self {
        ureq::Error::Other(Box::new(trouble))
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Proxy(error) => write!(formatter, "the proxy: {error}"),
            Trouble::Handshake(error) => write!(formatter, "the handshake: {error}"),
            Trouble::NotHttp(_) => formatter.write_str("no answer in HTTP"),
        }
    }
}

impl std::error::Error for Trouble {}

const VERSION: &[u8] = b"HTTP/1.";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_bytes_tell_whether_it_is_http() {
        for (said, expected) in [
            (&b""[..], None),
            (b"HTT", None),
            (b"\r\nHTTP/1.1 200", Some(true)),
            (b"HTTP/1.0 400", Some(true)),
            (b"HTTP/2", Some(false)),
            (b"HTX", Some(false)),
            (b"\0\0\x12\x04\0\0\0\0\0", Some(false)),
            (b"\x15\x03\x01", Some(false)),
            (b"SSH-2.0-OpenSSH", Some(false)),
        ] {
            assert_eq!(is_http(said), expected, "{said:?}");
        }
    }
}
