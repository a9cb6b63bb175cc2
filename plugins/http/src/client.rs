//! One POST.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::Counters;
use ureq::Agent;
use ureq::http::Response;

use crate::addresses::AddressesOf;
use crate::carrier::{Answer, Largest};
use crate::connection::{NEW_CONNECTION, connector};
use crate::failure::{Failure, content_type, no_answer, refused, unreachable};
use crate::tls::tls_config;
use crate::{Compression, Endpoint, HttpSettings};

/// Posts to one endpoint over connections that are kept open.
///
/// Used by many threads at once. It never follows a redirect, and never tries again, but for one case: a kept connection
/// that turns out to be closed is no answer, and the next one, in the end a new one, is used at once.
pub struct HttpClient {
    agent: Agent,
    settings: HttpSettings,
    counters: Arc<Counters>,
    largest: Largest,
}

impl HttpClient {
    /// Reads the TLS files; connects nowhere yet.
    ///
    /// `user_agent` is the name and version of the backend; up to `max_concurrency` connections are kept open.
    ///
    /// # Errors
    ///
    /// A configuration error for a TLS file that cannot be used.
    pub fn new(
        settings: HttpSettings,
        user_agent: &str,
        max_concurrency: u32,
        counters: Arc<Counters>,
    ) -> Result<Self, BackendError> {
        let connections = usize::try_from(max_concurrency).unwrap_or(usize::MAX).max(1);
        let config = Agent::config_builder()
            .tls_config(tls_config(settings.tls.as_ref())?)
            .proxy(settings.proxy.as_ref().map(|proxy| proxy.proxy()))
            .user_agent(user_agent)
            .timeout_global(Some(settings.timeout.duration()))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .max_idle_connections(connections)
            .max_idle_connections_per_host(connections)
            .max_idle_age(LONGEST_IDLE)
            .input_buffer_size(INPUT)
            .output_buffer_size(OUTPUT)
            .build();
        let connector = connector(settings.proxy.is_some(), Arc::clone(&counters));
        let agent = Agent::with_parts(config, connector, AddressesOf);
        Ok(HttpClient { agent, settings, counters, largest: Largest::default() })
    }

    /// The same for another endpoint: its connections and counters are shared, what a server found too large is not.
    #[must_use]
    pub fn to(&self, endpoint: Endpoint) -> Self {
        HttpClient {
            agent: self.agent.clone(),
            settings: HttpSettings { endpoint, ..self.settings.clone() },
            counters: Arc::clone(&self.counters),
            largest: Largest::default(),
        }
    }

    /// Posts `body`, and waits for the answer no longer than `limit` or the timeout of the settings, whichever is less.
    ///
    /// # Errors
    ///
    /// Retryable, with the server's `Retry-After`: the statuses 429, 502, 503 and 504, and whatever keeps a request from
    /// being answered: name look-up, connection, TLS. A timeout, which the host retries too. Permanent: other statuses.
    pub fn post(&self, content_type: &str, body: &[u8], limit: Duration) -> Result<Answer, BackendError> {
        self.try_post(content_type, body, limit).map_err(BackendError::from)
    }

    /// As [`HttpClient::post`], with the one reason told apart that another way of sending may help against.
    pub(crate) fn try_post(&self, content_type: &str, body: &[u8], limit: Duration) -> Result<Answer, Failure> {
        let limit = limit.min(self.timeout());
        let compressed;
        let bytes = match self.settings.compression {
            Compression::None => body,
            Compression::Gzip => {
                compressed = gzip(body).map_err(Failure::Other)?;
                &compressed
            }
        };
        let (started, mut left) = (Instant::now(), limit);
        loop {
            NEW_CONNECTION.set(false);
            match self.post_once(content_type, bytes, left) {
                Ok(response) => {
                    self.counters.bytes_sent(bytes.len());
                    return self.answer(response);
                }
                // Every round takes a kept connection away, so there is an end.
                Err(error) if was_closed(&error) && !NEW_CONNECTION.get() && started.elapsed() < limit => {
                    left = limit.saturating_sub(started.elapsed());
                }
                Err(error) => return Err(Failure::Other(unreachable(&self.settings, &error, limit))),
            }
        }
    }

    fn post_once(
        &self,
        content_type: &str,
        bytes: &[u8],
        limit: Duration,
    ) -> Result<Response<ureq::Body>, ureq::Error> {
        let mut request = self.agent.post(self.settings.endpoint.uri().clone()).header("content-type", content_type);
        for (name, value) in self.settings.headers.iter() {
            request = request.header(name, value.clone());
        }
        if limit < self.timeout() {
            // Only then: ureq builds the TLS configuration anew for a request with a configuration of its own.
            request = request.config().timeout_global(Some(limit)).build();
        }
        if self.settings.compression == Compression::Gzip {
            request = request.header("content-encoding", "gzip");
        }
        request.send(bytes)
    }

    pub(crate) fn settings(&self) -> &HttpSettings {
        &self.settings
    }

    /// The most that one call may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.settings.timeout.duration()
    }

    pub(crate) fn largest(&self) -> &Largest {
        &self.largest
    }

    fn answer(&self, response: Response<ureq::Body>) -> Result<Answer, Failure> {
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(LONGEST_ANSWER).read_to_end(&mut bytes);
        if head.status.is_success() {
            if let Some(error) = no_answer(&self.settings, &head, &bytes) {
                return Err(Failure::Other(error));
            }
            let content_type = content_type(&head.headers);
            return Ok(Answer { body: if read.is_ok() { bytes } else { Vec::new() }, content_type });
        }
        Err(refused(&self.settings, &head, &bytes))
    }
}

impl AsRef<HttpClient> for HttpClient {
    fn as_ref(&self) -> &HttpClient {
        self
    }
}

/// `body` as gzip, at its fastest level.
///
/// # Errors
///
/// None that is known: it is done in memory.
pub fn gzip(body: &[u8]) -> Result<Vec<u8>, BackendError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .map_err(|error| BackendError::internal(format!("gzip failed in memory: {error}")))
}

/// Whether the server had closed the connection, or did so in place of an answer.
fn was_closed(error: &ureq::Error) -> bool {
    use std::io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error, ureq::Error::Io(error) if matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof
    ))
}

/// Below what load balancers and collectors commonly wait before they close an idle connection: 60 seconds.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// Bytes of a connection's buffers, all of which are written to when it is made: for the head of an answer, and for what
/// one system call sends: as much as a packet of the loopback device takes, since each call costs the kernel as much as the
/// bytes do. ureq's own are 128 KiB each.
const INPUT: usize = 32 * 1024;
const OUTPUT: usize = 64 * 1024;

/// No answer to a batch is longer; what follows is not read, and the connection is closed.
const LONGEST_ANSWER: u64 = 64 * 1024;
