//! Promise: programs in C are traced through both ways in, on the system's librdkafka, on 1.7 and on the newest: every way to
//! send, every way to receive, and a hundred thousand messages in a memory that stays as it is.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::foreign::{PROCESSING, Shop, c_program, librdkafka_of_python, processing_in_rust, run_rounds, skip};
use words::kafka::{Kafka, assign, header_of, next_message, with_headers};
use words::{Ended, LIMIT, Traced, WayIn, draw_traces_with, run};

fn ended(traced: &Traced, way: WayIn, program: &Path, how: &[&str]) -> Ended {
    ended_on(None, traced, way, program, how)
}

/// With the librdkafka of that folder, or the system's. Of another one's own log lines, some say at the end that its brokers are down.
fn ended_on(librdkafka: Option<&Path>, traced: &Traced, way: WayIn, program: &Path, how: &[&str]) -> Ended {
    let mut command = traced.command(way, program);
    if let Some(folder) = librdkafka {
        command.env("LD_LIBRARY_PATH", folder);
    }
    let mut ended = run(command.args(how));
    ended.expect_success();
    if librdkafka.is_some() {
        ended.stderr = ended.stderr.split_inclusive('\n').filter(|line| !line.starts_with('%')).collect();
    }
    ended
}

#[test]
fn the_flow_draws_what_the_rust_crate_draws() {
    the_flow_on(None);
}

#[track_caller]
fn the_flow_on(librdkafka: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let Some(flow) = c_program(folder.path(), "c/flow.c", &[]) else { return };
    for (way, shop) in [
        (WayIn::Property, Shop::SaysNothing),
        (WayIn::Preload, Shop::SaysWhenItIsDone),
        (WayIn::Both, Shop::SaysWhenItIsDone),
    ] {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        let ended = ended_on(librdkafka, &traced, way, &flow, &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""));
        assert_eq!(traced.take_traces(), processing_in_rust(3, shop), "{way:?}");
    }
}

#[test]
fn every_way_to_send_is_traced_and_comes_to_what_it_comes_to_untraced() {
    every_way_to_send_on(None);
}

#[track_caller]
fn every_way_to_send_on(librdkafka: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let Some(sends) = c_program(folder.path(), "c/sends.c", &[]) else { return };
    // The last two have messages for a partition that is not there: librdkafka refuses them, tells no interceptor what
    // became of them, and of `nowhere` calls it for none: there the preloaded library sees the call.
    for (how, arrive) in
        [("produce", 5), ("producev", 5), ("produceva", 5), ("batch", 5), ("partitions", 4), ("nowhere", 1)]
    {
        let untraced = Traced::start(&["orders"], PROCESSING);
        let said = ended_on(librdkafka, &untraced, WayIn::None, &sends, &[how]).stdout;
        assert!(said.starts_with("taken ") && untraced.spans().is_empty(), "{how}: {said}");
        for way in WayIn::EACH {
            let traced = Traced::start(&["orders"], PROCESSING);
            assert_eq!(ended_on(librdkafka, &traced, way, &sends, &[how]).stdout, said, "{how} {way:?}");
            let refused = if (how, way) == ("nowhere", WayIn::Preload) { 4 } else { 0 };
            let failed = "shop: send orders !_UNKNOWN_PARTITION\n".repeat(refused);
            let expected = "shop: send orders\n".repeat(arrive) + &failed;
            assert_eq!(traced.take_traces(), expected, "{how} {way:?}");
        }
    }
}

#[test]
fn every_way_to_receive_is_traced_and_what_is_sent_after_ten_messages_continues_none_of_them() {
    every_way_to_receive_on(None);
}

#[track_caller]
fn every_way_to_receive_on(librdkafka: Option<&Path>) {
    let folder = tempfile::tempdir().unwrap();
    let Some(receives) = c_program(folder.path(), "c/receives.c", &[]) else { return };
    let received = "billing: receive orders\n";
    let receives_only = received.repeat(10) + "billing: send payments\n";
    let polls = "billing: process orders {end=poll}\n".repeat(9)
        + "billing: process orders {end=close}\nbilling: send payments\n";
    for (how, by_preload) in [
        ("poll", &polls),
        ("queue", &polls),
        ("legacy", &polls),
        ("events", &receives_only),
        ("batch", &receives_only),
        ("callback", &receives_only),
    ] {
        for (way, expected) in [(WayIn::Property, &receives_only), (WayIn::Preload, by_preload)] {
            let traced = Traced::start(&["orders", "payments"], PROCESSING);
            traced.send_numbered("orders", 10);
            let ended = ended_on(librdkafka, &traced, way, &receives, &[how]);
            assert_eq!((&*ended.stdout, &*ended.stderr), ("10\n", ""), "{how} {way:?}");
            let drawing = draw_traces_with(&traced.spans(), &["tracer_resolver.process.end"]);
            assert_eq!(&drawing, expected, "{how} {way:?}");
        }
    }
}

/// The floor, the last of its major version, and the newest: as they are in Python's wheels, since no system has all of them.
#[test]
fn the_same_on_the_oldest_and_on_the_newest_librdkafka() {
    for (client, version) in [("1.7.0", "1.7.0"), ("1.9.2", "1.9.2"), ("2.16.1", "2.16.0")] {
        let Some(librdkafka) = librdkafka_of_python(client) else { return };
        let folder = tempfile::tempdir().unwrap();
        let source = folder.path().join("version.c");
        let says =
            "#include <librdkafka/rdkafka.h>\n#include <stdio.h>\nint main(void) { puts(rd_kafka_version_str()); }\n";
        std::fs::write(&source, says).unwrap();
        let Some(program) = c_program(folder.path(), source.to_str().unwrap(), &[]) else { return };
        let traced = Traced::start(&[], PROCESSING);
        let ended = ended_on(Some(&librdkafka), &traced, WayIn::None, &program, &[]);
        assert_eq!(ended.stdout, format!("{version}\n"));
        drop(traced);
        the_flow_on(Some(&librdkafka));
        every_way_to_send_on(Some(&librdkafka));
        every_way_to_receive_on(Some(&librdkafka));
    }
}

#[test]
fn offsets_that_a_transaction_takes_along_are_commits_with_links_where_the_call_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let Some(transactions) = c_program(folder.path(), "c/transactions.c", &[]) else { return };
    // By property, what they settled is left for the commit that the client makes when it is closed.
    for (way, links) in [(WayIn::Preload, &[2, 2][..]), (WayIn::Both, &[2, 2]), (WayIn::Property, &[4])] {
        let traced = Traced::start(&["orders", "payments"], &format!("{PROCESSING}commit_spans = true\n"));
        traced.send_numbered("orders", 4);
        let ended = ended(&traced, way, &transactions, &[]);
        assert_eq!(ended.stderr, "", "{way:?}");
        let spans = traced.spans();
        let commits = spans.iter().filter(|span| span.name == "commit orders" && !span.links.is_empty());
        assert_eq!(commits.map(|span| span.links.len()).collect::<Vec<_>>(), links, "{way:?}: {spans:#?}");
    }
}

#[test]
fn a_send_that_is_refused_at_once_has_one_failed_span_where_the_call_is_seen() {
    let folder = tempfile::tempdir().unwrap();
    let Some(refused) = c_program(folder.path(), "c/refused.c", &[]) else { return };
    let (sent, full) = ("shop: send orders\n", "shop: send orders !_QUEUE_FULL\n");
    // librdkafka calls the interceptors for a partition that is not there.
    let (large, nowhere) = ("shop: send orders !MESSAGE_TOO_LARGE\n", "shop: send orders !_UNKNOWN_PARTITION\n");
    let alone = [sent, sent, sent, full, sent, large, nowhere].concat();
    let unseen = [sent, sent, sent, sent, nowhere].concat();
    let batch = [sent, sent, sent, full, full].concat();
    let (order, paid) = ("billing: process orders\n", "billing: send payments\n");
    let (below, full_below) = ("  billing: send payments\n", "  billing: send payments !_QUEUE_FULL\n");
    let follows = [paid, order, below, below, full_below, below].concat();
    let several = [paid, order, below, below, order, order, &full_below[2..], paid].concat();
    for (how, seen, unseen) in [
        ("produce", &alone, Some(&unseen)),
        ("produceva", &alone, Some(&unseen)),
        ("batch", &batch, Some(&sent.repeat(3))),
        ("follows", &follows, None),
        ("several", &several, None),
    ] {
        let said = |way| {
            let traced = Traced::start(&["orders", "payments"], PROCESSING);
            if unseen.is_none() {
                traced.send_numbered("orders", 3);
            }
            let ended = ended(&traced, way, &refused, &[how]);
            assert_eq!(ended.stderr, "", "{how} {way:?}");
            (ended.stdout, traced.take_traces())
        };
        let (untraced, _) = said(WayIn::None);
        for way in [WayIn::Preload, WayIn::Both] {
            assert_eq!(said(way), (untraced.clone(), seen.clone()), "{how} {way:?}");
        }
        if let Some(unseen) = unseen {
            assert_eq!(said(WayIn::Property), (untraced, unseen.clone()), "{how}");
        }
    }
}

#[test]
fn what_is_said_of_a_send_that_is_refused_is_said_of_the_next_one_too() {
    let folder = tempfile::tempdir().unwrap();
    let Some(refused) = c_program(folder.path(), "c/refused.c", &[]) else { return };
    let traced = Traced::start(&["orders"], PROCESSING);
    ended(&traced, WayIn::Preload, &refused, &["declares"]);
    let spans = traced.spans();
    let said: Vec<_> = spans.iter().filter(|span| span.trace_id == "0af7651916cd43dd8448eb211c80319c").collect();
    let [first, second] = &*said else { panic!("{spans:#?}") };
    let errors = [first, second].map(|span| span.attribute("error.type").is_some());
    assert!(errors[0] != errors[1], "{said:#?}");
    assert_eq!((&*first.parent_span_id, &*second.parent_span_id), ("b7ad6b7169203331", "b7ad6b7169203331"));
}

#[test]
fn of_a_flood_of_refused_sends_ten_a_second_have_spans_and_the_others_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let Some(refused) = c_program(folder.path(), "c/refused.c", &[]) else { return };
    let traced = Traced::start(&["orders"], PROCESSING);
    let status = folder.path().join("status.json");
    let begun = Instant::now();
    let ended = run(traced.command(WayIn::Preload, &refused).arg("flood").env("INTERCEPTORS_STATUS", &status));
    let seconds = begun.elapsed().as_secs() as usize + 2;
    ended.expect_success();
    assert_eq!(ended.stderr.matches("are refused at once (_QUEUE_FULL) more than 10 times a second").count(), 1);
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    let spans = traced.spans().iter().filter(|span| span.attribute("error.type").is_some()).count();
    // Of all seconds that the program ran in, begun ones too.
    assert!((10..=10 * seconds).contains(&spans), "{spans} in {seconds}");
    let status: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(status).unwrap()).unwrap();
    assert_eq!(status["topics"][0]["without_span"], 1000 - spans, "{status}");
}

#[test]
fn a_call_for_several_messages_has_a_span_where_it_is_seen_and_a_warning_where_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let Some(receives) = c_program(folder.path(), "c/receives.c", &[]) else { return };
    let batches = format!("{PROCESSING}\n[services.billing.topic.\"orders\"]\nrelation = \"batch\"\n");
    let sent = "billing: send payments\n";
    let in_a_call = "billing: poll orders {count=10}\n".to_owned() + &"  billing: receive orders\n".repeat(10) + sent;
    let alone = "billing: receive orders\n".repeat(10) + sent;
    let polls = "billing: process orders\n".repeat(10) + sent;
    for (how, way, expected, is_told) in [
        ("batch", WayIn::Preload, &in_a_call, false),
        ("batch", WayIn::Both, &in_a_call, false),
        ("batch", WayIn::Property, &alone, true),
        ("poll", WayIn::Preload, &polls, false),
        ("events", WayIn::Preload, &alone, true),
        ("callback", WayIn::Preload, &alone, true),
    ] {
        let traced = Traced::start(&["orders", "payments"], &batches);
        traced.send_numbered("orders", 10);
        let ended = ended(&traced, way, &receives, &[how]);
        let drawing = draw_traces_with(&traced.spans(), &["messaging.batch.message_count"]);
        assert_eq!(&drawing.replace("message_count", "count"), expected, "{how} {way:?}");
        let told = "relation = \"batch\" of the topic orders cannot be followed here";
        let expected = usize::from(is_told);
        assert_eq!(
            (&*ended.stdout, ended.stderr.lines().count()),
            ("10\n", expected),
            "{how} {way:?}: {}",
            ended.stderr
        );
        assert_eq!(ended.stderr.matches(told).count(), expected, "{how} {way:?}: {}", ended.stderr);
    }
}

#[test]
fn the_header_is_c99_and_cxx11_and_needs_no_librdkafka() {
    let header = Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/librdkafka/include/tracer_interceptors.h");
    for (compiler, language, standard) in
        [("cc", "c", "c99"), ("cc", "c", "c17"), ("c++", "c++", "c++11"), ("c++", "c++", "c++20")]
    {
        let mut command = Command::new(compiler);
        let flags = ["-D_DEFAULT_SOURCE", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only"];
        command.args(flags).arg(format!("-std={standard}")).args(["-x", language]).arg(&header);
        let Ok(said) = command.output() else { return skip("there is no compiler") };
        assert!(said.status.success(), "{standard}: {}", String::from_utf8_lossy(&said.stderr));
    }
}

#[test]
fn what_a_program_declares_is_each_message_s_length_and_each_send_s_parent() {
    let folder = tempfile::tempdir().unwrap();
    let Some(declares) = c_program(folder.path(), "c/declares.c", &["-std=c99", "-D_DEFAULT_SOURCE"]) else { return };
    for way in WayIn::EACH {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        traced.send_numbered("orders", 5);
        let ended = ended(&traced, way, &declares, &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", ""), "{way:?}");
        let order = |failure: &str| {
            format!("billing: process orders{failure}\n{}shop: send orders\n", "  billing: send payments\n".repeat(2))
        };
        // The fourth that is worked off is the order that was refused.
        let expected = order("").repeat(3)
            + &order(" {type=CardDeclined} !CardDeclined")
            + &order("")
            + "shop: send orders\n~ shop: send orders\nshop: send orders\n";
        let spans = traced.spans();
        assert_eq!(draw_traces_with(&spans, &["error.type", "tracer_resolver.parent"]), expected, "{way:?}");
        let of_context: Vec<_> =
            spans.iter().filter(|span| span.trace_id == "0123456789abcdef0123456789abcdef").collect();
        let [span] = &*of_context else { panic!("{of_context:?}") };
        assert_eq!(span.parent_span_id, "0123456789abcdef");
        let orders = assign(&traced.kafka.consumer_config("test"), "orders");
        let sent =
            (0..13).map(|_| next_message(&orders)).find(|order| order.payload() == Some(b"the context's")).unwrap();
        assert_eq!(header_of(&sent, "tracestate").as_deref(), Some("vendor=1"));
        assert_eq!(header_of(&sent, "baggage").as_deref(), Some("tenant=acme"));
    }
}

#[test]
fn what_a_program_declares_reaches_its_edges() {
    let folder = tempfile::tempdir().unwrap();
    let Some(edges) = c_program(folder.path(), "c/declares_edges.c", &[]) else { return };
    let given = "~ billing: process orders\n  billing: send payments\n";
    let passed_on = "~ billing: send payments\n";
    for way in WayIn::EACH {
        for (how, settings, expected) in [
            ("ended", "", given.to_owned()),
            // The span of the delivery has left; the processing is a second one, with the same parent.
            ("late", "", format!("~ billing: receive orders\n{given}")),
            ("open", "", given.to_owned()),
            ("forked", "", given.to_owned()),
            ("named", "", given.replace("  billing", "~ billing")),
            ("ended", "[services.billing.topic.orders]\ntrace = \"propagate\"", passed_on.to_owned()),
            ("ended", "[services.billing.topic.orders]\ntrace = \"off\"", "billing: send payments\n".to_owned()),
        ] {
            let traced = Traced::start(&["orders", "payments"], &format!("{PROCESSING}\n{settings}"));
            let outside: BaseProducer = traced.kafka.config().create().unwrap();
            let headers = [
                ("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
                ("baggage", "tenant=acme"),
            ];
            outside.send(BaseRecord::<str, str>::to("orders").payload("v").headers(with_headers(&headers))).unwrap();
            outside.flush(LIMIT).unwrap();
            let ended = ended(&traced, way, &edges, &[how]);
            assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", ""), "{how} {way:?}");
            assert_eq!(traced.take_traces(), expected, "{how} {way:?} {settings}");
            let payments = assign(&traced.kafka.consumer_config("test"), "payments");
            let baggage = header_of(&next_message(&payments), "baggage");
            let carried = !["late", "named"].contains(&how) && !settings.contains("off");
            assert_eq!(baggage.as_deref(), carried.then_some("tenant=acme"), "{how} {way:?} {settings}");
        }
    }
}

/// A program that is not there: the process goes on. Preloaded the library sees the call, and cannot know that before.
#[test]
fn an_end_that_does_not_come_ends_no_processing() {
    let folder = tempfile::tempdir().unwrap();
    let Some(edges) = c_program(folder.path(), "c/declares_edges.c", &[]) else { return };
    for way in WayIn::EACH {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        traced.send_numbered("orders", 1);
        let ended = ended(&traced, way, &edges, &["exec"]);
        let told = if matches!(way, WayIn::Preload) {
            "tracer-resolver: WARN: the process is about to become another program, or to end by a signal, while 1 processing is not \
             ended: if it does so, it has no span\n"
        } else {
            ""
        };
        assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", told), "{way:?}");
        let expected = "billing: process orders {type=Late} !Late\n  billing: send payments\n";
        assert_eq!(draw_traces_with(&traced.spans(), &["error.type"]), expected, "{way:?}");
    }
}

#[test]
fn a_pool_of_threads_that_works_off_batches_has_one_right_trace_for_each_message() {
    let folder = tempfile::tempdir().unwrap();
    let flags = ["-std=c++11", "-pthread"];
    let Some(pool) = c_program(folder.path(), "cpp/pool.cpp", &flags) else { return };
    for (way, orders) in [(WayIn::Property, 100_usize), (WayIn::Preload, 2000), (WayIn::None, 100)] {
        let configuration = format!("{PROCESSING}\n[services.heart]\nproduces = [\"beats\"]\n");
        let traced = Traced::start(&["orders", "payments", "beats"], &configuration);
        let sender: BaseProducer = traced.kafka.config().create().unwrap();
        for order in 0..orders {
            let parent = format!("00-{:032x}-{:016x}-01", order + 1, 1);
            let value = order.to_string();
            let record = BaseRecord::<str, str>::to("orders").partition(0).payload(&value);
            sender.send(record.headers(with_headers(&[("traceparent", &parent)]))).unwrap();
        }
        sender.flush(Duration::from_secs(20)).unwrap();
        let ended = ended(&traced, way, &pool, &[&orders.to_string()]);
        let known = if way == WayIn::None { 0 } else { orders };
        // Its log lines had the ids of what it was at.
        assert_eq!(ended.stdout, format!("{known}\n"), "{way:?}: {}", ended.stderr);
        let payments = assign(&traced.kafka.consumer_config("test"), "payments");
        for _ in 0..known {
            let payment = next_message(&payments);
            let order: u128 = std::str::from_utf8(payment.payload().unwrap()).unwrap().parse().unwrap();
            let parent = header_of(&payment, "traceparent").unwrap();
            assert_eq!(parent.get(3..35), Some(&*format!("{:032x}", order + 1)), "{way:?}");
        }
        let spans = traced.spans();
        let of = |name: &str| spans.iter().filter(|span| span.name == name).count();
        assert_eq!((of("process orders"), of("send payments"), of("receive orders")), (known, known, 0), "{way:?}");
        assert!(spans.iter().all(|span| span.name != "send beats" || span.parent_span_id.is_empty()), "{way:?}");
    }
}

#[test]
fn a_program_that_declares_runs_the_same_where_there_is_no_library() {
    let folder = tempfile::tempdir().unwrap();
    let Some(declares) = c_program(folder.path(), "c/declares.c", &[]) else { return };
    let traced = Traced::start(&["orders", "payments"], PROCESSING);
    traced.send_numbered("orders", 5);
    let ended = ended(&traced, WayIn::None, &declares, &[]);
    assert_eq!((&*ended.stdout, &*ended.stderr, traced.spans().len()), ("done\n", "", 0));
}

#[test]
fn a_program_is_told_how_it_is_and_each_process_writes_its_own_status() {
    let folder = tempfile::tempdir().unwrap();
    let Some(program) = c_program(folder.path(), "c/status.c", &["-std=c99", "-D_DEFAULT_SOURCE"]) else { return };
    for (way, name) in [(WayIn::Property, "{pid}.json"), (WayIn::Preload, "{pid}.json"), (WayIn::Preload, "one.json")] {
        let traced = Traced::start(&["orders", "strange"], PROCESSING);
        let run_folder = tempfile::tempdir().unwrap();
        let mut command = traced.command(way, &program);
        command.arg("fork").env("INTERCEPTORS_STATUS", run_folder.path().join(name));
        let ended = run(&mut command);
        ended.expect_success();
        let own: serde_json::Value = serde_json::from_str(&ended.stdout).unwrap();
        let topic = |of: &serde_json::Value, topic: &str| {
            of["topics"].as_array().unwrap().iter().find(|known| known["name"] == topic).cloned().unwrap_or_default()
        };
        let orders = topic(&own, "orders");
        assert_eq!((&orders["service"], &orders["spans"]), (&"shop".into(), &3.into()), "{own}");
        let strange = topic(&own, "strange");
        assert_eq!((&strange["service"], &strange["without_span"]), (&serde_json::Value::Null, &1.into()), "{own}");
        assert_eq!(own["clients"][0]["side"], "produce");
        let mut written: Vec<serde_json::Value> = std::fs::read_dir(run_folder.path())
            .unwrap()
            .map(|entry| serde_json::from_str(&std::fs::read_to_string(entry.unwrap().path()).unwrap()).unwrap())
            .collect();
        written.sort_by_key(|document| document["process"]["pid"].as_u64());
        let spans: Vec<_> =
            written.iter().map(|document| topic(document, "orders")["spans"].as_u64().unwrap()).collect();
        // A file that names no process is its parent's: the child does not write over it, and says so.
        let expected: &[u64] = if name == "one.json" { &[3] } else { &[3, 1] };
        assert_eq!(spans, expected, "{way:?} {name}");
        assert_eq!(ended.stderr.contains("is the file of the process that this one is a fork of"), name == "one.json");
        assert!(written.iter().all(|document| document["ended"] == true), "{written:?}");
        assert_eq!(written[0]["process"]["program"], program.display().to_string());
    }
}

#[test]
fn memcheck_finds_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let Some((flow, sends)) = c_program(folder.path(), "c/flow.c", &[]).zip(c_program(folder.path(), "c/sends.c", &[]))
    else {
        return;
    };
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|said| said.status.success()) {
        return skip("there is no valgrind");
    }
    // Errors, and memory that nothing points to any more: either ends the program with this status.
    let options = [
        "--quiet",
        "--leak-check=full",
        "--show-leak-kinds=definite",
        "--errors-for-leak-kinds=definite",
        "--error-exitcode=99",
    ];
    for (way, program, how, arrive) in [(WayIn::Preload, flow, None, 12), (WayIn::Property, sends, Some("nowhere"), 1)]
    {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        let mut command = traced.command(way, "valgrind");
        let ended = run(command.args(options).arg(program).args(how));
        assert!(ended.status.success() && ended.stderr.is_empty(), "{way:?}: {}", ended.stderr);
        assert_eq!(traced.spans().len(), arrive, "{way:?}");
    }
}

#[track_caller]
fn loaded(way: WayIn, how: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(load) = c_program(folder.path(), "c/load.c", &[]) else { return };
    let roomy = format!("{PROCESSING}\n[backends.otlp]\nqueue_bytes = \"128MiB\"\n");
    let traced = Traced::on(Kafka::start_with(&["orders"], 8), &roomy);
    let rounds = run_rounds(&traced, traced.command(way, load).arg(how), 5, 20_000);
    rounds.expect_two_spans_each(100_000);
    assert_eq!(rounds.connected, 100_000);
    rounds.expect_nothing_left_behind();
}

#[test]
fn a_hundred_thousand_messages_in_batches_leave_nothing_behind() {
    loaded(WayIn::Property, "many");
}

#[test]
fn a_hundred_thousand_messages_one_by_one_leave_nothing_behind() {
    loaded(WayIn::Preload, "one");
}
