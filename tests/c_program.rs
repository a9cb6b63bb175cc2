//! Promise: programs in C on the system's librdkafka, be it as old as 2.0.2, are traced by both ways in: every way to
//! send, every way to receive, and a hundred thousand messages in a memory that stays as it is.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly, its helpers too")]

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rdkafka::Message as _;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer as _};
use words::child::Ended;
use words::draw_traces_with;
use words::foreign::{PROCESSING, Shop, Surroundings, WayIn, c_program, processing_in_rust, run, run_rounds, skip};
use words::kafka::{assign, header_of, next_message, with_headers};

fn ended(surroundings: &Surroundings, way_in: WayIn, program: &Path, how: &[&str]) -> Ended {
    let ended = run(surroundings.command(way_in, program).args(how));
    ended.expect_success();
    ended
}

#[test]
fn the_flow_draws_what_the_rust_crate_draws() {
    let folder = tempfile::tempdir().unwrap();
    let Some(flow) = c_program(folder.path(), "c/flow.c", &[]) else { return };
    for (way_in, shop) in [
        (WayIn::Property, Shop::SaysNothing),
        (WayIn::Preload, Shop::SaysWhenItIsDone),
        (WayIn::Both, Shop::SaysWhenItIsDone),
    ] {
        let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
        let ended = ended(&surroundings, way_in, &flow, &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("paid: order 0\npaid: order 1\npaid: order 2\n", ""));
        assert_eq!(surroundings.traces(), processing_in_rust(3, shop), "{way_in:?}");
    }
}

#[test]
fn every_way_to_send_is_traced_and_comes_to_what_it_comes_to_untraced() {
    let folder = tempfile::tempdir().unwrap();
    let Some(sends) = c_program(folder.path(), "c/sends.c", &[]) else { return };
    // The last two have messages for a partition that is not there: librdkafka refuses them, tells no interceptor what
    // became of them, and of `nowhere` gives it the application's own structs to read.
    for (how, arrive) in
        [("produce", 5), ("producev", 5), ("produceva", 5), ("batch", 5), ("partitions", 4), ("nowhere", 1)]
    {
        let untraced = Surroundings::start(&["orders"], 1, PROCESSING);
        let said = ended(&untraced, WayIn::Untraced, &sends, &[how]).stdout;
        assert!(said.starts_with("taken ") && untraced.spans().is_empty(), "{how}: {said}");
        for way_in in WayIn::TRACED {
            let surroundings = Surroundings::start(&["orders"], 1, PROCESSING);
            assert_eq!(ended(&surroundings, way_in, &sends, &[how]).stdout, said, "{how} {way_in:?}");
            assert_eq!(surroundings.traces(), "shop: send orders\n".repeat(arrive), "{how} {way_in:?}");
        }
    }
}

#[test]
fn every_way_to_receive_is_traced_and_what_is_sent_after_ten_messages_continues_none_of_them() {
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
        for (way_in, expected) in [(WayIn::Property, &receives_only), (WayIn::Preload, by_preload)] {
            let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
            surroundings.send_untraced("orders", 10);
            let ended = ended(&surroundings, way_in, &receives, &[how]);
            assert_eq!((&*ended.stdout, &*ended.stderr), ("10\n", ""), "{how} {way_in:?}");
            let drawing = draw_traces_with(&surroundings.spans(), &["tracer_resolver.process.end"]);
            assert_eq!(&drawing, expected, "{how} {way_in:?}");
        }
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
    for way_in in WayIn::TRACED {
        let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
        surroundings.send_untraced("orders", 5);
        let ended = ended(&surroundings, way_in, &declares, &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", ""), "{way_in:?}");
        let order = |failure: &str| {
            format!("billing: process orders{failure}\n{}shop: send orders\n", "  billing: send payments\n".repeat(2))
        };
        // The fourth that is worked off is the order that was refused.
        let expected = order("").repeat(3)
            + &order(" {type=CardDeclined} !CardDeclined")
            + &order("")
            + "shop: send orders\n~ shop: send orders\nshop: send orders\n";
        let spans = surroundings.spans();
        assert_eq!(draw_traces_with(&spans, &["error.type", "tracer_resolver.parent"]), expected, "{way_in:?}");
        let of_context: Vec<_> =
            spans.iter().filter(|span| span.trace_id == "0123456789abcdef0123456789abcdef").collect();
        let [span] = &*of_context else { panic!("{of_context:?}") };
        assert_eq!(span.parent_span_id, "0123456789abcdef");
        let orders = assign(&surroundings.kafka.consumer_config("test"), "orders");
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
    for way_in in WayIn::TRACED {
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
            let surroundings = Surroundings::start(&["orders", "payments"], 1, &format!("{PROCESSING}\n{settings}"));
            let outside: BaseProducer = surroundings.kafka.config().create().unwrap();
            let headers = [
                ("traceparent", "00-0123456789abcdef0123456789abcdef-0123456789abcdef-01"),
                ("baggage", "tenant=acme"),
            ];
            outside.send(BaseRecord::<str, str>::to("orders").payload("v").headers(with_headers(&headers))).unwrap();
            outside.flush(Duration::from_secs(20)).unwrap();
            let ended = ended(&surroundings, way_in, &edges, &[how]);
            assert_eq!((&*ended.stdout, &*ended.stderr), ("done\n", ""), "{how} {way_in:?}");
            assert_eq!(surroundings.traces(), expected, "{how} {way_in:?} {settings}");
            let payments = assign(&surroundings.kafka.consumer_config("test"), "payments");
            let baggage = header_of(&next_message(&payments), "baggage");
            let carried = !["late", "named"].contains(&how) && !settings.contains("off");
            assert_eq!(baggage.as_deref(), carried.then_some("tenant=acme"), "{how} {way_in:?} {settings}");
        }
    }
}

#[test]
fn a_program_that_declares_runs_the_same_where_there_is_no_library() {
    let folder = tempfile::tempdir().unwrap();
    let Some(declares) = c_program(folder.path(), "c/declares.c", &[]) else { return };
    let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
    surroundings.send_untraced("orders", 5);
    let ended = ended(&surroundings, WayIn::Untraced, &declares, &[]);
    assert_eq!((&*ended.stdout, &*ended.stderr, surroundings.spans().len()), ("done\n", "", 0));
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
    for (way_in, program, how, arrive) in
        [(WayIn::Preload, flow, None, 12), (WayIn::Property, sends, Some("nowhere"), 1)]
    {
        let surroundings = Surroundings::start(&["orders", "payments"], 1, PROCESSING);
        let mut command = surroundings.command(way_in, "valgrind");
        let ended = run(command.args(options).arg(program).args(how));
        assert!(ended.status.success() && ended.stderr.is_empty(), "{way_in:?}: {}", ended.stderr);
        assert_eq!(surroundings.spans().len(), arrive, "{way_in:?}");
    }
}

/// What is resident goes up and down by 9 MiB from round to round untraced, and settles only after several rounds. Four
/// hundred bytes, a message with its headers, that each message left behind would be 24 MB.
const MOST_GROWTH_KIB: i64 = 24_000;

#[track_caller]
fn loaded(way_in: WayIn, how: &str) {
    let folder = tempfile::tempdir().unwrap();
    let Some(load) = c_program(folder.path(), "c/load.c", &[]) else { return };
    let roomy = format!("{PROCESSING}\n[backends.otlp]\nqueue_bytes = \"128MiB\"\n");
    let surroundings = Surroundings::start(&["orders"], 8, &roomy);
    let rounds = run_rounds(&surroundings, surroundings.command(way_in, load).arg(how), 5, 20_000);
    assert_eq!((rounds.sends, rounds.receives, rounds.ids), (100_000, 100_000, 200_000));
    assert_eq!(rounds.connected, 100_000);
    assert!(rounds.grown() < MOST_GROWTH_KIB, "{way_in:?} {how}: {:?}", rounds.resident);
}

#[test]
fn a_hundred_thousand_messages_in_batches_leave_nothing_behind() {
    loaded(WayIn::Property, "many");
}

#[test]
fn a_hundred_thousand_messages_one_by_one_leave_nothing_behind() {
    loaded(WayIn::Preload, "one");
}
