//! A backend of the tests: one way to start it, to wait for its spans and to make it misbehave, whatever it speaks.

use std::io;
use std::time::Duration;

use super::{HttpServer, ReceivedSpan, Reply, Request, Shelf};

/// What a backend speaks.
pub trait Protocol: Sized {
    /// What of its address a plugin wants behind `http://host:port`.
    const PATH: &'static str;

    /// Begins what there is beside the HTTP server.
    ///
    /// # Errors
    ///
    /// That of binding.
    fn start(shelf: &Shelf) -> io::Result<Self>;

    /// The answer to a request; the spans in it go to the shelf.
    fn answer(request: &Request, shelf: &Shelf) -> Reply;

    /// Ends what `start` began.
    fn stop(&mut self) {}
}

/// Listens on a free port of 127.0.0.1 until it is stopped or dropped.
pub struct Receiver<P: Protocol> {
    server: HttpServer,
    shelf: Shelf,
    pub(super) protocol: P,
}

impl<P: Protocol> Receiver<P> {
    /// Starts on a free port.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start() -> io::Result<Self> {
        Self::start_on(0)
    }

    /// Starts on `port`: to come back where another one was stopped.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_on(port: u16) -> io::Result<Self> {
        let shelf = Shelf::default();
        let spans = shelf.clone();
        let answer = move |request: &Request| P::answer(request, &spans);
        let server = HttpServer::start_with(port, |stream| Ok(Box::new(stream)), answer)?;
        let protocol = P::start(&shelf)?;
        Ok(Self { server, shelf, protocol })
    }

    /// What a plugin's `endpoint` is to say.
    pub fn endpoint(&self) -> String {
        self.server.url() + P::PATH
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<ReceivedSpan> {
        self.shelf.spans()
    }

    /// All spans so far, which are then forgotten here.
    pub fn take_spans(&self) -> Vec<ReceivedSpan> {
        self.shelf.take()
    }

    /// Waits for `count` spans in all, at most `limit`; then returns what there is.
    pub fn wait_for(&self, count: usize, limit: Duration) -> Vec<ReceivedSpan> {
        self.shelf.wait_for(count, limit)
    }

    /// What in the batches so far broke the rules of the protocol, though a lenient backend takes it.
    pub fn faults(&self) -> Vec<String> {
        self.shelf.faults()
    }

    /// Answers every request from now on with this status; 200 ends it.
    pub fn fail_with(&self, status: u16) {
        self.server.fail_with((status != 200).then(|| Reply::status(status)));
    }

    /// Waits that long before each answer from now on.
    pub fn respond_after(&self, delay: Duration) {
        self.server.respond_after(delay);
    }

    /// Closes its ports and every connection at once.
    pub fn stop(&mut self) {
        self.server.stop();
        self.protocol.stop();
    }

    /// The HTTP server below: what was asked, and more ways to misbehave.
    pub fn server(&self) -> &HttpServer {
        &self.server
    }
}
