//! Commits of offsets: a span for each, with links to what it settles, where `commit_spans` asks for it.

use std::ffi::CStr;

use super::*;

/// A commit's span: its kind, length in milliseconds, status, error, partition, offset, how many links were left out, and
/// the names of what it is below and linked to.
fn commits(program: &Program) -> Vec<String> {
    let spans = program.spans();
    let name = |id: &Value| {
        let found = spans.iter().find(|span| span["spanId"] == *id);
        found.map_or("-".to_owned(), |span| {
            let name = span["name"].as_str().unwrap().to_owned();
            attribute(span, "messaging.kafka.offset").map_or(name.clone(), |offset| format!("{name} {offset}"))
        })
    };
    let commit = |span: &Value| {
        let told = ["error.type", "messaging.destination.partition.id", "messaging.kafka.offset"];
        let told = told.map(|key| attribute(span, key).unwrap_or("-".into()));
        let links: Vec<_> = list(span, "links").iter().map(|link| name(&link["spanId"])).collect();
        let left_out = attribute(span, "tracer_resolver.links.left_out").unwrap_or("0".into());
        assert_eq!(span["droppedLinksCount"].as_u64().unwrap_or(0).to_string(), left_out);
        format!(
            "{} kind {} status {} {} below {} links [{}] and {left_out}",
            span["name"].as_str().unwrap(),
            span["kind"],
            span["status"]["code"].as_u64().unwrap_or(0),
            told.join(" "),
            name(&span["parentSpanId"]),
            links.join(", ")
        )
    };
    spans
        .iter()
        .filter(|span| attribute(span, "messaging.operation.type").as_deref() == Some("settle"))
        .map(commit)
        .collect()
}

fn partition(program: &Program) -> i32 {
    (program.source / 16) as i32
}

#[test]
fn a_commit_has_no_span_unless_it_is_asked_for() {
    let program = Program::unseen("");
    program.consumer.consume(&program.incoming(1));
    program.consumer.commit(c"orders", partition(&program), 2, 0);
    assert_eq!(commits(&program), Vec::<String>::new());
}

#[test]
fn a_commit_of_one_message_is_below_its_processing_and_linked_to_it() {
    let program = Program::unseen("commit_spans = true");
    let partition = partition(&program);
    program.consumer.consume(&program.incoming(1));
    work();
    program.consumer.respond(8, 1000);
    program.consumer.commit(c"orders", partition, 2, 0);
    let expected =
        format!("commit orders kind 3 status 0 - {partition} 1 below process orders 1 links [process orders 1] and 0");
    assert_eq!(commits(&program), [expected]);
    let spans = program.spans();
    let span = spans.iter().find(|span| span["name"] == "commit orders").unwrap();
    let time = |key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    let length = time("endTimeUnixNano") - time("startTimeUnixNano");
    assert!((1_000_000..60_000_000_000).contains(&length), "as long as the broker took: {length}");
    for (key, value) in [
        ("messaging.operation.name", "commit"),
        ("messaging.system", "kafka"),
        ("messaging.destination.name", "orders"),
    ] {
        assert_eq!(attribute(span, key).as_deref(), Some(value), "{key}");
    }
}

#[test]
fn a_commit_of_several_messages_begins_a_trace_and_is_linked_to_all_that_it_settles() {
    let program = Program::unseen("commit_spans = true");
    let partition = partition(&program);
    for digit in 1..=4 {
        program.consumer.consume(&program.incoming(digit));
    }
    program.consumer.commit(c"orders", partition, 4, 0);
    program.consumer.commit(c"orders", partition, 5, 0);
    program.consumer.commit(c"orders", partition, 5, 0);
    assert_eq!(
        commits(&program),
        [
            format!(
                "commit orders kind 3 status 0 - {partition} - below - links [receive orders 1, receive orders 2, \
                 receive orders 3] and 0"
            ),
            format!(
                "commit orders kind 3 status 0 - {partition} 4 below receive orders 4 links [receive orders 4] and 0"
            ),
            format!("commit orders kind 3 status 0 - {partition} - below - links [] and 0"),
        ]
    );
}

#[test]
fn a_commit_that_fails_says_why_and_the_next_one_settles_the_same() {
    let program = Program::unseen("commit_spans = true");
    let partition = partition(&program);
    program.consumer.consume(&program.incoming(1));
    program.consumer.commit(c"orders", partition, 2, 22);
    program.consumer.commit_all(&[(c"orders", partition, 2, 25)], 0);
    program.consumer.commit(c"orders", partition, 2, -168);
    program.consumer.commit(c"orders", partition, 2, 0);
    let below = "below receive orders 1 links [receive orders 1] and 0";
    assert_eq!(
        commits(&program),
        [
            format!("commit orders kind 3 status 2 _FAKE {partition} 1 {below}"),
            format!("commit orders kind 3 status 2 _FAKE {partition} 1 {below}"),
            format!("commit orders kind 3 status 0 - {partition} 1 {below}"),
        ],
        "there was nothing to commit by the third"
    );
}

#[test]
fn a_commit_of_several_topics_has_a_span_for_each_by_its_own_rules() {
    let program = Program::unseen("commit_spans = true\n[services.app.topic.\"bills\"]\ncommit_spans = false");
    let partition = partition(&program);
    for (topic, offset) in [("orders", 1), ("bills", 1), ("stock", 1), ("stock", 2)] {
        let mut message = FakeMessage::new(topic);
        message.place(0, partition, offset);
        program.consumer.consume(&message);
    }
    program.consumer.commit_all(
        &[(c"stock", partition, 3, 0), (c"bills", partition, 2, 0), (c"orders", partition, 2, 0), (c"stock", 0, 7, 0)],
        0,
    );
    let mut found = commits(&program);
    found.sort();
    assert_eq!(
        found,
        [
            format!(
                "commit orders kind 3 status 0 - {partition} 1 below receive orders 1 links [receive orders 1] and 0"
            ),
            "commit stock kind 3 status 0 - - - below - links [receive stock 1, receive stock 2] and 0".to_owned(),
        ]
    );
}

#[test]
fn links_are_bounded_and_the_rest_is_counted() {
    let program = Program::unseen("commit_spans = true");
    let partition = partition(&program);
    for offset in 0..150 {
        let mut message = FakeMessage::new("orders");
        message.place(0, partition, offset);
        program.consumer.consume(&message);
    }
    program.consumer.commit(c"orders", partition, 150, 0);
    let found = commits(&program);
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].matches("receive orders").count(), 100, "{found:?}");
    assert!(found[0].ends_with(" and 50"), "{found:?}");
}

#[test]
fn what_is_sampled_out_is_not_linked_to() {
    let program = Program::unseen("commit_spans = true\nsampler = \"always_off\"");
    let partition = partition(&program);
    let mut plain = FakeMessage::new("orders");
    plain.place(0, partition, 1);
    program.consumer.consume(&plain);
    program.consumer.commit(c"orders", partition, 2, 0);
    assert_eq!(commits(&program), Vec::<String>::new());
    program.consumer.consume(&program.incoming(2));
    program.consumer.commit(c"orders", partition, 3, 0);
    // Whichever of them are sampled, this one is of two messages, and the sampler keeps no trace that begins here.
    program.consumer.consume(&program.incoming(3));
    plain.place(0, partition, 4);
    program.consumer.consume(&plain);
    program.consumer.commit(c"orders", partition, 5, 0);
    assert_eq!(
        commits(&program),
        [format!(
            "commit orders kind 3 status 0 - {partition} 2 below receive orders 2 links [receive orders 2] and 0"
        )],
        "a parent's decision wins, and only that message has a span"
    );
}

#[test]
fn a_program_with_processing_guards_has_them_too() {
    let program =
        Program::new("commit_spans = true", false, |resolver| FakeClient::consumer(resolver, Integration::Rust));
    let partition = partition(&program);
    program.consumer.consume(&program.incoming(1));
    program.consumer.commit(c"orders", partition, 2, 0);
    assert_eq!(
        commits(&program),
        [format!(
            "commit orders kind 3 status 0 - {partition} 1 below receive orders 1 links [receive orders 1] and 0"
        )]
    );
}

/// The application sends the offsets of these partitions along with a transaction.
fn send_offsets(group: Option<&str>, partitions: &[(&CStr, i32, i64, i32)], err: i32) {
    let group = group.map(|group| group.as_bytes().to_vec());
    fake_kafka::with_list(partitions, |list| {
        // SAFETY: the list outlives the call.
        unsafe { sending_offsets(list, || group, || err, |err| *err) };
    });
}

#[test]
fn offsets_of_a_transaction_are_a_commit_of_the_consumer_whose_messages_they_settle() {
    for group in [Some("bench-group"), None] {
        let program = Program::unseen("commit_spans = true");
        let partition = partition(&program);
        for digit in 1..=3 {
            program.consumer.consume(&program.incoming(digit));
        }
        work();
        send_offsets(group, &[(c"orders", partition, 2, 0)], 0);
        send_offsets(group, &[(c"orders", partition, 4, 0), (c"orders", partition + (1 << 20), 4, 0)], -22);
        send_offsets(group, &[(c"orders", partition, 4, 0)], 0);
        send_offsets(group, &[(c"orders", partition, 4, 0)], 0);
        let two = "links [receive orders 2, receive orders 3] and 0";
        assert_eq!(
            commits(&program),
            [
                format!(
                    "commit orders kind 3 status 0 - {partition} 1 below receive orders 1 links [receive orders 1] and 0"
                ),
                format!("commit orders kind 3 status 2 _FAKE {partition} - below - {two}"),
                format!("commit orders kind 3 status 0 - {partition} - below - {two}"),
                format!("commit orders kind 3 status 0 - {partition} - below - links [] and 0"),
            ],
            "{group:?}"
        );
    }
}

#[test]
fn offsets_of_a_transaction_for_a_group_that_nobody_here_is_of_have_no_span() {
    let program = Program::unseen("commit_spans = true");
    program.consumer.consume(&program.incoming(1));
    send_offsets(Some("others"), &[(c"orders", partition(&program), 2, 0)], 0);
    send_offsets(Some("bench-group"), &[(c"bills", partition(&program), 2, 0)], 0);
    // SAFETY: null is no list.
    unsafe { sending_offsets(std::ptr::null(), || None, || 0, |err| *err) };
    assert_eq!(commits(&program), Vec::<String>::new());
}

#[test]
fn of_two_consumers_of_a_partition_the_offsets_of_a_transaction_are_of_the_group_s_that_got_there() {
    let program = Program::unseen("commit_spans = true");
    let partition = partition(&program);
    let other = |group| FakeClient::in_group(&program.resolver, Integration::Plugin, group);
    let (second, stranger) = (other(c"bench-group"), other(c"strangers"));
    // The partition went to another member of the group.
    second.consume(&program.incoming(1));
    program.consumer.consume(&program.incoming(2));
    stranger.consume(&program.incoming(3));
    let at = |offset| [(c"orders", partition, offset, 0)];
    send_offsets(None, &at(4), 0);
    assert_eq!(commits(&program), Vec::<String>::new(), "nobody knows whose they are");
    send_offsets(Some("bench-group"), &at(4), 0);
    send_offsets(Some("strangers"), &at(4), 0);
    let of = |offset| {
        format!(
            "commit orders kind 3 status 0 - {partition} {offset} below receive orders {offset} links [receive orders \
             {offset}] and 0"
        )
    };
    assert_eq!(commits(&program), [of(2), of(3)]);
    // Who is gone has no part in it.
    drop((second, stranger));
    send_offsets(None, &at(4), 0);
    let nothing = format!("commit orders kind 3 status 0 - {partition} - below - links [] and 0");
    assert_eq!(commits(&program)[2..], [nothing]);
}

#[test]
fn a_call_that_two_integrations_see_is_one_commit() {
    let program = Program::unseen("commit_spans = true");
    program.consumer.consume(&program.incoming(1));
    fake_kafka::with_list(&[(c"orders", partition(&program), 2, 0)], |list| {
        // SAFETY: the list outlives the calls.
        unsafe { sending_offsets(list, || None, || sending_offsets(list, || None, || 0, |err| *err), |err| *err) };
    });
    assert_eq!(commits(&program).len(), 1);
}

/// The trace states of the commits' spans, after each of these messages was committed, and then all of them.
fn states_of_commits(settings: &str, states: &[&str]) -> Vec<String> {
    let program = Program::unseen(&format!("commit_spans = true\n{settings}"));
    let partition = partition(&program);
    for (digit, state) in (1..).zip(states) {
        let message = program.incoming(digit);
        message.add_header(c"tracestate", state.as_bytes());
        program.consumer.consume(&message);
        program.consumer.commit(c"orders", partition, i64::from(digit) + 1, 0);
    }
    for digit in 101..=102 {
        program.consumer.consume(&program.incoming(digit));
    }
    program.consumer.commit(c"orders", partition, 103, 0);
    let spans = program.spans();
    let commits = spans.iter().filter(|span| span["name"] == "commit orders");
    commits.map(|span| span["traceState"].as_str().unwrap_or("-").to_owned()).collect()
}

#[test]
fn a_commit_says_for_how_many_its_trace_stands() {
    // The last 56 bits of the trace's id are 48eb211c8031….
    let states = ["vendor=1,ot=th:4", "ot=th:8", "ot=th:8;rv:80000000000000", ""];
    let expected = ["ot=th:4", "-", "ot=th:8;rv:80000000000000", "-", "-"];
    assert_eq!(states_of_commits("", &states), expected, "as its parent, where that was kept by it");
    let own = "sampler = { consistent_probability = 1.0 }";
    assert_eq!(states_of_commits(own, &states)[4], "ot=th:0", "one of several begins a trace");
    let ignoring = "sampler = { consistent_probability = 0.5 }\nparent = \"ignore\"";
    let found = states_of_commits(ignoring, &states);
    assert!(found.contains(&"ot=th:8;rv:80000000000000".to_owned()), "it is kept by its randomness too: {found:?}");
}
