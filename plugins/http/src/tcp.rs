//! `TcpConnector`: connections whose socket is looked at before each use, whether it is still ours.
//!
//! Otherwise as the library's own, which gives its socket to nobody. (RATIONALE: "What if the program closes a descriptor of ours?")

use std::io::{self, ErrorKind, Read, Write};
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
        let Self { socket, buffers, write_limit, .. } = self;
        let mut rest = buffers.output().get(..amount).unwrap_or_default();
        within(&timeout.for_write(), |still| {
            if rest.is_empty() {
                return Ok(Some(()));
            }
            let mut socket = own(socket)?;
            if still != *write_limit {
                socket.set_write_timeout(still)?;
                *write_limit = still;
            }
            match socket.write(rest)? {
                0 => Err(ErrorKind::WriteZero.into()),
                count => {
                    rest = rest.get(count..).unwrap_or_default();
                    Ok(rest.is_empty().then_some(()))
                }
            }
        })
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let Self { socket, buffers, read_limit, .. } = self;
        within(&timeout.for_read(), |still| {
            let mut socket = own(socket)?;
            if still != *read_limit {
                socket.set_read_timeout(still)?;
                *read_limit = still;
            }
            let count = socket.read(buffers.input_append_buf())?;
            buffers.input_appended(count);
            Ok(Some(count > 0))
        })
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
fn own(socket: &OwnDescriptor<TcpStream>) -> io::Result<&TcpStream> {
    socket.get().ok_or_else(|| ErrorKind::NotConnected.into())
}

/// Calls `step`, which may wait for as long as it is told, until it has an answer or the time is over. One call is not enough:
/// the system takes what there is room for, and says so when the whole limit has passed; the next call would begin with a limit
/// of its own. So it would after a signal.
fn within<T>(
    timeout: &NextTimeout,
    mut step: impl FnMut(Option<Duration>) -> io::Result<Option<T>>,
) -> Result<T, Error> {
    let (limit, begun) = (left(timeout)?, Instant::now());
    let mut still = limit;
    loop {
        match step(still) {
            Ok(Some(answer)) => return Ok(answer),
            Ok(None) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(timed_out_or(error, timeout.reason)),
        }
        still = limit.map(|limit| limit.saturating_sub(begun.elapsed()));
        if still == Some(Duration::ZERO) {
            return Err(Error::Timeout(timeout.reason));
        }
    }
}

fn left(timeout: &NextTimeout) -> Result<Option<Duration>, Error> {
    match timeout.not_zero() {
        _ if timeout.after.is_zero() => Err(Error::Timeout(timeout.reason)),
        left => Ok(left.map(|left| *left)),
    }
}

/// A limit of the socket that is over says `WouldBlock`.
fn timed_out_or(error: io::Error, reason: Timeout) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => Error::Timeout(reason),
        _ => Error::Io(error),
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn limit(limit: Duration) -> NextTimeout {
        NextTimeout { after: limit.into(), ..NextTimeout::default() }
    }

    #[test]
    fn what_is_taken_in_parts_has_one_limit_for_all_of_them() {
        let mut told = Vec::new();
        let sent = within(&limit(Duration::from_secs(3600)), |still| {
            told.push(still.unwrap());
            std::thread::sleep(Duration::from_millis(2));
            match told.len() {
                1 => Ok(None),
                2 => Err(ErrorKind::Interrupted.into()),
                _ => Ok(Some(())),
            }
        });
        assert!(sent.is_ok() && told.is_sorted_by(|one, next| one > next), "{told:?}");
    }

    #[test]
    fn a_part_that_has_taken_all_the_time_is_the_last() {
        let mut parts = 0;
        let sent = within::<()>(&limit(Duration::from_millis(20)), |still| {
            parts += 1;
            assert_eq!(parts, 1, "another wait has begun");
            std::thread::sleep(still.unwrap());
            Ok(None)
        });
        assert!(matches!(sent, Err(Error::Timeout(_))) && parts == 1, "{sent:?} after {parts}");
    }

    #[test]
    fn a_server_that_does_not_read_on_is_given_up_and_what_it_reads_is_what_was_sent() {
        let server = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(server.local_addr().unwrap()).unwrap();
        let (mut accepted, _) = server.accept().unwrap();
        let mut connected = Connected {
            socket: OwnDescriptor::new(socket).unwrap(),
            buffers: LazyBuffers::new(1024, 1 << 20),
            read_limit: None,
            write_limit: None,
        };
        for (byte, place) in connected.buffers.output().iter_mut().zip(0_u32..) {
            *byte = b'a' + u8::try_from(place % 26).unwrap();
        }
        let stuck = loop {
            match connected.transmit_output(1 << 20, limit(Duration::from_millis(50))) {
                Ok(()) => {}
                Err(error) => break error,
            }
        };
        assert!(matches!(stuck, Error::Timeout(_)), "{stuck:?}");
        drop(connected);
        let mut read = Vec::new();
        accepted.read_to_end(&mut read).unwrap();
        let round = |(byte, place): (&u8, usize)| *byte == b'a' + u8::try_from(place % (1 << 20) % 26).unwrap();
        assert!(read.iter().zip(0..).all(round));
    }
}
