//! One POST.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression as Level;
use flate2::write::GzEncoder;
use tracer_plugin_api::BackendError;
use tracer_plugin_kit::Counters;
use ureq::Agent;
use ureq::http::Response;
use ureq::unversioned::resolver::DefaultResolver;
use ureq::unversioned::transport::{ConnectionDetails, Connector, DefaultConnector, Transport};

use crate::failure::{refused, unreachable};
use crate::tls::tls_config;
use crate::{Compression, HttpSettings};

/// Posts to one endpoint over connections that are kept open.
///
/// Used by many threads at once. It never retries and never follows a redirect.
pub struct HttpClient {
    agent: Agent,
    settings: HttpSettings,
    counters: Arc<Counters>,
}

/// What a server answered with a status from 200 to 299.
#[derive(Debug)]
pub struct Answer {
    /// The body, or its first 64 KiB. Empty if it broke off: the status alone says that the server has taken the batch.
    pub body: Vec<u8>,
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
        let connector = DefaultConnector::default().chain(ConnectionCount(Arc::clone(&counters)));
        let agent = Agent::with_parts(config, connector, DefaultResolver::default());
        Ok(HttpClient { agent, settings, counters })
    }

    /// Posts `body`, and waits for the answer no longer than `limit` or the timeout of the settings, whichever is less.
    ///
    /// # Errors
    ///
    /// Retryable, with the server's `Retry-After`: the statuses 429, 502, 503 and 504, and whatever keeps a request from
    /// being answered: name look-up, connection, TLS. A timeout, which the host retries too. Permanent: other statuses.
    pub fn post(&self, content_type: &str, body: &[u8], limit: Duration) -> Result<Answer, BackendError> {
        let endpoint = &self.settings.endpoint;
        let mut request = self.agent.post(endpoint.uri().clone()).header("content-type", content_type);
        for (name, value) in self.settings.headers.iter() {
            request = request.header(name, value.clone());
        }
        if limit < self.settings.timeout.duration() {
            // Only then: ureq builds the TLS configuration anew for a request with a configuration of its own.
            request = request.config().timeout_global(Some(limit)).build();
        }
        let compressed;
        let bytes = match self.settings.compression {
            Compression::None => body,
            Compression::Gzip => {
                request = request.header("content-encoding", "gzip");
                compressed = gzip(body)?;
                &compressed
            }
        };
        match request.send(bytes) {
            Ok(response) => {
                self.counters.bytes_sent(bytes.len());
                self.answer(response)
            }
            Err(error) => Err(unreachable(endpoint, &error, limit.min(self.settings.timeout.duration()))),
        }
    }

    fn answer(&self, response: Response<ureq::Body>) -> Result<Answer, BackendError> {
        let (head, body) = response.into_parts();
        let mut bytes = Vec::new();
        let read = body.into_reader().take(LONGEST_ANSWER).read_to_end(&mut bytes);
        if head.status.is_success() {
            return Ok(Answer { body: if read.is_ok() { bytes } else { Vec::new() } });
        }
        Err(refused(&self.settings, &head, &bytes))
    }
}

fn gzip(body: &[u8]) -> Result<Vec<u8>, BackendError> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Level::fast());
    encoder
        .write_all(body)
        .and_then(|()| encoder.finish())
        .map_err(|error| BackendError::internal(format!("gzip failed in memory: {error}")))
}

/// Passes every connection on as it is, and counts it.
#[derive(Debug)]
struct ConnectionCount(Arc<Counters>);

impl<In: Transport> Connector<In> for ConnectionCount {
    type Out = In;

    fn connect(&self, _details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<In>, ureq::Error> {
        if chained.is_some() {
            self.0.connected();
        }
        Ok(chained)
    }
}

/// Below what load balancers and collectors commonly wait before they close an idle connection: 60 seconds.
const LONGEST_IDLE: Duration = Duration::from_secs(30);

/// Bytes of a connection's buffers, all of which are written to when it is made: for the head of an answer, and for what
/// one system call sends. ureq's own are 128 KiB each.
const INPUT: usize = 32 * 1024;
const OUTPUT: usize = 16 * 1024;

/// No answer to a batch is longer; what follows is not read, and the connection is closed.
const LONGEST_ANSWER: u64 = 64 * 1024;
