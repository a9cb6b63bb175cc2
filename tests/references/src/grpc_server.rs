//! A gRPC server as small as it can be, on the server of `h2`: one kind of call, answered as the test says.

use std::future::{Future, poll_fn};
use std::io::{self, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;
use h2::server::{Builder, SendResponse};
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;

/// One call that came.
#[derive(Clone, Debug)]
pub struct Call {
    /// Of the method, `/opentelemetry.proto.…/Export`.
    pub path: String,
    /// `:authority`.
    pub authority: String,
    /// As they came.
    pub headers: HeaderMap,
    /// Out of its frame, decompressed.
    pub message: Vec<u8>,
    /// The connection that it came on: 1 is the first one.
    pub connection: usize,
}

/// What becomes of a call.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// A message, its head, and the trailers.
    Answered(GrpcReply),
    /// HTTP without gRPC.
    Http(u16, &'static str, &'static str),
    /// RST_STREAM.
    Reset(Reason),
    /// GOAWAY that says that the call was not handled, and the end of the connection.
    GoesAway(Reason),
    /// The call is answered, and the connection then ends with a GOAWAY.
    LastOne,
    /// The connection is dropped.
    HangsUp,
    /// Nothing ever comes.
    Silence,
    /// The answer ends without trailers.
    NoStatus,
}

/// An answer of gRPC.
#[derive(Clone, Debug, Default)]
pub struct GrpcReply {
    /// `None`: the status stands in the head, as an error's may.
    pub message: Option<Vec<u8>>,
    /// Compress the message.
    pub gzip: bool,
    /// `grpc-status`.
    pub code: u8,
    /// `grpc-message`, encoded already.
    pub text: &'static str,
    /// `grpc-status-details-bin`.
    pub details: Option<String>,
}

impl Outcome {
    /// A full success.
    pub fn ok() -> Self {
        Outcome::Answered(GrpcReply { message: Some(Vec::new()), ..GrpcReply::default() })
    }

    /// A refusal.
    pub fn refused(code: u8, text: &'static str) -> Self {
        Outcome::Answered(GrpcReply { code, text, ..GrpcReply::default() })
    }
}

/// What a connection is, encrypted or not.
pub trait Duplex: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Duplex for T {}

/// A connection while it becomes what is spoken on.
pub type Accepting = Pin<Box<dyn Future<Output = io::Result<Box<dyn Duplex>>> + Send>>;

type Acceptor = dyn Fn(TcpStream) -> Accepting + Send + Sync;
type Handler = dyn Fn(&Call) -> Outcome + Send + Sync;

/// Listens on a free port of 127.0.0.1 until it is dropped.
pub struct GrpcServer {
    address: SocketAddr,
    state: Arc<State>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

struct State {
    handler: Box<Handler>,
    acceptor: Box<Acceptor>,
    mood: Mutex<Mood>,
}

#[derive(Default)]
struct Mood {
    calls: Vec<Call>,
    connections: usize,
    delay: Duration,
    window: Option<u32>,
}

impl GrpcServer {
    /// Answers each call with what `handler` says.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start(handler: impl Fn(&Call) -> Outcome + Send + Sync + 'static) -> io::Result<Self> {
        let plain = |socket| -> Accepting { Box::pin(async move { Ok(Box::new(socket) as Box<dyn Duplex>) }) };
        Self::start_with(Box::new(plain), handler)
    }

    /// The same over what `acceptor` makes of a connection: TLS, for instance.
    ///
    /// # Errors
    ///
    /// That of binding.
    pub fn start_with(
        acceptor: Box<Acceptor>,
        handler: impl Fn(&Call) -> Outcome + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let state = Arc::new(State { handler: Box::new(handler), acceptor, mood: Mutex::default() });
        let (stop, stopped) = watch::channel(false);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || runtime.block_on(accept(listener, shared, stopped)));
        Ok(GrpcServer { address, state, stop, thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// As a backend wants it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// All that came so far.
    pub fn calls(&self) -> Vec<Call> {
        self.mood().calls.clone()
    }

    /// Connections so far.
    pub fn connections(&self) -> usize {
        self.mood().connections
    }

    /// Every answer from now on takes so long.
    pub fn delay(&self, delay: Duration) {
        self.mood().delay = delay;
    }

    /// Connections from now on are granted windows of so many bytes, and each call the same.
    pub fn window(&self, bytes: u32) {
        self.mood().window = Some(bytes);
    }

    /// The names of the spans that came.
    pub fn span_names(&self) -> Vec<String> {
        let batches =
            self.calls().into_iter().filter_map(|call| ExportTraceServiceRequest::decode(&*call.message).ok());
        let scopes = batches.flat_map(|batch| batch.resource_spans).flat_map(|resource| resource.scope_spans);
        scopes.flat_map(|scope| scope.spans).map(|span| span.name).collect()
    }

    /// Ends it with all its connections, whatever is under way.
    pub fn stop(&mut self) {
        // Nobody listens any more: it has ended.
        let _ = self.stop.send(true);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }

    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.state.mood()
    }
}

impl State {
    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.stop();
    }
}

async fn accept(listener: std::net::TcpListener, state: Arc<State>, mut stopped: watch::Receiver<bool>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    loop {
        match first(stopped.changed(), listener.accept()).await {
            First::Other(Ok((socket, _))) => drop(tokio::spawn(serve(socket, Arc::clone(&state)))),
            First::One(_) | First::Other(Err(_)) => return,
        }
    }
}

enum First<A, B> {
    One(A),
    Other(B),
}

/// Whichever ends first; the other one is given up.
async fn first<A, B>(one: impl Future<Output = A>, other: impl Future<Output = B>) -> First<A, B> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(one) => Poll::Ready(First::One(one)),
        Poll::Pending => other.as_mut().poll(context).map(First::Other),
    })
    .await
}

/// What a call decided about its connection.
#[derive(Clone, Copy)]
enum End {
    Abrupt(Option<Reason>),
    Graceful,
}

async fn serve(socket: TcpStream, state: Arc<State>) -> Option<()> {
    let number = {
        let mut mood = state.mood();
        mood.connections += 1;
        mood.connections
    };
    let socket = (state.acceptor)(socket).await.ok()?;
    let mut builder = Builder::new();
    if let Some(window) = state.mood().window {
        builder.initial_window_size(window).initial_connection_window_size(window.max(65_535));
    }
    let mut connection: h2::server::Connection<_, Bytes> = builder.handshake(socket).await.ok()?;
    let (end, mut ends) = tokio::sync::mpsc::unbounded_channel();
    loop {
        match first(ends.recv(), connection.accept()).await {
            First::One(Some(End::Abrupt(Some(reason)))) => connection.abrupt_shutdown(reason),
            First::One(Some(End::Graceful)) => connection.graceful_shutdown(),
            First::One(_) => return None,
            First::Other(call) => {
                let (request, respond) = call?.ok()?;
                tokio::spawn(answer(request, respond, Arc::clone(&state), number, end.clone()));
            }
        }
    }
}

async fn answer(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    state: Arc<State>,
    connection: usize,
    end: tokio::sync::mpsc::UnboundedSender<End>,
) -> Option<()> {
    let (head, mut body) = request.into_parts();
    let mut received = Vec::new();
    while let Some(piece) = body.data().await {
        let piece = piece.ok()?;
        body.flow_control().release_capacity(piece.len()).ok()?;
        received.extend_from_slice(&piece);
    }
    let call = Call {
        path: head.uri.path().to_owned(),
        authority: head.uri.authority().map(ToString::to_string).unwrap_or_default(),
        message: unframed(&received, head.headers.get("grpc-encoding"))?,
        headers: head.headers,
        connection,
    };
    let outcome = (state.handler)(&call);
    let delay = {
        let mut mood = state.mood();
        mood.calls.push(call);
        mood.delay
    };
    tokio::time::sleep(delay).await;
    match outcome {
        Outcome::Answered(reply) => reply.send(&mut respond)?,
        Outcome::LastOne => {
            GrpcReply { message: Some(Vec::new()), ..GrpcReply::default() }.send(&mut respond)?;
            end.send(End::Graceful).ok()?;
        }
        Outcome::Http(status, kind, text) => {
            let head = Response::builder().status(status).header("content-type", kind).body(()).ok()?;
            respond.send_response(head, false).ok()?.send_data(Bytes::from_static(text.as_bytes()), true).ok()?;
        }
        Outcome::NoStatus => {
            respond.send_response(grpc_head().body(()).ok()?, false).ok()?.send_data(Bytes::new(), true).ok()?;
        }
        Outcome::Reset(reason) => respond.send_reset(reason),
        Outcome::GoesAway(reason) => end.send(End::Abrupt(Some(reason))).ok()?,
        Outcome::HangsUp => end.send(End::Abrupt(None)).ok()?,
        // For as long as the connection lives: dropping it would reset the call.
        Outcome::Silence => std::future::pending().await,
    }
    Some(())
}

impl GrpcReply {
    fn send(self, respond: &mut SendResponse<Bytes>) -> Option<()> {
        let mut status = HeaderMap::new();
        status.insert("grpc-status", HeaderValue::from(u16::from(self.code)));
        if !self.text.is_empty() {
            status.insert("grpc-message", HeaderValue::from_static(self.text));
        }
        if let Some(details) = self.details {
            status.insert("grpc-status-details-bin", details.parse().ok()?);
        }
        let mut head = grpc_head();
        let Some(message) = self.message else {
            head.headers_mut()?.extend(status);
            return respond.send_response(head.body(()).ok()?, true).ok().map(drop);
        };
        if self.gzip {
            head = head.header("grpc-encoding", "gzip");
        }
        let mut body = respond.send_response(head.body(()).ok()?, false).ok()?;
        body.send_data(framed(&message, self.gzip)?, false).ok()?;
        body.send_trailers(status).ok()
    }
}

fn grpc_head() -> http::response::Builder {
    Response::builder().header("content-type", "application/grpc")
}

fn framed(message: &[u8], gzip: bool) -> Option<Bytes> {
    let mut payload = message.to_vec();
    if gzip {
        payload.clear();
        flate2::read::GzEncoder::new(message, flate2::Compression::fast()).read_to_end(&mut payload).ok()?;
    }
    let length = u32::try_from(payload.len()).ok()?.to_be_bytes();
    Some([&[u8::from(gzip)][..], &length, &payload].concat().into())
}

/// One message, and nothing behind it.
fn unframed(received: &[u8], encoding: Option<&HeaderValue>) -> Option<Vec<u8>> {
    let (prefix, payload) = received.split_first_chunk::<5>()?;
    let [flag, length @ ..] = *prefix;
    (payload.len() == usize::try_from(u32::from_be_bytes(length)).ok()?).then_some(())?;
    match (flag, encoding.and_then(|encoding| encoding.to_str().ok())) {
        (0, None) => Some(payload.to_vec()),
        (1, Some("gzip")) => {
            let mut message = Vec::new();
            flate2::read::GzDecoder::new(payload).read_to_end(&mut message).ok()?;
            Some(message)
        }
        _ => None,
    }
}
