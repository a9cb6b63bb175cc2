//! Calls for several messages: a span for each, with links to what sent them, where `relation = "batch"` asks for it.

use super::*;

const BATCH: &str = "relation = \"batch\"";

impl Program {
    /// A message of this topic and offset, sent elsewhere by a span with this last digit; 0: it has no context.
    fn message(&self, topic: &str, digit: u8, offset: i64) -> Box<FakeMessage> {
        let mut message = if digit == 0 { FakeMessage::new(topic) } else { self.of_topic(topic, digit) };
        message.place(0, (self.source / 16) as i32, offset);
        message
    }

    fn of_topic(&self, topic: &str, digit: u8) -> Box<FakeMessage> {
        let message = FakeMessage::new(topic);
        let value = format!("00-0af7651916cd43dd8448eb211c8031{digit:02x}-b7ad6b71692033{digit:02x}-01");
        message.add_header(c"traceparent", value.as_bytes());
        message
    }

    /// One call for several messages, which hands over these.
    fn take(&self, messages: &[&FakeMessage]) {
        polling(self.source, Hands::Many, || messages.iter().for_each(|message| self.consumer.consume(message)));
    }

    /// Every span: name, kind, what it is below, its number of messages, its links, and what of them was left out.
    fn batches(&self) -> Vec<String> {
        let spans = self.spans();
        let name = |span: &Value| {
            let name = span["name"].as_str().unwrap().to_owned();
            attribute(span, "messaging.kafka.offset").map_or(name.clone(), |offset| format!("{name} {offset}"))
        };
        let mut lines: Vec<_> = spans
            .iter()
            .map(|span| {
                let parent = spans.iter().find(|parent| parent["spanId"] == span["parentSpanId"]);
                if let Some(parent) = parent {
                    assert_eq!(parent["traceId"], span["traceId"]);
                    assert!(parent["startTimeUnixNano"].as_str() <= span["startTimeUnixNano"].as_str());
                }
                let above = parent.map_or_else(|| "a root".to_owned(), |parent| format!("below {}", name(parent)));
                let links: Vec<_> = list(span, "links")
                    .iter()
                    .map(|link| {
                        assert_eq!(link["flags"].as_u64().unwrap() & 0x300, 0x300, "it came from elsewhere");
                        link["spanId"].as_str().unwrap()[14..].to_owned()
                    })
                    .collect();
                let count = attribute(span, "messaging.batch.message_count").map(|count| format!(" of {count}"));
                format!(
                    "{} kind {} {above}{} links [{}]",
                    name(span),
                    span["kind"],
                    count.unwrap_or_default(),
                    links.join(" ")
                )
            })
            .collect();
        lines.sort();
        lines
    }
}

#[test]
fn a_call_that_hands_over_several_messages_has_a_span_with_links_to_what_sent_them_and_above_theirs() {
    let program = Program::seen(BATCH);
    let messages: Vec<_> =
        [(1, 1), (2, 2), (0, 3)].map(|(digit, offset)| program.message("orders", digit, offset)).into();
    program.take(&messages.iter().map(|message| &**message).collect::<Vec<_>>());
    assert_eq!(
        program.batches(),
        [
            "poll orders kind 3 a root of 3 links [01 02]",
            "receive orders 1 kind 5 below poll orders links [01]",
            "receive orders 2 kind 5 below poll orders links [02]",
            "receive orders 3 kind 5 below poll orders links []",
        ]
    );
    let spans = program.spans();
    let poll = spans.iter().find(|span| span["name"] == "poll orders").unwrap();
    for (key, value) in [
        ("messaging.system", "kafka"),
        ("messaging.operation.name", "poll"),
        ("messaging.operation.type", "receive"),
        ("messaging.destination.name", "orders"),
        ("messaging.destination.partition.id", &(program.source / 16).to_string()),
    ] {
        assert_eq!(attribute(poll, key).as_deref(), Some(value), "{key}");
    }
    assert_eq!(attribute(poll, "messaging.kafka.offset"), None);
    assert_eq!(list(poll, "links")[0]["traceId"], "0af7651916cd43dd8448eb211c803101");
    assert_eq!(list(poll, "links")[0]["flags"], 0x301, "and is known to be sampled");
}

#[test]
fn a_call_has_no_span_unless_it_is_asked_for_and_what_hands_over_nothing_has_none() {
    for (settings, expected) in [("", 2), ("relation = \"link\"", 2), (BATCH, 0)] {
        let program = Program::seen(settings);
        let messages = [program.incoming(1), program.incoming(2)];
        let taken = if settings == BATCH { vec![] } else { messages.iter().map(|message| &**message).collect() };
        program.take(&taken);
        let found = program.batches();
        assert_eq!(found.len(), expected, "{settings}: {found:?}");
        assert!(!found.iter().any(|line| line.starts_with("poll")), "{settings}: {found:?}");
    }
}

#[test]
fn the_span_of_a_call_is_from_its_first_message_to_its_last_however_long_the_call_waits() {
    let program = Program::seen(BATCH);
    polling(program.source, Hands::Many, || {
        std::thread::sleep(LONG);
        program.consumer.consume(&program.incoming(1));
        std::thread::sleep(LONG);
        program.consumer.consume(&program.incoming(2));
        std::thread::sleep(LONG);
    });
    let spans = program.spans();
    let time = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    let poll = spans.iter().find(|span| span["name"] == "poll orders").unwrap();
    let mut delivered: Vec<_> =
        spans.iter().filter(|span| span["kind"] == 5).map(|span| time(span, "startTimeUnixNano")).collect();
    delivered.sort_unstable();
    assert_eq!([time(poll, "startTimeUnixNano"), time(poll, "endTimeUnixNano")], *delivered);
}

#[test]
fn what_is_not_the_same_for_all_messages_is_not_told_of_the_call() {
    let program = Program::seen(BATCH);
    let mut elsewhere = program.message("orders", 2, 2);
    elsewhere.place(0, 1 << 20, 2);
    program.take(&[&program.message("orders", 1, 1), &elsewhere]);
    program.take(&[
        &program.message("orders", 3, 3),
        &program.message("bills", 4, 4),
        &program.message("orders", 5, 5),
    ]);
    let spans = program.spans();
    let polls: Vec<_> = spans.iter().filter(|span| span["kind"] == 3).collect();
    let told = |span: &Value, key: &str| attribute(span, key);
    assert_eq!(polls[0]["name"], "poll orders");
    assert_eq!(told(polls[0], "messaging.destination.name").as_deref(), Some("orders"));
    assert_eq!(told(polls[0], "messaging.destination.partition.id"), None, "of two partitions");
    assert_eq!(polls[1]["name"], "poll");
    assert_eq!(told(polls[1], "messaging.destination.name"), None, "of two topics");
    assert_eq!(told(polls[1], "messaging.destination.partition.id"), None);
    assert_eq!(told(polls[1], "messaging.batch.message_count").as_deref(), Some("3"));
}

#[test]
fn each_service_has_a_span_of_the_call_with_its_own_messages() {
    let program = Program::seen(
        "relation = \"batch\"\n[services.audit]\nconsumes = [\"audit.*\"]\nexport = [\"out\"]\nrelation = \"batch\"\n\
         [services.plain]\nconsumes = [\"plain\"]\nexport = [\"out\"]\n[services.silent]\nconsumes = [\"silent\"]\ntrace = \"off\"",
    );
    let of = |topic, digit| program.message(topic, digit, i64::from(digit));
    program.take(&[
        &of("orders", 1),
        &of("audit.a", 2),
        &of("plain", 3),
        &of("silent", 4),
        &of("audit.b", 5),
        &of("orders", 6),
    ]);
    assert_eq!(
        program.batches(),
        [
            "poll kind 3 a root of 2 links [02 05]",
            "poll orders kind 3 a root of 2 links [01 06]",
            "receive audit.a 2 kind 5 below poll links [02]",
            "receive audit.b 5 kind 5 below poll links [05]",
            "receive orders 1 kind 5 below poll orders links [01]",
            "receive orders 6 kind 5 below poll orders links [06]",
            "receive plain 3 kind 5 a root links []",
        ]
    );
}

#[test]
fn what_the_sampler_says_of_the_call_goes_for_all_of_its_messages() {
    let program = Program::seen("relation = \"batch\"\nsampler = \"always_off\"");
    program.take(&[&program.incoming(1), &program.incoming(2)]);
    assert_eq!(program.batches(), Vec::<String>::new());
    // A call for each: what one that is kept has, the next one has not.
    let program = Program::seen("relation = \"batch\"\nsampler = { rate_limit = 1 }\nparent = \"ignore\"");
    for round in 0..3 {
        program.take(&[1, 2, 3].map(|digit| program.message("orders", digit, round * 3)).each_ref().map(|m| &**m));
    }
    let found = program.batches();
    assert!(found.len() % 4 == 0 && !found.is_empty() && found.len() < 12, "whole calls only: {found:?}");
}

#[test]
fn a_sender_that_is_sampled_out_is_linked_to_as_such_and_decides_nothing() {
    let program = Program::seen(BATCH);
    let message = FakeMessage::new("orders");
    message.add_header(c"traceparent", b"00-0af7651916cd43dd8448eb211c803109-b7ad6b7169203309-00");
    program.take(&[&message, &program.incoming(2)]);
    let spans = program.spans();
    assert_eq!(spans.len(), 3);
    let poll = spans.iter().find(|span| span["name"] == "poll orders").unwrap();
    let flags: Vec<_> = list(poll, "links").iter().map(|link| link["flags"].as_u64().unwrap()).collect();
    assert_eq!(flags, [0x300, 0x301]);
}

#[test]
fn a_threshold_of_the_call_s_trace_is_told_by_all_spans_of_it() {
    let program = Program::seen("relation = \"batch\"\nsampler = { consistent_probability = 1.0 }");
    let message = program.incoming(1);
    message.add_header(c"tracestate", b"vendor=1,ot=rv:00000000000000");
    program.take(&[&message, &program.incoming(2)]);
    let states: Vec<_> =
        program.spans().iter().map(|span| span["traceState"].as_str().unwrap_or("-").to_owned()).collect();
    assert_eq!(states, ["ot=th:0"; 3], "and nothing of the senders' traces");
}

#[test]
fn links_of_a_call_are_bounded_and_the_rest_is_counted() {
    let program = Program::seen(BATCH);
    let messages: Vec<_> = (0..150).map(|offset| program.message("orders", 1, offset)).collect();
    program.take(&messages.iter().map(|message| &**message).collect::<Vec<_>>());
    let spans = program.spans();
    let poll = spans.iter().find(|span| span["name"] == "poll orders").unwrap();
    assert_eq!(list(poll, "links").len(), 100);
    assert_eq!(poll["droppedLinksCount"], 50);
    assert_eq!(attribute(poll, "tracer_resolver.links.left_out").as_deref(), Some("50"));
    assert_eq!(attribute(poll, "messaging.batch.message_count").as_deref(), Some("150"));
    assert_eq!(spans.len(), 151);
}

#[test]
fn a_message_that_comes_by_a_call_for_one_or_by_one_that_is_not_seen_begins_a_trace_with_a_link() {
    let program = Program::seen(BATCH);
    program.poll(Some(&program.incoming(1)));
    program.poll(None);
    assert_eq!(program.batches(), ["process orders 1 kind 5 a root links [01]"]);
    let program = Program::unseen(BATCH);
    program.consumer.consume(&program.incoming(1));
    assert_eq!(program.batches(), ["receive orders 1 kind 5 a root links [01]"]);
    let program = Program::new(BATCH, false, |resolver| FakeClient::consumer(resolver, Integration::Rust));
    program.consumer.consume(&program.incoming(1));
    assert_eq!(program.batches(), ["receive orders 1 kind 5 a root links [01]"]);
}

#[test]
fn a_call_that_is_made_in_a_callback_of_another_one_has_a_span_and_messages_of_its_own() {
    let program = Program::seen(BATCH);
    let of = |topic, digit| program.message(topic, digit, i64::from(digit));
    polling(program.source, Hands::Many, || {
        program.consumer.consume(&of("outer", 1));
        polling(program.source, Hands::Many, || program.consumer.consume(&of("inner", 2)));
        polling(program.source, Hands::One, || program.consumer.consume(&of("single", 3)));
        program.consumer.consume(&of("outer", 4));
    });
    program.take(&[&of("later", 5)]);
    assert_eq!(
        program.batches(),
        [
            "poll inner kind 3 a root of 1 links [02]",
            "poll later kind 3 a root of 1 links [05]",
            "poll outer kind 3 a root of 2 links [01 04]",
            "receive inner 2 kind 5 below poll inner links [02]",
            "receive later 5 kind 5 below poll later links [05]",
            "receive outer 1 kind 5 below poll outer links [01]",
            "receive outer 4 kind 5 below poll outer links [04]",
            "receive single 3 kind 5 a root links [03]",
        ]
    );
}

#[test]
fn a_call_that_ends_by_a_panic_of_the_application_s_is_over() {
    let program = Program::seen(BATCH);
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        polling(program.source, Hands::Many, || {
            program.consumer.consume(&program.incoming(1));
            panic!("in a callback");
        });
    }));
    assert!(ended.is_err());
    program.consumer.consume(&program.incoming(2));
    assert_eq!(
        program.batches(),
        [
            "poll orders kind 3 a root of 1 links [01]",
            "receive orders 1 kind 5 below poll orders links [01]",
            "receive orders 2 kind 5 a root links [02]",
        ]
    );
}

#[test]
fn threads_that_take_several_messages_at_once_have_calls_of_their_own() {
    let program = Program::seen(BATCH);
    const THREADS: i64 = 4;
    const CALLS: i64 = 50;
    // A fake client is of one thread; so each has a program, and all of them one process.
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let program = Program::seen(BATCH);
                    for call in 0..CALLS {
                        let messages =
                            [1, 2].map(|digit| program.message("orders", digit, call * 2 + i64::from(digit)));
                        program.take(&messages.each_ref().map(|message| &**message));
                    }
                    program.batches()
                })
            })
            .collect();
        for thread in threads {
            let found = thread.join().unwrap();
            let calls = found.iter().filter(|line| *line == "poll orders kind 3 a root of 2 links [01 02]").count();
            assert_eq!((calls as i64, found.len() as i64), (CALLS, 3 * CALLS));
            assert!(
                found.iter().all(|line| line.starts_with("poll") || line.contains("below poll orders")),
                "{found:?}"
            );
        }
    });
    assert_eq!(program.batches(), Vec::<String>::new());
}

#[test]
fn headers_to_be_told_and_commits_are_of_the_messages_spans() {
    let program =
        Program::seen("relation = \"batch\"\ncapture_headers = [\"tenant\"]\nreinject = true\ncommit_spans = true");
    let (first, second) = (program.message("orders", 1, 1), program.message("orders", 2, 2));
    first.add_header(c"tenant", b"blue");
    program.take(&[&first, &second]);
    program.consumer.commit(c"orders", (program.source / 16) as i32, 3, 0);
    let spans = program.spans();
    let of = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap();
    let (poll, commit) = (of("poll orders"), of("commit orders"));
    let receives: Vec<_> = spans.iter().filter(|span| span["name"] == "receive orders").collect();
    assert!(list(poll, "attributes").iter().all(|attribute| attribute["key"] != "messaging.header.tenant"));
    assert!(list(receives[0], "attributes").iter().any(|attribute| attribute["key"] == "messaging.header.tenant"));
    let header = String::from_utf8(first.header("traceparent").unwrap()).unwrap();
    assert_eq!(
        header[3..52],
        format!("{}-{}", poll["traceId"].as_str().unwrap(), receives[0]["spanId"].as_str().unwrap())
    );
    assert_eq!(list(commit, "links").len(), 2, "a commit is linked to the messages, not to the call");
}

#[test]
fn the_older_names_are_told_of_a_call_too() {
    let program = Program::seen("relation = \"batch\"\nconventions = \"messaging/dup\"");
    program.take(&[&program.incoming(1), &program.incoming(2)]);
    let spans = program.spans();
    let poll = spans.iter().find(|span| span["name"] == "poll orders").unwrap();
    assert_eq!(attribute(poll, "messaging.operation").as_deref(), Some("receive"));
    assert_eq!(attribute(poll, "messaging.kafka.destination.partition"), Some((program.source / 16).to_string()));
}

#[test]
fn two_consumers_whose_messages_one_call_hands_over_have_a_span_each() {
    let program = Program::seen(BATCH);
    let other = seen_polling(|| FakeClient::consumer(&program.resolver, Integration::Plugin));
    polling(program.source, Hands::Many, || {
        program.consumer.consume(&program.incoming(1));
        other.consume(&program.incoming(2));
    });
    assert_eq!(
        program.batches(),
        [
            "poll orders kind 3 a root of 1 links [01]",
            "poll orders kind 3 a root of 1 links [02]",
            "receive orders 1 kind 5 below poll orders links [01]",
            "receive orders 2 kind 5 below poll orders links [02]",
        ]
    );
}

/// As a callback of the application's may do. The child comes back from the call too.
#[test]
fn a_call_in_which_the_process_forks_has_its_span_in_the_process_that_called() {
    let program = Program::seen(BATCH);
    let mut child = -1;
    polling(program.source, Hands::Many, || {
        program.consumer.consume(&program.incoming(1));
        // SAFETY: the child does what it may after a fork, and ends.
        child = unsafe { libc::fork() };
        assert_ne!(child, -1);
    });
    if child == 0 {
        // SAFETY: neither comes back to the tests; a child that hangs ends all the same.
        unsafe {
            libc::alarm(60);
            program.resolver.flush(Duration::from_secs(20));
            libc::_exit(0);
        }
    }
    let mut status = 0;
    // SAFETY: the child from above, and a place for its status.
    assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
    assert_eq!(status, 0);
    assert_eq!(
        program.batches(),
        ["poll orders kind 3 a root of 1 links [01]", "receive orders 1 kind 5 below poll orders links [01]"]
    );
}
