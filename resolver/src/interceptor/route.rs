//! What is done with the messages of one client and topic: decided once, looked up per message.

use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use super::captured::Captured;
use super::header_refusals::HeaderRefusals;
use super::kafka_api::{Err2Name, KafkaApi};
use super::refused_spans::RefusedSpans;
use super::size_limit::SizeLimit;
use crate::batch::{ClientFacts, Outcome, Pipeline, ServiceCounters, SpanFacts, SpanOrigin, TopicCounters};
use crate::config::{Ambient, Conventions, Measuring, Propagator, Relation, Trace};
use crate::metrics::{Series, SeriesKey};
use crate::per_process::FirstMade;
use crate::propagation::Injection;
use crate::resolver::Rules;
use crate::services::Side;
use crate::status::{Belongs, Who};
use crate::tracer::Verdict;
use crate::tracer::ids::new_span_id;
use crate::tracer::sampler::Sampler;

/// See the module.
#[derive(Debug)]
pub(crate) struct Route {
    topic: CString,
    topic_hash: u64,
    /// The generation of the rules that made it.
    rules: u64,
    belongs: Belongs,
    counters: Arc<TopicCounters>,
    /// `None`: messages are untouched.
    traced: Option<Traced>,
    /// Its client is gone.
    is_over: AtomicBool,
}

/// How messages of a service are traced.
#[derive(Debug)]
pub(crate) struct Traced {
    pub spans: bool,
    pub relation: Relation,
    pub ambient: Ambient,
    pub reinject: bool,
    pub commit_spans: bool,
    pub injection: Injection,
    /// Whether a message tells at its acknowledgement which span it began.
    pub marks: bool,
    /// The generation of the rules that it is of.
    pub rules: u64,
    /// By which such a message tells them: see [`Traced::stamped`].
    stamp: u8,
    pub injects_baggage: bool,
    /// Whether a message is given a `tracestate`.
    pub has_trace_context: bool,
    pub size_limit: Arc<SizeLimit>,
    pub header_refusals: HeaderRefusals,
    pub extract: Arc<[Propagator]>,
    /// What spans say beyond the conventions' own, if anything.
    pub captured: Option<Box<Captured>>,
    pub sampler: Sampler,
    /// Where its messages are measured, if they are.
    pub measured: Option<Arc<Series>>,
    /// Named by its finished spans.
    pub origin: Arc<SpanOrigin>,
    pub counters: Arc<ServiceCounters>,
    pub topic: Arc<TopicCounters>,
    pub refused: RefusedSpans,
}

/// What a client tells about itself, for all of its routes.
#[derive(Clone, Debug)]
pub(crate) struct RouteMaker {
    pub side: Side,
    pub facts: Arc<ClientFacts>,
    /// The brokers as the client was told them.
    pub cluster: String,
    /// The number of the service that the program bound the client to.
    pub bound: Option<usize>,
    /// Names failed outcomes; `None` for routes that no client owns.
    pub api: Option<KafkaApi>,
}

impl RouteMaker {
    /// Finds the service of `topic` and prepares everything its messages will need. Microseconds; not per message.
    pub(crate) fn route(&self, rules: &Rules, topic: &CStr) -> Route {
        let name = topic.to_string_lossy();
        let who = self.who();
        let belongs = rules.belongs(&name, &who);
        let counters = rules.topic_counters(&name, &who, belongs);
        let traced = self.traced(rules, &name, belongs, &counters);
        let (topic, topic_hash) = (topic.to_owned(), topic_hash(&name));
        let is_over = AtomicBool::new(false);
        Route { topic, topic_hash, rules: rules.generation(), belongs, counters, traced, is_over }
    }

    /// Who meets the topics of these routes.
    pub(super) fn who(&self) -> Who {
        let ClientFacts { client_id, group_id, .. } = &*self.facts;
        Who { side: self.side, client_id: client_id.clone(), group_id: group_id.clone(), bound: self.bound }
    }

    fn traced(&self, rules: &Rules, topic: &str, belongs: Belongs, counters: &Arc<TopicCounters>) -> Option<Traced> {
        let Belongs::Traced { service, slot } = belongs else { return None };
        let (settings, number) = (rules.settings_of(belongs)?, rules.number_of(service)?);
        let batches = self.side == Side::Consume && settings.relation == Relation::Batch;
        let older_names = settings.attributes.conventions == Conventions::MessagingDup;
        let facts = SpanFacts { client: Arc::clone(&self.facts), older_names, batches };
        let takes_baggage = settings.extract.contains(&Propagator::Baggage);
        let names = self.api.map(|api| api.err2name);
        let error_type = Box::new(move |outcome: Outcome| match names {
            Some(err2name) => error_name(err2name, outcome.0),
            None => OTHER.to_owned(),
        });
        let injection = Injection::new(&settings.inject);
        let measured = (settings.measure != Measuring::Off).then(|| {
            rules.instruments().of(&SeriesKey {
                service: number,
                is_consumer: self.side == Side::Consume,
                topic: topic.to_owned(),
                group: self.facts.group_id.clone(),
                server: self.facts.server.clone(),
            })
        });
        let origin = SpanOrigin::new(
            topic,
            facts,
            u32::try_from(number).ok()?,
            rules.backend_set(slot)?,
            Arc::clone(counters),
            takes_baggage,
            error_type,
        );
        let (size_limit, header_refusals) = match self.side {
            Side::Produce => {
                let limit = SizeLimit::of(&self.cluster, topic);
                let refusals = HeaderRefusals::of(&self.cluster, topic, &limit);
                (limit, refusals)
            }
            Side::Consume => Default::default(),
        };
        let sampler = rules.sampler(slot)?.clone();
        Some(Traced {
            spans: settings.trace_in_effect() == Trace::Spans,
            relation: settings.relation,
            ambient: settings.ambient,
            reinject: settings.reinject,
            commit_spans: settings.commit_spans,
            marks: injection.carries_context(),
            rules: rules.generation(),
            stamp: stamp_of(rules.generation()),
            injection,
            injects_baggage: settings.inject.contains(&Propagator::Baggage),
            size_limit,
            header_refusals,
            extract: settings.extract.clone(),
            captured: Captured::of(&settings.attributes),
            has_trace_context: settings.inject.contains(&Propagator::TraceContext),
            sampler,
            origin: Arc::new(origin.measured_by(measured.clone())),
            measured,
            counters: rules.service_counters(service)?,
            topic: Arc::clone(counters),
            refused: RefusedSpans::default(),
        })
    }
}

impl Route {
    pub(crate) fn topic_name(&self) -> &CStr {
        &self.topic
    }

    pub(crate) fn topic(&self) -> &str {
        self.topic.to_str().unwrap_or_default()
    }

    pub(crate) fn topic_hash(&self) -> u64 {
        self.topic_hash
    }

    /// Whose its messages are.
    pub(super) fn belongs(&self) -> Belongs {
        self.belongs
    }

    /// What is counted for its topic.
    pub(super) fn counters(&self) -> &TopicCounters {
        &self.counters
    }

    pub(crate) fn traced(&self) -> Option<&Traced> {
        self.traced.as_ref()
    }

    /// Its client is gone: nobody asks for it any more.
    pub(super) fn ends(&self) {
        self.is_over.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// The generation of the rules that made it.
    pub(super) fn rules(&self) -> u64 {
        self.rules
    }

    /// What its finished spans name.
    pub(super) fn origin(&self) -> Option<Arc<SpanOrigin>> {
        self.traced.as_ref().map(|traced| Arc::clone(&traced.origin))
    }
}

impl Drop for Route {
    /// No thread has it any more, so none makes a record that names its origin; what was made may still be on its way.
    fn drop(&mut self) {
        if let Some(origin) = self.origin().filter(|_| Pipeline::is_running()) {
            Pipeline::current().leave_origin(origin);
        }
    }
}

impl Traced {
    /// A span id for a message that is sent by these rules, made of a random one: its first byte tells the rules' generation.
    /// At the acknowledgement there may be others, and the message ends by those that it was sent by.
    #[inline]
    pub(super) fn stamped(&self, mut random: [u8; 8]) -> [u8; 8] {
        random[0] = self.stamp;
        random
    }

    /// Counts a span that is not recorded.
    #[inline]
    pub(super) fn is_not_kept(&self, verdict: Verdict) {
        self.topic.sampled_out.raise();
        self.count_shed(verdict);
    }

    /// Counts a trace that does not begin because more comes than leaves.
    #[inline]
    pub(super) fn count_shed(&self, verdict: Verdict) {
        if verdict.is_shed {
            self.counters.shed.raise();
        }
    }

    /// Whether [`Traced::stamped`] of these rules may have given this id out; that of others has not.
    pub(super) fn has_stamped(&self, span_id: [u8; 8]) -> bool {
        span_id[0] == self.stamp
    }
}

/// The stamp of a generation of rules: they come again after 256. In another process they are others.
fn stamp_of(generation: u64) -> u8 {
    static FIRST: FirstMade<u8> = FirstMade::new();
    (generation as u8).wrapping_add(*FIRST.get_or_init(|| new_span_id()[0]))
}

/// Spreads topics over the table of deliveries. FNV-1a.
pub(crate) fn topic_hash(topic: &str) -> u64 {
    topic.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A fresh number for every client, so that clients that read the same place do not displace each other.
pub(super) fn next_client() -> usize {
    CONSUMERS.fetch_add(1, Ordering::Relaxed) as usize
}

/// Whether the process has made more than one consumer.
pub(super) fn has_several_consumers() -> bool {
    CONSUMERS.load(Ordering::Relaxed) > 1
}

static CONSUMERS: AtomicU64 = AtomicU64::new(0);

/// What semantic conventions say where there is no better name.
const OTHER: &str = "_OTHER";

/// `error.type` of one of librdkafka's error codes: few values, whatever a broker sends.
pub(super) fn error_name(err2name: Err2Name, code: i32) -> String {
    // SAFETY: `rd_kafka_err2name` takes any number and returns a static string.
    let name = unsafe { err2name(code) };
    if name.is_null() {
        return OTHER.to_owned();
    }
    // SAFETY: static and NUL-terminated, as above.
    protocol_name(code, &unsafe { CStr::from_ptr(name) }.to_string_lossy()).to_owned()
}

/// The Kafka protocol's name of a broker error, where librdkafka abbreviates it; librdkafka's own name else (its local
/// errors begin with an underscore). An error newer than this librdkafka has no name there, but `ERR_<n>?`.
fn protocol_name(code: i32, librdkafka_name: &str) -> &str {
    match code {
        -1 => "UNKNOWN_SERVER_ERROR",
        2 => "CORRUPT_MESSAGE",
        3 => "UNKNOWN_TOPIC_OR_PARTITION",
        4 => "INVALID_FETCH_SIZE",
        6 => "NOT_LEADER_OR_FOLLOWER",
        10 => "MESSAGE_TOO_LARGE",
        11 => "STALE_CONTROLLER_EPOCH",
        17 => "INVALID_TOPIC_EXCEPTION",
        _ if librdkafka_name.starts_with("ERR_") => OTHER,
        _ => librdkafka_name,
    }
}

#[cfg(test)]
mod tests {
    use super::protocol_name;

    #[test]
    fn an_error_is_named_as_the_protocol_names_it_and_an_unknown_one_has_no_name_of_its_own() {
        assert_eq!(protocol_name(10, "MSG_SIZE_TOO_LARGE"), "MESSAGE_TOO_LARGE");
        assert_eq!(protocol_name(-1, "UNKNOWN"), "UNKNOWN_SERVER_ERROR");
        assert_eq!(protocol_name(19, "NOT_ENOUGH_REPLICAS"), "NOT_ENOUGH_REPLICAS");
        assert_eq!(protocol_name(-192, "_MSG_TIMED_OUT"), "_MSG_TIMED_OUT");
        assert_eq!(protocol_name(131, "ERR_131?"), "_OTHER");
    }
}
