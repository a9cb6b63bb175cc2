//! `TcpConnector`: connections whose socket is looked at before each use, whether it is still ours.
//!
//! Otherwise as the library's own, which gives its socket to nobody. (RATIONALE: "What if the program closes a descriptor of ours?")

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use tracer_plugin_kit::OwnDescriptor;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

/// Opens a socket where nothing before it in the chain has.
#[derive(Debug)]
pub(crate) struct TcpConnector;

impl<In: Transport> Connector<In> for TcpConnector {
    type Out = Either<In, Connected>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if chained.is_some() {
            return Ok(chained.map(Either::A));
        }
        let socket = socket_to(details)?;
        socket.set_nodelay(details.config.no_delay())?;
        let (input, output) = (details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(Either::B(Connected {
            socket: OwnDescriptor::new(socket)?,
            buffers: LazyBuffers::new(input, output),
            read_limit: None,
            write_limit: None,
        })))
    }
}

/// The first of the addresses that takes a connection. Each has its share of the time.
fn socket_to(details: &ConnectionDetails<'_>) -> Result<TcpStream, Error> {
    let deadline = details.timeout.not_zero().map(|left| Instant::now() + *left);
    let mut last = Error::Io(ErrorKind::ConnectionRefused.into());
    for (address, others) in details.addrs.iter().zip((1..=details.addrs.len()).rev()) {
        let tried = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
            Some(Duration::ZERO) => return Err(Error::Timeout(details.timeout.reason)),
            Some(left) => TcpStream::connect_timeout(address, left / u32::try_from(others).unwrap_or(u32::MAX)),
            None => TcpStream::connect(address),
        };
        match tried {
            Ok(socket) => return Ok(socket),
            Err(error) if error.kind() == ErrorKind::TimedOut && others == 1 => {
                last = Error::Timeout(details.timeout.reason);
            }
            Err(error) if error.kind() == ErrorKind::TimedOut => last = Error::Timeout(Timeout::Connect),
            Err(error) => last = Error::Io(error),
        }
    }
    Err(last)
}

/// A connection. Its limits are those that the socket has, so that it is told only of others.
#[derive(Debug)]
pub(crate) struct Connected {
    socket: OwnDescriptor<TcpStream>,
    buffers: LazyBuffers,
    read_limit: Option<Duration>,
    write_limit: Option<Duration>,
}

impl Transport for Connected {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let limit = left(&timeout)?;
        let mut socket = own(&self.socket)?;
        if limit != self.write_limit {
            socket.set_write_timeout(limit)?;
            self.write_limit = limit;
        }
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        socket.write_all(output).map_err(|error| timed_out_or(error, timeout.reason))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        let (limit, begun) = (left(&timeout)?, Instant::now());
        let mut still = limit;
        loop {
            let mut socket = own(&self.socket)?;
            if still != self.read_limit {
                socket.set_read_timeout(still)?;
                self.read_limit = still;
            }
            match socket.read(self.buffers.input_append_buf()) {
                Ok(count) => {
                    self.buffers.input_appended(count);
                    return Ok(count > 0);
                }
                // The system begins a wait with a limit not again after a signal.
                Err(error) if error.kind() == ErrorKind::Interrupted => {
                    still = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
                    if still == Some(Duration::ZERO) {
                        return Err(Error::Timeout(timeout.reason));
                    }
                }
                Err(error) => return Err(timed_out_or(error, timeout.reason)),
            }
        }
    }

    /// Asked between two requests: nothing is to be read then.
    fn is_open(&mut self) -> bool {
        let Some(mut socket) = self.socket.get() else { return false };
        if socket.set_nonblocking(true).is_err() {
            return false;
        }
        let read = socket.read(&mut [0]);
        socket.set_nonblocking(false).is_ok() && read.is_err_and(|error| error.kind() == ErrorKind::WouldBlock)
    }
}

/// The socket, if the program has not closed it.
fn own(socket: &OwnDescriptor<TcpStream>) -> Result<&TcpStream, Error> {
    socket.get().ok_or_else(|| Error::Io(ErrorKind::NotConnected.into()))
}

fn left(timeout: &NextTimeout) -> Result<Option<Duration>, Error> {
    match timeout.not_zero() {
        _ if timeout.after.is_zero() => Err(Error::Timeout(timeout.reason)),
        left => Ok(left.map(|left| *left)),
    }
}

/// A limit of the socket that is over says `WouldBlock`.
fn timed_out_or(error: std::io::Error, reason: Timeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(reason),
        _ => Error::Io(error),
    }
}
