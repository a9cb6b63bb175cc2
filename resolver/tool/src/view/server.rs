//! A port, and those who ask there.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::task::JoinHandle;

use super::address::Address;
use super::counts::Counts;
use super::routes::Routes;
use crate::failure::Failure;
use crate::output;

/// A port that is open: who connects waits until it is started.
pub(super) struct Server {
    listener: TcpListener,
    address: SocketAddr,
}

impl Server {
    /// `option` is what to change if the port cannot be had.
    pub(super) fn bind(address: Address, option: &str) -> Result<Self, Failure> {
        let failed = |error: io::Error| {
            let hint = match error.kind() {
                io::ErrorKind::AddrInUse => {
                    format!(": another program has it; {option} takes another, and port 0 any free one")
                }
                _ => String::new(),
            };
            Failure::of_ours(format!("cannot open {}: {error}{hint}", address.0))
        };
        let listener = TcpListener::bind(address.0).map_err(failed)?;
        listener.set_nonblocking(true).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        if !address.ip().is_loopback() {
            output::note(&format!("{address} can be reached from other machines, by anybody, without encryption"));
        }
        Ok(Self { listener, address })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers from now on, on a thread of its own, to the end of the process.
    pub(super) fn start(self, routes: Routes, counts: Arc<Counts>) -> Result<(), Failure> {
        let failed = |error: io::Error| Failure::of_ours(format!("cannot serve {}: {error}", self.address));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(self.listener).map_err(failed)?
        };
        let serve = move || runtime.block_on(serve(listener, routes, counts));
        thread::Builder::new().name("server".into()).spawn(serve).map(drop).map_err(failed)
    }
}

async fn serve(listener: tokio::net::TcpListener, routes: Routes, counts: Arc<Counts>) {
    let routes = Arc::new(routes);
    let mut open: VecDeque<JoinHandle<()>> = VecDeque::new();
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            // Of one connection, or of too many open files: others end meanwhile.
            Err(_) => {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            }
        };
        open.retain(|connection| !connection.is_finished());
        if open.len() >= MOST_CONNECTIONS {
            // Whoever reads nothing, or says nothing, makes room for those who do.
            if let Some(oldest) = open.pop_front() {
                oldest.abort();
            }
        }
        let (routes, counts) = (Arc::clone(&routes), Arc::clone(&counts));
        open.push_back(tokio::spawn(async move {
            let answer = service_fn(move |request| {
                let answering = routes(request);
                async move { Ok::<_, Infallible>(answering.await) }
            });
            let mut http = http1::Builder::new();
            http.timer(TokioTimer::new()).header_read_timeout(SLOWEST_HEAD).max_buf_size(LARGEST_HEAD);
            match http.serve_connection(TokioIo::new(stream), answer).await {
                // Nobody would tell: the exporter hears no answer that it understands.
                Err(error) if error.is_parse_version_h2() => counts.no_otlp("a connection", GRPC),
                // Any other that fails is the other side's to tell.
                _ => {}
            }
        }));
    }
}

const GRPC: &str = "it speaks HTTP/2, as OTLP/gRPC does: let the exporter speak OTLP/HTTP \
                    (OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf)";

/// A browser has six for a page, an exporter one.
const MOST_CONNECTIONS: usize = 128;

/// For the head of a request, and for the next request on a connection.
const SLOWEST_HEAD: Duration = Duration::from_secs(30);

const LARGEST_HEAD: usize = 32 << 10;
