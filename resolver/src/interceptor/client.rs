//! One intercepted client: who it is, and the routes of the topics it has met.

use std::collections::HashMap;
use std::ffi::CStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::binding::{Binding, Integration};
use super::client_routes::ClientRoutes;
use super::commits::{Commits, Committed, OFFSET_COMMIT};
use super::kafka_api::{KafkaApi, RdKafka, RdKafkaConf, RdKafkaError};
use super::message::{Message, nothing_is_being_sent};
use super::parent_table::{FailedSends, Parent, Parents};
use super::route::{Route, RouteMaker, next_client};
use super::route_cache::{self, Found};
use super::settled::Settled;
use super::size_limit;
use crate::batch::{ClientFacts, Pipeline};
use crate::cancellation::uncancelled;
use crate::per_process;
use crate::services::Side;
use crate::stack_room::with_room;
use crate::status::Who;
use crate::tracer::threshold::Threshold;

/// See the module.
pub(crate) struct Client {
    pub(super) api: KafkaApi,
    pub(super) side: Side,
    /// Of the `rd_kafka_t`; never followed.
    pub(super) address: usize,
    /// Whether the application's own OpenTelemetry context can be seen: only by an integration that is compiled with it.
    pub(super) sees_context: bool,
    /// Whether deliveries wait for a processing guard; else what is seen from below has to do.
    pub(super) guards: bool,
    /// Consumers: whether the application's calls for messages are seen.
    pub(super) polls_seen: bool,
    /// Consumers: `max.poll.interval.ms`, in nanoseconds.
    pub(super) max_poll_interval: u64,
    /// Tells consumers apart that read the same partition.
    pub(super) ordinal: usize,
    /// Consumers whose application commits, or whose commits get spans: what is known of their commits.
    pub(super) commits: Option<Commits>,
    /// Consumers whose commits get spans, by the rules that were in effect when they were made.
    pub(super) settled: Option<Settled>,
    /// Producers: a message that would grow beyond this is sent without our header. 0: headers would come to nothing.
    pub(super) message_max_bytes: usize,
    /// Producers: empty on consumers.
    pub(super) parents: Parents,
    pub(super) failed: FailedSends,
    pub(super) unmarked: Unmarked,
    /// The process that made it: a fork has a copy.
    generation: usize,
    pub(super) routes: ClientRoutes,
}

/// Sends whose message could not take a header, by the message's address: rare, so a lock may guard them.
pub(super) struct Unmarked {
    /// Read without the lock on every acknowledgement.
    count: AtomicUsize,
    /// As many as messages can be in flight, up to a bound.
    max: usize,
    /// With the generation of the rules that each was sent by.
    spans: Mutex<HashMap<usize, (UnmarkedSend, u64)>>,
}

/// What an acknowledgement reads from the message's header, where the message has none, or has no place for all of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct UnmarkedSend {
    pub trace_id: [u8; 16],
    pub span_id: [u8; 8],
    pub trace_flags: u8,
    pub parent: Option<Parent>,
    /// By which it is kept, if it is by one that its message does not tell.
    pub threshold: Option<Threshold>,
}

/// Unmarked sends of one client that may be in flight; the span of a further one is not made. As many as there are
/// parents of sends for.
const MAX_UNMARKED: usize = 1 << 24;

impl Client {
    /// Reads what the client's configuration says about it. `polls_seen`: whether its creation was.
    ///
    /// # Safety
    ///
    /// Called in `on_new`, with what librdkafka gave it, on any thread while that one waits.
    pub(super) unsafe fn new(
        api: KafkaApi,
        rk: *const RdKafka,
        conf: *const RdKafkaConf,
        binding: &Binding,
        polls_seen: bool,
    ) -> Self {
        // SAFETY: `rd_kafka_type` works in `on_new`: it only reads what `rd_kafka_new` had set before.
        let is_consumer = unsafe { (api.client_type)(rk) == 1 };
        // SAFETY: so does `rd_kafka_conf_get`, on the configuration given to `on_new`.
        let property = |name: &CStr| unsafe { read_property(&api, conf, name) };
        let number = |name: &CStr, default: usize| property(name).and_then(|v| v.parse().ok()).unwrap_or(default);
        let side = if is_consumer { Side::Consume } else { Side::Produce };
        let in_flight = match number(c"queue.buffering.max.messages", 100_000) {
            _ if is_consumer => 0,
            0 => usize::MAX, // "No limit", in librdkafka's words.
            some => some,
        };
        let cluster = property(c"bootstrap.servers").unwrap_or_default();
        let maker = RouteMaker {
            side,
            facts: Arc::new(ClientFacts {
                client_id: property(c"client.id").unwrap_or_default(),
                group_id: property(c"group.id").filter(|group| is_consumer && !group.is_empty()),
                server: only_server(&cluster),
            }),
            cluster,
            bound: binding.service,
            api: Some(api),
        };
        let guards = is_consumer && binding.integration == Integration::Rust;
        if is_consumer {
            Pipeline::current().expect_received_spans();
        }
        let shows_processing = is_consumer && !guards && property(c"enable.auto.commit").as_deref() == Some("false");
        let commit_spans = is_consumer && binding.resolver.rules().have_commit_spans();
        let headers_are_dropped = !is_consumer && drops_headers(property);
        if headers_are_dropped {
            let what = "a producer is told by api.version.request = false and broker.version.fallback that its brokers are \
                        older than headers, so Kafka's client leaves them out: its messages take no context along";
            Pipeline::current().tell(log::Level::Warn, what.to_owned());
        }
        Self {
            api,
            side,
            address: rk.addr(),
            sees_context: binding.integration == Integration::Rust,
            guards,
            polls_seen: is_consumer && polls_seen,
            max_poll_interval: number(c"max.poll.interval.ms", 300_000) as u64 * 1_000_000,
            ordinal: if is_consumer { next_client() } else { 0 },
            commits: (shows_processing || commit_spans).then(|| Commits::new(shows_processing)),
            settled: commit_spans.then(Settled::default),
            message_max_bytes: if headers_are_dropped { 0 } else { number(c"message.max.bytes", 1_000_000) },
            parents: Parents::new(in_flight),
            failed: FailedSends::default(),
            unmarked: Unmarked::new(in_flight),
            generation: per_process::generation(),
            routes: ClientRoutes::new(Arc::clone(&binding.resolver), maker),
        }
    }

    /// The route of a message's topic, for this client whose handle is `number`.
    #[inline]
    pub(super) fn route(&self, number: u64, message: &Message<'_>) -> Option<Found<'_>> {
        let topic = message.topic_handle()?;
        let find = || self.route_of(message.topic());
        route_cache::route(number, topic, |known| message.is_of(known), find)
    }

    /// The route of a topic by its name; `None` where the stack has no room for what a topic takes that was not met before.
    #[cold]
    pub(super) fn route_of(&self, topic: &CStr) -> Option<Arc<Route>> {
        // Whoever looks for room, or tells of the topic, reads files.
        self.routes.known(topic).or_else(|| uncancelled(|| with_room(|| self.routes.find(topic)).flatten()))
    }

    /// A broker has answered a request; `rtt` in microseconds.
    pub(super) fn saw_response(&self, api_key: i16, rtt: i64) {
        nothing_is_being_sent();
        match (&self.commits, api_key) {
            (_, size_limit::PRODUCE) => size_limit::answered(),
            (Some(commits), OFFSET_COMMIT) => commits.answered(rtt),
            _ => {}
        }
    }

    /// Offsets were committed, or could not be. Runs on `rdk:main`.
    pub(super) fn saw_commit<'a>(&self, err: RdKafkaError, offsets: impl Iterator<Item = Committed<'a>> + Clone) {
        let Some(commits) = &self.commits else { return };
        let ago = commits.asked_ago();
        commits.committed(self.ordinal, err, ago, offsets.clone());
        if self.settled.is_some() {
            self.make_commit_spans(err, ago, &mut offsets.collect::<Vec<_>>());
        }
    }

    /// What it is called.
    pub(super) fn who(&self) -> Who {
        self.routes.who()
    }

    /// Whether this very process made it, and not the one that it is a fork of.
    pub(super) fn is_of_this_process(&self) -> bool {
        self.generation == per_process::generation()
    }

    /// Whether it has not met any message.
    pub(super) fn is_unused(&self) -> bool {
        self.routes.is_empty()
    }

    /// The client is gone: what its finished spans name goes once none of them does.
    pub(super) fn retire(self: Box<Self>) {
        if !self.is_unused() {
            let routes = self.routes.into_all().inspect(|route| route.ends());
            Pipeline::current().retire(routes.filter_map(|route| route.origin()));
        }
    }
}

impl Unmarked {
    fn new(in_flight: usize) -> Self {
        // Room for all that librdkafka takes: it refuses a message before `on_send`. `queue.buffering.max.messages = 0` is no limit.
        let max = if in_flight == 0 { MAX_UNMARKED } else { in_flight.min(MAX_UNMARKED) };
        Self { count: AtomicUsize::new(0), max, spans: Mutex::default() }
    }

    /// Notes a send; `false` when there is no room.
    #[cold]
    pub(super) fn note(&self, message: usize, send: UnmarkedSend, rules: u64) -> bool {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let room = spans.len() < self.max || spans.contains_key(&message);
        if room {
            spans.insert(message, (send, rules));
            self.count.store(spans.len(), Ordering::Release);
        }
        room
    }

    /// The send of this message, if it was noted.
    #[inline]
    pub(super) fn take(&self, message: usize) -> Option<UnmarkedSend> {
        if self.count.load(Ordering::Acquire) == 0 { None } else { self.remove(message) }
    }

    /// Whether this message's send was noted.
    #[cold]
    pub(super) fn has(&self, message: usize) -> bool {
        self.spans.lock().unwrap_or_else(PoisonError::into_inner).contains_key(&message)
    }

    /// The rules that this message was sent by, if its send was noted.
    #[cold]
    pub(super) fn rules_of(&self, message: usize) -> Option<u64> {
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        spans.get(&message).map(|(_, rules)| *rules)
    }

    #[cold]
    fn remove(&self, message: usize) -> Option<UnmarkedSend> {
        let mut spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let send = spans.remove(&message);
        self.count.store(spans.len(), Ordering::Release);
        send.map(|(send, _)| send)
    }
}

/// Whether librdkafka asks no broker for its version, and takes all for older than 0.10: then it writes messages in a format
/// without headers, and leaves them out in silence (`rd_kafka_msgset_writer_select_MsgVersion`). Of brokers that it asks,
/// nothing can be known here.
fn drops_headers(property: impl Fn(&CStr) -> Option<String>) -> bool {
    let is_old = |version: String| version.starts_with("0.8") || version.starts_with("0.9");
    property(c"api.version.request").as_deref() == Some("false")
        && property(c"broker.version.fallback").is_some_and(is_old)
}

/// # Safety
///
/// `conf` is valid, as in `on_new`.
unsafe fn read_property(api: &KafkaApi, conf: *const RdKafkaConf, name: &CStr) -> Option<String> {
    let mut value = vec![0_u8; 512];
    loop {
        let mut size = value.len();
        // SAFETY: `conf` is valid, `name` is NUL-terminated, and `size` is the size of `value`.
        let result = unsafe { (api.conf_get)(conf, name.as_ptr(), value.as_mut_ptr().cast(), &raw mut size) };
        if result != 0 {
            return None; // Unknown, or not set.
        }
        if size <= value.len() {
            value.truncate(size.saturating_sub(1)); // librdkafka counts the NUL.
            return String::from_utf8(value).ok();
        }
        value.resize(size, 0);
    }
}

/// `host:port` of `bootstrap.servers` when it names just one.
fn only_server(servers: &str) -> Option<(String, Option<u16>)> {
    let mut servers = servers.split(',').map(str::trim).filter(|server| !server.is_empty());
    let (only, None) = (servers.next()?, servers.next()) else { return None };
    let only = only.split_once("://").map_or(only, |(_, rest)| rest);
    let (host, port) = match only.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, port.parse().ok()),
        _ => (only, None),
    };
    Some((host.trim_matches(['[', ']']).to_owned(), port))
}
