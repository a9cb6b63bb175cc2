//! `Wire`: the bytes of one connection, with or without TLS, as `h2` wants to read and write them.

use std::io::{self, Error, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustls::ClientConnection;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tracer_plugin_kit::OwnDescriptor;

/// A socket that never blocks. Shared by the wire, which uses it, and whoever waits for it: one thread at a time.
pub(crate) struct Line {
    socket: OwnDescriptor<OwnedFd>,
    wants_to_read: AtomicBool,
    wants_to_write: AtomicBool,
    told: Mutex<Told>,
}

/// What is of use in a message, if nothing comes of the connection.
#[derive(Clone, Default)]
pub(crate) struct Told {
    /// The first bytes that the server said, decrypted, up to [`FIRST_WORDS`].
    pub(crate) heard: Vec<u8>,
    /// What TLS ended with: `h2` hands on the kind of an error alone.
    pub(crate) untrusted: Option<rustls::Error>,
}

impl Line {
    pub(crate) fn new(socket: OwnedFd) -> io::Result<Self> {
        rustix::io::ioctl_fionbio(&socket, true)?;
        Ok(Line {
            socket: OwnDescriptor::new(socket)?,
            wants_to_read: AtomicBool::new(false),
            wants_to_write: AtomicBool::new(false),
            told: Mutex::default(),
        })
    }

    /// # Errors
    ///
    /// The program has closed it.
    pub(crate) fn socket(&self) -> io::Result<BorrowedFd<'_>> {
        self.socket.get().map(AsFd::as_fd).ok_or_else(|| ErrorKind::NotConnected.into())
    }

    /// Relaxed, as all three flags: one thread at a time has the connection.
    pub(crate) fn wants_nothing(&self) {
        self.wants_to_read.store(false, Ordering::Relaxed);
        self.wants_to_write.store(false, Ordering::Relaxed);
    }

    pub(crate) fn wants_to_read(&self) -> bool {
        self.wants_to_read.load(Ordering::Relaxed)
    }

    pub(crate) fn wants_to_write(&self) -> bool {
        self.wants_to_write.load(Ordering::Relaxed)
    }

    pub(crate) fn told(&self) -> Box<Told> {
        Box::new(self.told.lock().unwrap_or_else(PoisonError::into_inner).clone())
    }

    fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.told.lock().unwrap_or_else(PoisonError::into_inner));
    }
}

impl Read for &Line {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match recv(self.socket()?, &mut *into, RecvFlags::empty()).map(|(read, _)| read).map_err(Error::from) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wants_to_read.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}

impl Write for &Line {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            // A server that is gone is an error and no signal.
            match send(self.socket()?, bytes, SendFlags::NOSIGNAL).map_err(Error::from) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.wants_to_write.store(true, Ordering::Relaxed);
                    return Err(error);
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// See the head of the file. A server that hangs up in the middle of a request has the last word: what cannot be written
/// any more is passed over, until it has been heard out.
pub(crate) struct Wire {
    line: Arc<Line>,
    tls: Option<Box<ClientConnection>>,
    /// Why nothing is written any more.
    hung_up: Option<Error>,
    /// What the server said first is known.
    is_heard: bool,
}

impl Wire {
    pub(crate) fn new(line: Arc<Line>, tls: Option<ClientConnection>) -> Self {
        Wire { line, tls: tls.map(Box::new), hung_up: None, is_heard: false }
    }

    fn hear(&mut self, read: &[u8]) {
        if self.is_heard {
            return;
        }
        self.is_heard = read.len() >= FIRST_WORDS;
        self.line.tell(|told| {
            let room = FIRST_WORDS.saturating_sub(told.heard.len());
            told.heard.extend_from_slice(read.get(..room).unwrap_or(read));
        });
    }

    /// Goes on with the handshake of TLS, if there is one.
    pub(crate) fn poll_handshake(&mut self) -> Poll<io::Result<()>> {
        loop {
            self.write_encrypted()?;
            match self.tls.as_ref() {
                Some(tls) if tls.is_handshaking() => match self.read_encrypted() {
                    Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                    Err(error) => return Poll::Ready(Err(error)),
                    Ok(0) => return Poll::Ready(Err(self.hung_up.take().unwrap_or(ErrorKind::UnexpectedEof.into()))),
                    Ok(_) => {}
                },
                _ => return Poll::Ready(Ok(())),
            }
        }
    }

    /// What TLS has ready goes out, as far as the socket takes it; whether all of it did.
    fn write_encrypted(&mut self) -> io::Result<bool> {
        let Some(tls) = self.tls.as_mut() else { return Ok(true) };
        while tls.wants_write() {
            if self.hung_up.is_some() {
                tls.write_tls(&mut io::sink())?;
                continue;
            }
            match tls.write_tls(&mut &*self.line) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) if is_hanging_up(&error) => self.hung_up = Some(error),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// What came is decrypted; 0 at the end of the connection.
    fn read_encrypted(&mut self) -> io::Result<usize> {
        let Some(tls) = self.tls.as_mut() else { return Ok(0) };
        let count = tls.read_tls(&mut &*self.line)?;
        if let Err(error) = tls.process_new_packets() {
            // Says why, as well as it can.
            let _ = self.write_encrypted();
            self.line.tell(|told| told.untrusted = Some(error.clone()));
            return Err(Error::new(ErrorKind::InvalidData, error));
        }
        self.write_encrypted()?;
        Ok(count)
    }

    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let Some(tls) = self.tls.as_mut() else { return (&*self.line).read(into) };
            match tls.reader().read(into) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    // At its end the next round says so.
                    self.read_encrypted()?;
                }
                // Without a farewell of TLS. What is missing of an answer HTTP/2 knows.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(0),
                read => return read,
            }
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.hung_up.is_some() {
            return Ok(bytes.len());
        }
        let is_room = self.write_encrypted()?;
        let Some(tls) = self.tls.as_mut() else { return (&*self.line).write(bytes) };
        if !is_room {
            return Err(ErrorKind::WouldBlock.into());
        }
        let count = tls.writer().write(bytes)?;
        self.write_encrypted()?;
        Ok(count)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = into.filled().len();
        match this.read(into.initialize_unfilled()) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            Ok(0) => Poll::Ready(this.hung_up.take().map_or(Ok(()), Err)),
            Ok(count) => {
                into.advance(count);
                this.hear(into.filled().get(before..).unwrap_or_default());
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(this.hung_up.take().unwrap_or(error))),
        }
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match this.write(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            Err(error) if is_hanging_up(&error) => {
                this.hung_up = Some(error);
                Poll::Ready(Ok(bytes.len()))
            }
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut().write_encrypted() {
            Ok(true) => Poll::Ready(Ok(())),
            Ok(false) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The socket closes when it is dropped.
        Poll::Ready(Ok(()))
    }
}

fn is_hanging_up(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::ConnectionAborted)
}

/// Enough to tell who speaks.
const FIRST_WORDS: usize = 64;

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;
    use std::task::Waker;

    use super::*;

    #[test]
    fn a_server_that_hangs_up_in_the_middle_of_a_request_is_heard_out() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let line = Arc::new(Line::new(ours.into()).unwrap());
        let mut wire = Wire::new(Arc::clone(&line), None);
        theirs.write_all(b"HTTP/1.1 413").unwrap();
        drop(theirs);
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            let written = Pin::new(&mut wire).poll_write(&mut context, b"request");
            assert!(matches!(written, Poll::Ready(Ok(7))), "{written:?}");
        }
        let mut room = [0; 64];
        let mut into = ReadBuf::new(&mut room);
        let read = Pin::new(&mut wire).poll_read(&mut context, &mut into);
        assert!(matches!(read, Poll::Ready(Ok(()))) && into.filled() == b"HTTP/1.1 413", "{read:?}");
        assert_eq!(line.told().heard, b"HTTP/1.1 413");
        // Then it is said why nothing could be written.
        let Poll::Ready(Err(error)) = Pin::new(&mut wire).poll_read(&mut context, &mut into) else { panic!("no end") };
        assert_eq!(error.kind(), ErrorKind::BrokenPipe);
    }
}
