//! `GrpcClient`: calls to one service of a collector, over connections that are kept.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use http::{HeaderMap, Request, header};
use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tracer_plugin_api::BackendError;
use tracer_plugin_http::{Answer, Carrier, Failure, Largest, client_config};
use tracer_plugin_kit::Counters;

use crate::address::Address;
use crate::connection::{Connection, Trouble, Way};
use crate::failure::{judge, unreachable};
use crate::message::Message;
use crate::service::Service;
use crate::settings::Settings;

/// Used by many threads at once: each call has a connection for itself, a kept one if there is one.
pub(crate) struct GrpcClient {
    settings: Settings,
    /// Which of the settings' addresses it is.
    address: Address,
    tls: Option<Arc<ClientConfig>>,
    service: Service,
    idle: Arc<Mutex<Vec<Connection>>>,
    /// How many are kept.
    most_idle: usize,
    largest: Largest,
    counters: Arc<Counters>,
}

impl GrpcClient {
    /// For traces. Reads the TLS files; connects nowhere yet.
    pub(crate) fn new(
        settings: &Settings,
        max_concurrency: u32,
        counters: Arc<Counters>,
    ) -> Result<Self, BackendError> {
        let mut addresses = std::iter::once((&settings.endpoint, "/endpoint"))
            .chain(settings.metrics.iter().map(|metrics| (metrics, "/metrics_endpoint")))
            .filter(|(address, _)| address.is_encrypted())
            .peekable();
        let tls = match addresses.peek() {
            Some(_) => Some(Arc::new(client_config(settings.tls.as_ref(), b"h2")?)),
            None => None,
        };
        for (address, field) in addresses {
            let host = address.host();
            ServerName::try_from(host)
                .map_err(|_| BackendError::config(field, format!("no certificate can be for a host named {host:?}")))?;
        }
        Ok(GrpcClient {
            settings: settings.clone(),
            address: settings.endpoint.clone(),
            tls,
            service: Service::Traces,
            idle: Arc::default(),
            most_idle: usize::try_from(max_concurrency).unwrap_or(usize::MAX).max(1),
            largest: Largest::default(),
            counters,
        })
    }

    /// The same for another service; at the same address it has the same connections.
    pub(crate) fn to(&self, address: Option<&Address>, service: Service) -> Self {
        let address = address.unwrap_or(&self.address);
        GrpcClient {
            settings: self.settings.clone(),
            address: address.clone(),
            tls: self.tls.clone(),
            service,
            idle: if *address == self.address { Arc::clone(&self.idle) } else { Arc::default() },
            most_idle: self.most_idle,
            largest: Largest::default(),
            counters: Arc::clone(&self.counters),
        }
    }

    /// A connection that was kept and lives.
    fn kept(&self, deadline: Instant) -> Option<Connection> {
        loop {
            // The lock is not held while the server is asked.
            let mut connection = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop()?;
            if connection.is_alive(deadline) {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < self.most_idle {
            idle.push(connection);
        }
    }

    fn connect(&self, deadline: Instant) -> Result<Connection, Trouble> {
        let tls = match &self.tls {
            Some(config) if self.address.is_encrypted() => {
                // Cannot fail: `new` has made one.
                let name = ServerName::try_from(self.address.host().to_owned());
                Some((config, name.map_err(|error| Trouble::Unreachable(std::io::Error::other(error)))?))
            }
            _ => None,
        };
        let way = Way { address: &self.address, proxy: self.settings.proxy.as_ref(), tls };
        let connection = Connection::open(way, deadline)?;
        self.counters.connected();
        Ok(connection)
    }

    fn request(&self, message: &Message<'_>, left: Duration) -> Result<Request<()>, BackendError> {
        let scheme = if self.address.is_encrypted() { "https" } else { "http" };
        let target = format!("{scheme}://{}{}", self.address.authority(), self.service.path());
        let mut request = Request::post(target)
            .header(header::TE, "trailers")
            .header(header::CONTENT_TYPE, "application/grpc")
            .header("grpc-timeout", format!("{}m", left.as_millis().clamp(1, 99_999_999)))
            .header("grpc-accept-encoding", "gzip")
            .header(header::USER_AGENT, USER_AGENT);
        if message.is_compressed() {
            request = request.header("grpc-encoding", "gzip");
        }
        let headers = request.headers_mut().map(std::mem::take).unwrap_or_default();
        let request = request.body(()).map_err(|error| BackendError::internal(error.to_string()))?;
        let (mut head, body) = request.into_parts();
        head.headers = self.with_own(headers);
        Ok(Request::from_parts(head, body))
    }

    /// With the user's, which win.
    fn with_own(&self, mut headers: HeaderMap) -> HeaderMap {
        for (name, value) in self.settings.headers.iter() {
            if let Ok(name) = name.parse::<header::HeaderName>() {
                headers.insert(name, value.clone());
            }
        }
        headers
    }
}

impl Carrier for GrpcClient {
    fn carry(&self, body: &[u8], limit: Duration) -> Result<Answer, Failure> {
        let limit = limit.min(self.timeout());
        let deadline = Instant::now() + limit;
        let message = Message::new(body, self.settings.compression).map_err(Failure::Other)?;
        loop {
            let kept = self.kept(deadline);
            let is_kept = kept.is_some();
            let unreachable = |trouble| Failure::Other(unreachable(&self.settings, &self.address, &trouble, limit));
            let mut connection = kept.map_or_else(|| self.connect(deadline), Ok).map_err(unreachable)?;
            let left = deadline.saturating_duration_since(Instant::now());
            let request = self.request(&message, left).map_err(Failure::Other)?;
            match connection.call(request, &message, deadline) {
                Ok(reply) => {
                    self.counters.bytes_sent(message.len());
                    self.keep(connection);
                    return judge(&self.settings, &self.address, self.service, &reply);
                }
                // Every round takes a kept connection away, so there is an end.
                Err(Trouble::Lost(..)) if is_kept && Instant::now() < deadline => {}
                Err(trouble) => {
                    if matches!(trouble, Trouble::Reset(_)) {
                        self.keep(connection);
                    }
                    return Err(unreachable(trouble));
                }
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.settings.timeout.duration()
    }

    fn largest(&self) -> &Largest {
        &self.largest
    }

    fn who(&self) -> String {
        self.address.to_string()
    }

    fn strike_out(&self, said: String) -> String {
        self.settings.headers.strike_out(said)
    }
}

const USER_AGENT: &str = concat!("tracer-resolver-otlp_grpc/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;

    /// Answers calls with a full success, and PINGs while it `pongs`; byte by byte, for what no server of a library does.
    fn serve(mut socket: TcpStream, pongs: &AtomicBool) -> Option<()> {
        let frame = |kind: u8, flags: u8, stream: [u8; 4], payload: &[u8]| {
            [&[0, 0, payload.len() as u8, kind, flags][..], &stream, payload].concat()
        };
        socket.read_exact(&mut [0; 24]).ok()?;
        socket.write_all(&frame(4, 0, [0; 4], b"")).ok()?;
        loop {
            let mut head = [0; 9];
            socket.read_exact(&mut head).ok()?;
            let [a, b, c, kind, flags, stream @ ..] = head;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            socket.read_exact(&mut payload).ok()?;
            match (kind, flags & 1) {
                // The end of a request: `:status 200`, `grpc-status: 0`.
                (0, 1) => socket.write_all(&frame(1, 5, stream, b"\x88\x00\x0bgrpc-status\x010")).ok()?,
                (6, 0) if pongs.load(Ordering::SeqCst) => socket.write_all(&frame(6, 1, [0; 4], &payload)).ok()?,
                _ => {}
            }
        }
    }

    #[test]
    fn a_connection_that_was_idle_for_long_is_used_again_only_if_the_server_shows_that_it_lives() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = format!(r#"{{"endpoint": "http://{}", "timeout": "20s"}}"#, listener.local_addr().unwrap());
        let pongs = Arc::new(AtomicBool::new(true));
        let shared = Arc::clone(&pongs);
        std::thread::spawn(move || {
            for socket in listener.incoming() {
                let pongs = Arc::clone(&shared);
                std::thread::spawn(move || serve(socket.unwrap(), &pongs));
            }
        });
        let counters = Arc::new(Counters::default());
        let client = GrpcClient::new(&Settings::parse(&config).unwrap(), 1, Arc::clone(&counters)).unwrap();
        let call = |idle: u64| {
            client.idle.lock().unwrap().iter_mut().for_each(|kept| kept.age(Duration::from_secs(idle)));
            client.carry(b"batch", Duration::from_secs(20)).unwrap();
            counters.stats().reconnects
        };
        assert_eq!((call(0), call(0), call(60)), (0, 0, 0), "it answers, also after a minute");
        assert_eq!(call(301), 1, "it is not kept for ever");
        pongs.store(false, Ordering::SeqCst);
        assert_eq!(call(1), 1, "nobody is asked after a second");
        assert_eq!(call(60), 2, "there was no sign of life");
    }
}
