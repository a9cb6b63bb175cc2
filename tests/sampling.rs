//! Promise: a service's or topic's sampler decides new traces, a parent's decision wins unless told otherwise, and an
//! unsampled message costs no span but passes its context on.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::collections::HashMap;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, ShouldSample as _};
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::message::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};
use tracer_resolver::interceptor::MessagePlace;
use tracer_resolver::interceptor::declared;
use words::kafka::{assign, header_of, next_message, with_headers};
use words::{LIMIT, TRACEPARENT, Traced, child, run, send};

const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";

fn record(topic: &str) -> BaseRecord<'_, str, str> {
    BaseRecord::to(topic).key("k").payload("p")
}

fn send_all(producer: &BaseProducer, topic: &str, count: usize) {
    for _ in 0..count {
        assert!(producer.send(record(topic)).is_ok());
    }
    producer.flush(LIMIT).unwrap();
}

#[test]
fn each_service_and_each_topic_of_it_has_its_own_sampler() {
    let traced = Traced::start(
        &["orders", "orders.debug", "noise"],
        r#"
        [defaults]
        sampler = "always_off"
        [services.shop]
        produces = ["orders*"]
        sampler = "always_off"
        [services.shop.topic."orders.debug"]
        sampler = "always_on"
        [services.billing]
        consumes = ["orders"]
        sampler = "always_on"
        parent = "ignore"
        [services.other]
        produces = ["noise"]
        "#,
    );
    let producer = traced.producer();
    for topic in ["orders", "orders.debug", "noise"] {
        send(&producer, record(topic));
    }
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "shop: send orders.debug\n~ billing: receive orders\n");
}

#[test]
fn a_parent_s_decision_wins_over_the_sampler_both_ways_and_from_both_places() {
    let on = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_on\"\n");
    let producer = on.producer();
    send(&producer, record("orders").headers(with_headers(&[("traceparent", UNSAMPLED)])));
    let unsampled =
        SpanContext::new(TraceId::from(1_u128), SpanId::from(2_u64), TraceFlags::NOT_SAMPLED, false, TraceState::NONE);
    let attached = Context::new().with_remote_span_context(unsampled).attach();
    send(&producer, record("orders"));
    drop(attached);
    let consumer = on.consumer("orders");
    let (one, two) = (next_message(&consumer), next_message(&consumer));
    assert!(header_of(&one, "traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert!(header_of(&two, "traceparent").unwrap().ends_with("-00"), "the decision passes on");
    assert_eq!(on.traces(), "");
    drop((consumer, producer, on));
    let off = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\n");
    send(&off.producer(), record("orders").headers(with_headers(&[("traceparent", TRACEPARENT)])));
    next_message(&off.consumer("orders"));
    assert_eq!(off.traces(), "~ shop: send orders\n  shop: receive orders\n");
}

#[test]
fn with_parent_ignore_the_sampler_decides_every_span_and_the_trace_goes_on() {
    let traced = Traced::start(
        &["orders"],
        "[services.shop]\nproduces = [\"*\"]\nsampler = \"always_on\"\nparent = \"ignore\"\n\
         [services.billing]\nconsumes = [\"*\"]\nsampler = \"always_off\"\nparent = \"ignore\"\n",
    );
    send(&traced.producer(), record("orders").headers(with_headers(&[("traceparent", UNSAMPLED)])));
    next_message(&traced.consumer("orders"));
    assert_eq!(traced.traces(), "~ shop: send orders\n");
    assert_eq!(traced.collector.spans()[0].parent_span_id, "b7ad6b7169203331");
}

#[test]
fn a_ratio_keeps_exactly_the_traces_that_opentelemetry_s_own_sampler_keeps() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\nsampler = { ratio = 0.25 }\n");
    send_all(&traced.producer(), "orders", 2_000);
    let kept: Vec<_> = traced.spans().into_iter().map(|span| span.trace_id).collect();
    let theirs = Sampler::TraceIdRatioBased(0.25);
    let consumer = assign(&traced.kafka.consumer_config("untraced"), "orders");
    let mut agreed = HashMap::new();
    for _ in 0..2_000 {
        let traceparent = header_of(&next_message(&consumer), "traceparent").unwrap();
        let trace = traceparent.split('-').nth(1).unwrap().to_owned();
        let id = TraceId::from_hex(&trace).unwrap();
        let decision = theirs.should_sample(None, id, "", &opentelemetry::trace::SpanKind::Producer, &[], &[]).decision;
        let theirs_keeps = decision == SamplingDecision::RecordAndSample;
        assert_eq!(traceparent.ends_with("-01"), theirs_keeps, "{traceparent}");
        assert_eq!(kept.contains(&trace), theirs_keeps, "{trace}");
        *agreed.entry(theirs_keeps).or_insert(0) += 1;
    }
    assert!((380..620).contains(&agreed[&true]), "a quarter of 2000, within six sigma: {agreed:?}");
}

#[test]
fn a_ratio_decides_alike_for_every_service_so_that_traces_are_whole() {
    let traced = Traced::start(
        &["orders"],
        "[defaults]\nsampler = { ratio = 0.5 }\nparent = \"ignore\"\n[services.shop]\nproduces = [\"*\"]\n[services.billing]\nconsumes = [\"*\"]\n",
    );
    send_all(&traced.producer(), "orders", 200);
    let consumer = traced.consumer("orders");
    for _ in 0..200 {
        next_message(&consumer);
    }
    let mut by_trace: HashMap<String, usize> = HashMap::new();
    for span in traced.spans() {
        *by_trace.entry(span.trace_id).or_default() += 1;
    }
    assert!((50..150).contains(&by_trace.len()), "{}", by_trace.len());
    assert!(by_trace.values().all(|spans| *spans == 2), "{by_trace:?}");
}

#[test]
fn a_rate_limit_keeps_so_many_new_traces_a_second_and_the_parent_s_decision_still_wins() {
    let traced = Traced::start(&["orders"], "[services.shop]\nproduces = [\"*\"]\nsampler = { rate_limit = 10 }\n");
    let producer = traced.producer();
    let started = std::time::Instant::now();
    send_all(&producer, "orders", 3_000);
    let seconds = started.elapsed().as_secs_f64();
    let sampled: Vec<_> =
        (0..5).map(|_| record("orders").headers(with_headers(&[("traceparent", TRACEPARENT)]))).collect();
    for record in sampled {
        send(&producer, record);
    }
    let spans = traced.spans();
    let (children, roots): (Vec<_>, Vec<_>) = spans.iter().partition(|span| !span.parent_span_id.is_empty());
    assert_eq!(children.len(), 5);
    let most = 10.0 + 10.0 * (seconds + 0.1);
    assert!(!roots.is_empty() && roots.len() as f64 <= most, "{} in {seconds} s", roots.len());
}

#[test]
fn nothing_of_an_unsampled_message_is_recorded_but_its_context_passes_on() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\nsampler = \"always_off\"\n");
    send(&traced.producer(), record("orders").headers(with_headers(&[("mine", "1")])));
    let message = next_message(&traced.consumer("orders"));
    assert_eq!(message.headers().map(|_| header_of(&message, "mine")), Some(Some("1".to_owned())));
    assert!(header_of(&message, "traceparent").unwrap().ends_with("-00"));
    assert_eq!(traced.traces(), "");
    let stats = traced.resolver().stats();
    assert_eq!(stats.services[0].spans, 0);
}

#[test]
fn the_random_flag_of_a_parent_is_kept() {
    let traced = Traced::start(&["orders"], "[services.shop]\ntopics = [\"*\"]\n");
    let random = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03";
    send(&traced.producer(), record("orders").headers(with_headers(&[("traceparent", random)])));
    assert!(header_of(&traced.read_untraced("orders"), "traceparent").unwrap().ends_with("-03"));
    assert_eq!(traced.spans()[0].flags & 0xff, 3);
}

/// The last 56 bits of its trace id are `48eb211c80319c`.
const KEPT: &str = TRACEPARENT;

/// What goes on the wire under this sampler, and in the spans: `tracestate` of each, of a message with these headers.
fn trace_states(sampler: &str, headers: &[(&str, &str)]) -> (Option<String>, Vec<String>) {
    let service = format!("[services.shop]\ntopics = [\"*\"]\n{sampler}\n");
    let traced = Traced::start(&["orders"], &service);
    let mut record = record("orders");
    if !headers.is_empty() {
        record = record.headers(with_headers(headers));
    }
    send(&traced.producer(), record);
    next_message(&traced.consumer("orders"));
    let mut states: Vec<String> = traced.spans().iter().map(|span| span.trace_state.clone()).collect();
    states.dedup();
    (header_of(&traced.read_untraced("orders"), "tracestate"), states)
}

#[test]
fn a_trace_that_is_kept_by_consistent_probability_carries_its_threshold_on_the_wire_and_in_every_span() {
    let all = r#"sampler = { consistent_probability = 1.0 }"#;
    assert_eq!(trace_states(all, &[]), (Some("ot=th:0".to_owned()), vec!["ot=th:0".to_owned()]));
    let none = r#"sampler = { consistent_probability = 0.0 }"#;
    assert_eq!(trace_states(none, &[]), (None, vec![]));
    assert_eq!(trace_states("", &[]), (None, vec![String::new()]), "no other sampler writes one");
}

#[test]
fn a_parent_s_threshold_passes_on_where_it_fits_and_others_members_always() {
    let tenth = r#"sampler = { consistent_probability = 0.1 }"#;
    let of = |sampler: &str, state: &str| {
        let (wire, spans) = trace_states(sampler, &[("traceparent", KEPT), ("tracestate", state)]);
        assert_eq!(wire.clone().into_iter().collect::<Vec<_>>(), spans, "the spans say what the wire says");
        wire.unwrap_or_default()
    };
    for sampler in [tenth, ""] {
        assert_eq!(of(sampler, "a=1,ot=th:4;x:y,b=2"), "a=1,ot=th:4;x:y,b=2");
        assert_eq!(of(sampler, "a=1,ot=th:8;x:y,b=2"), "ot=x:y,a=1,b=2", "48… does not reach it, and yet it is kept");
        assert_eq!(of(sampler, "a=1,ot=th:8;rv:80000000000000"), "a=1,ot=th:8;rv:80000000000000");
    }
    let ignoring = r#"sampler = { consistent_probability = 1.0 }
        parent = "ignore""#;
    assert_eq!(of(ignoring, "a=1,ot=th:4;rv:48000000000000"), "ot=rv:48000000000000;th:0,a=1");
    assert_eq!(of(r#"parent = "ignore""#, "a=1,ot=th:4"), "a=1", "always_on says nothing of probability");
}

#[test]
fn services_of_different_probabilities_decide_by_the_trace_s_one_randomness() {
    let traced = Traced::start(
        &["orders", "audit"],
        r#"
        [defaults]
        parent = "ignore"
        [services.shop]
        produces = ["orders"]
        sampler = { consistent_probability = 0.5 }
        [services.auditor]
        produces = ["audit"]
        sampler = { consistent_probability = 0.25 }
        "#,
    );
    let producer = traced.producer();
    for number in 0..64_u64 {
        let state = format!("ot=rv:{:014x}", number << 50);
        for topic in ["orders", "audit"] {
            let headers = with_headers(&[("traceparent", UNSAMPLED), ("tracestate", &state)]);
            assert!(producer.send(record(topic).headers(headers)).is_ok());
        }
    }
    producer.flush(LIMIT).unwrap();
    let spans = traced.spans();
    let least = |name: &str| {
        let kept: Vec<&str> =
            spans.iter().filter(|span| span.name == name).map(|span| span.trace_state.as_str()).collect();
        let numbers = kept.iter().filter_map(|state| u64::from_str_radix(state.get(6..20)?, 16).ok());
        (kept.len(), numbers.min().map(|least| least >> 50))
    };
    assert_eq!(least("send orders"), (32, Some(32)));
    assert_eq!(least("send audit"), (16, Some(48)), "all of which the shop keeps too");
}

#[test]
fn a_linked_trace_and_what_the_application_reads_have_the_threshold_of_their_own_span() {
    let traced = Traced::start(
        &["orders"],
        r#"
        [services.shop]
        produces = ["orders"]
        [services.billing]
        consumes = ["orders"]
        sampler = { consistent_probability = 1.0 }
        relation = "link"
        reinject = true
        "#,
    );
    let headers = with_headers(&[("traceparent", TRACEPARENT), ("tracestate", "a=1,ot=th:4")]);
    send(&traced.producer(), record("orders").headers(headers));
    let message = next_message(&traced.consumer("orders"));
    assert_eq!(header_of(&message, "tracestate").as_deref(), Some("ot=th:0"));
    let mut states: Vec<_> = traced.spans().into_iter().map(|span| (span.name, span.trace_state)).collect();
    states.sort();
    let expected = [("receive orders", "ot=th:0"), ("send orders", "a=1,ot=th:4")];
    assert_eq!(states, expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
}

#[test]
fn a_send_whose_message_tells_no_threshold_says_it_in_its_span() {
    // Without a parent the application's own state means nothing.
    let sends = |settings: &str, payload: &str| {
        let service = "[services.shop]\nproduces = [\"*\"]\nsampler = { consistent_probability = 1.0 }\n";
        let traced = Traced::start(&["orders"], &format!("{service}{settings}"));
        let mut config = traced.config(None);
        config.set("message.max.bytes", "1000");
        let headers = with_headers(&[("tracestate", "a=1")]);
        let record = BaseRecord::<str, str>::to("orders").payload(payload).headers(headers);
        send(&config.create().unwrap(), record);
        let states: Vec<_> = traced.spans().into_iter().map(|span| span.trace_state).collect();
        (states, traced.counters().not_injected)
    };
    let long = "x".repeat(900);
    assert_eq!(sends("", &long), (vec!["ot=th:0".to_owned()], 1), "it would be too large with a header");
    for propagators in ["[\"b3\"]", "[]"] {
        let states = sends(&format!("propagators.inject = {propagators}\n"), "p").0;
        assert_eq!(states, ["ot=th:0"], "{propagators}");
    }
}

#[test]
fn sends_whose_messages_tell_no_threshold_say_it_in_their_spans_however_many_are_in_flight() {
    let traced = Traced::start(
        &[],
        "[services.shop]\nproduces = [\"*\"]\nsampler = { consistent_probability = 1.0 }\npropagators.inject = [\"b3\"]\n",
    );
    let mut config = traced.config(None);
    config.set("bootstrap.servers", "127.0.0.1:1");
    let producer: BaseProducer = config.create().unwrap();
    (0..IN_FLIGHT).for_each(|_| assert!(producer.send(record("orders")).is_ok()));
    producer.purge(PurgeConfig::default().queue());
    producer.flush(LIMIT).unwrap();
    let spans = traced.spans();
    let told = spans.iter().filter(|span| span.trace_state == "ot=th:0").count();
    assert_eq!((spans.len(), told), (IN_FLIGHT, IN_FLIGHT));
}

/// More than what is noted beside messages has places for.
const IN_FLIGHT: usize = 70_000;

#[test]
fn a_commit_of_one_message_is_sampled_as_that_is_and_one_of_several_by_itself_whichever_of_them_are() {
    let traced = Traced::start(&["orders"], "[services.billing]\nconsumes = [\"*\"]\ncommit_spans = true\n");
    let consumer = traced.consumer("orders");
    let mut committed = 0;
    // `~` is a message that is not sampled.
    for messages in ["~", "+", "~+", "~~", "++"] {
        for message in messages.chars() {
            let parent = if message == '+' { TRACEPARENT } else { UNSAMPLED };
            traced.send_untraced("orders", &[("traceparent", parent)]);
            next_message(&consumer);
            committed += 1;
        }
        let mut offsets = TopicPartitionList::new();
        offsets.add_partition_offset("orders", 0, Offset::Offset(committed)).unwrap();
        consumer.commit(&offsets, CommitMode::Sync).unwrap();
    }
    let mut commits: Vec<_> = traced.spans().into_iter().filter(|span| span.name == "commit orders").collect();
    commits.sort_by_key(|span| span.start_unix_nano);
    let seen: Vec<_> = commits.iter().map(|span| (!span.parent_span_id.is_empty(), span.links.len())).collect();
    assert_eq!(seen, [(true, 1), (false, 1), (false, 0), (false, 2)], "and none of the first message alone");
    let traces: Vec<_> = commits.iter().map(|span| TRACEPARENT[3..35] == span.trace_id).collect();
    assert_eq!(traces, [true, false, false, false]);
}

const CALLS: &str = "spans_of_a_call_that_is_told_later_say_the_threshold_of_its_first_message";

#[test]
fn spans_of_a_call_that_is_told_later_say_the_threshold_of_its_first_message() {
    if !child::is_child() {
        let traced = Traced::start(
            &["orders", "audit"],
            r#"
            [services.shop]
            topics = ["*"]
            sampler = { consistent_probability = 1.0 }
            relation = "batch"
            commit_spans = true
            [services.shop.topic."audit"]
            sampler = "always_on"
            "#,
        );
        ["orders", "audit"].iter().for_each(|topic| traced.send_numbered(topic, 3));
        run(&mut traced.again(CALLS)).expect_success();
        let mut traces: HashMap<String, Vec<(String, String)>> = HashMap::new();
        let spans = traced.spans();
        // The message's span, which the commit is below, has come into the call's trace in between.
        let parents: HashMap<_, _> = spans.iter().map(|span| (&span.span_id, &span.trace_id)).collect();
        let commits: Vec<_> =
            spans.iter().filter(|span| span.name.starts_with("commit") && !span.links.is_empty()).collect();
        assert_eq!(commits.len(), 6, "{commits:?}");
        for commit in commits {
            assert_eq!(parents.get(&commit.parent_span_id), Some(&&commit.trace_id), "{commit:?}");
        }
        for span in spans {
            traces.entry(span.trace_id).or_default().push((span.name, span.trace_state));
        }
        let of_calls = traces.into_values().filter(|spans| spans.iter().any(|(name, _)| name == "poll"));
        let mut of_calls: Vec<_> = of_calls.collect();
        of_calls.sort_by_key(|spans| spans[0].1.clone());
        assert_eq!(of_calls.len(), 2, "{of_calls:?}");
        for (spans, state) in of_calls.iter().zip(["", "ot=th:0"]) {
            // On a slow machine its messages may have left before they were told of.
            let has = |name: &str| spans.iter().any(|(known, _)| known == name);
            assert!(has("process orders") && has("process audit"), "{spans:?}");
            assert!(spans.iter().all(|(_, told)| told == state), "{state:?}: {spans:?}");
        }
        return;
    }
    let mut config = child::kafka();
    config.set("group.id", "g");
    tracer_resolver_rdkafka::instrument(&mut config).unwrap();
    let resolver = tracer_resolver::Resolver::global().unwrap();
    declared::declare();
    let consumers = ["orders", "audit"].map(|topic| {
        let consumer = assign(&config, topic);
        next_message(&consumer);
        consumer.commit_consumer_state(CommitMode::Sync).unwrap();
        consumer
    });
    let place = |topic, offset| MessagePlace { topic, partition: 0, offset };
    let process = |topic, offset| declared::end(declared::begin(place(topic, offset), None, None, 0));
    // What is decided for the first one goes for both, whatever was for the other.
    for (offset, first, second) in [(1, "orders", "audit"), (2, "audit", "orders")] {
        consumers.iter().for_each(|consumer| drop(next_message(consumer)));
        declared::hand_over([first, second].map(|topic| (place(topic, offset), None)).into_iter());
        consumers.iter().for_each(|consumer| consumer.commit_consumer_state(CommitMode::Sync).unwrap());
        process("orders", offset);
    }
    // Also for what has left before it is processed.
    assert!(resolver.flush(LIMIT));
    (1..=2).for_each(|offset| process("audit", offset));
    drop(consumers);
    assert!(resolver.shutdown(LIMIT));
}
