//! Promise: whatever a Python program does with its Kafka clients, it does the same traced, and the traces are right: a
//! message's spans belong together where that is known, and nowhere else.

#![expect(clippy::indexing_slicing, reason = "a test may fail loudly, its helpers too")]

use words::foreign::python;
use words::{Ended, Traced, WayIn, draw_traces_with, run};

const CONFIGURATION: &str = r#"
    [services.shop]
    produces = ["orders"]
    [services.billing]
    consumes = ["orders"]
    produces = ["payments"]
"#;

const END: &str = "tracer_resolver.process.end";

/// A program that has ended well without a word on stderr, and its traces, drawn with what ended each processing.
struct Run {
    stdout: String,
    drawing: String,
}

/// Runs `tests/python/PROGRAM` where so many orders wait.
#[track_caller]
fn traced(way: WayIn, orders: usize, program: &[&str]) -> Option<Run> {
    let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
    traced.send_numbered("orders", orders);
    let Ended { stdout, .. } = ended(&traced, way, program)?;
    Some(Run { stdout, drawing: draw_traces_with(&traced.spans(), &[END]) })
}

#[track_caller]
fn ended(traced: &Traced, way: WayIn, program: &[&str]) -> Option<Ended> {
    let mut command = traced.command(way, python()?);
    command.arg(format!("tests/python/{}", program[0])).args(&program[1..]);
    let ended = run(&mut command);
    ended.expect_success();
    assert_eq!(ended.stderr, "", "{way:?}");
    Some(ended)
}

#[test]
fn a_send_that_produce_refuses_has_one_failed_span_below_what_the_next_one_is_below() {
    let round = |margin: &str| {
        let paid = format!("{margin}billing: send payments\n");
        let refused = format!("{margin}billing: send payments !_QUEUE_FULL\n");
        let tombstone = format!("{margin}billing: send payments {{tombstone=true}} !_QUEUE_FULL\n");
        paid.repeat(2) + &refused + &tombstone + &paid
    };
    // librdkafka calls the interceptors for a partition that is not there.
    let others = "billing: send payments !_UNKNOWN_PARTITION\nbilling: send payments !MESSAGE_TOO_LARGE\n";
    let alone = "billing: send payments\n".to_owned() + &round("") + others;
    let follows =
        "billing: send payments\n".to_owned() + &format!("billing: process orders\n{}", round("  ")).repeat(3);
    for (how, expected) in [("alone", alone), ("follows", follows)] {
        let said = |way| {
            let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
            traced.send_numbered("orders", 3);
            let ended = ended(&traced, way, &["refused_sends.py", how])?;
            Some((ended.stdout, draw_traces_with(&traced.spans(), &["messaging.kafka.message.tombstone"])))
        };
        let Some(((untraced, _), (traced, drawing))) = said(WayIn::None).zip(said(WayIn::Layer)) else { return };
        assert_eq!(traced, untraced, "{how}");
        assert_eq!(drawing.replace("messaging.kafka.message.", ""), expected, "{how}");
    }
}

/// As where the library and the package are not of one build, or memory is short.
#[test]
fn a_layer_that_could_not_tell_the_library_of_python_hands_over_all_messages() {
    let alone = "from tracer_interceptors._library import find\napi = find()\nturns = api.Turns()\n\
                 turns.messages = iter([1, 2])\nprint(next(turns), next(turns), next(turns, 'end'), api.given([1], True, None))";
    let Some(python) = python() else { return };
    let ended = run(Traced::start(&["orders"], CONFIGURATION).command(WayIn::Layer, python).args(["-c", alone]));
    ended.expect_success();
    assert_eq!((ended.stdout.trim(), &*ended.stderr), ("1 2 end NotImplemented", ""));
}

#[test]
fn reports_messages_and_errors_are_those_of_the_untraced_program() {
    let Some(untraced) = traced(WayIn::None, 0, &["deliveries.py"]) else { return };
    assert!(untraced.stdout.lines().count() == 13 && untraced.drawing.is_empty(), "{}", untraced.stdout);
    for (way, delivery) in [(WayIn::Property, "receive orders"), (WayIn::Preload, "process orders")] {
        let run = traced(way, 0, &["deliveries.py"]).unwrap();
        assert_eq!(run.stdout, untraced.stdout, "{way:?}");
        let traces = run.drawing.matches(&format!("shop: send orders\n  billing: {delivery}")).count();
        assert_eq!((traces, run.drawing.lines().count()), (4, 8), "{}", run.drawing);
    }
}

#[test]
fn without_a_file_the_library_does_nothing_and_says_nothing() {
    let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
    let Some(untraced) = ended(&traced, WayIn::None, &["deliveries.py"]) else { return };
    for way in WayIn::EACH {
        let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
        let mut command = traced.command(way, python().unwrap());
        let run = run(command.arg("tests/python/deliveries.py").env_remove("INTERCEPTORS_CONFIG_FILE"));
        run.expect_success();
        assert_eq!((&run.stdout, &*run.stderr), (&untraced.stdout, ""), "{way:?}");
        assert_eq!(traced.spans(), []);
    }
}

#[test]
fn a_file_that_cannot_be_used_is_told_and_the_program_runs_as_ever() {
    let traced = Traced::start(&["orders", "payments"], CONFIGURATION);
    let Some(untraced) = ended(&traced, WayIn::None, &["deliveries.py"]) else { return };
    for way in WayIn::EACH {
        let traced = Traced::start(&["orders", "payments"], "[services.shop]\nproduce = [\"orders\"]\n");
        let mut command = traced.command(way, python().unwrap());
        command.arg("tests/python/deliveries.py");
        let lenient = run(&mut command);
        lenient.expect_success();
        assert_eq!(lenient.stdout, untraced.stdout, "{way:?}");
        assert!(lenient.stderr.contains("did you mean `produces`?"), "{way:?}: {}", lenient.stderr);
        let strict = run(command.env("INTERCEPTORS_STRICT", "1"));
        assert!(!strict.status.success() && strict.stdout.is_empty(), "{way:?}: {strict:?}");
        assert!(strict.stderr.contains("did you mean `produces`?"), "{way:?}: {}", strict.stderr);
    }
}

#[test]
fn a_commit_of_just_the_message_shows_by_property_how_long_it_was_processed() {
    let Some(run) = traced(WayIn::Property, 3, &["commits.py", "sync"]) else { return };
    assert_eq!(run.stdout, "[3]\n");
    assert_eq!(run.drawing, "billing: process orders {end=commit}\n".repeat(3));
}

#[test]
fn the_next_poll_shows_it_better_by_preload_and_closing_shows_it_of_the_last() {
    let Some(run) = traced(WayIn::Preload, 3, &["commits.py", "sync"]) else { return };
    assert_eq!(run.stdout, "[3]\n");
    let poll = "billing: process orders {end=poll}\n";
    assert_eq!(run.drawing, format!("{}billing: process orders {{end=close}}\n", poll.repeat(2)));
}

#[test]
fn commits_in_the_background_and_stored_offsets_reach_the_broker() {
    for how in ["async", "store"] {
        for way in WayIn::EACH {
            let Some(run) = traced(way, 3, &["commits.py", how]) else { return };
            assert_eq!((&*run.stdout, run.drawing.lines().count()), ("[3]\n", 3), "{how} {way:?}: {}", run.drawing);
        }
    }
}

#[test]
fn each_commit_has_a_span_with_links_to_the_messages_that_it_settles_and_no_message_is_settled_twice() {
    for (how, settled) in [("sync", vec![1, 1, 1]), ("async", vec![1, 1, 1]), ("store", vec![3])] {
        for way in WayIn::EACH {
            let traced = Traced::start(&["orders", "payments"], &format!("{CONFIGURATION}commit_spans = true\n"));
            traced.send_numbered("orders", 3);
            let Some(ended) = ended(&traced, way, &["commits.py", how]) else { return };
            assert_eq!(ended.stdout, "[3]\n");
            let spans = traced.spans();
            let orders =
                |id: &str| spans.iter().filter(|span| span.span_id == id && span.name.ends_with(" orders")).count();
            let mut commits: Vec<_> = spans.iter().filter(|span| span.name == "commit orders").collect();
            // When partitions leave it, librdkafka commits the offsets that it commits by itself once more.
            commits.retain(|span| how != "store" || !span.links.is_empty());
            let links: Vec<_> = commits.iter().map(|span| span.links.len()).collect();
            assert_eq!(links, settled, "{how} {way:?}: {commits:#?}");
            let mut linked: Vec<_> = commits.iter().flat_map(|span| &span.links).map(|link| &*link.span_id).collect();
            assert!(linked.iter().all(|id| orders(id) == 1), "{how} {way:?}: {spans:#?}");
            linked.sort_unstable();
            linked.dedup();
            assert_eq!(linked.len(), 3, "{how} {way:?}: {commits:#?}");
            for commit in commits {
                let below = if settled.len() == 3 { &*commit.links[0].span_id } else { "" };
                assert_eq!(commit.parent_span_id, below, "{how} {way:?}");
                let took = commit.end_unix_nano - commit.start_unix_nano;
                assert!(took < 60_000_000_000, "{how} {way:?}: {took} ns");
            }
        }
    }
}

#[test]
fn offsets_that_a_transaction_takes_along_have_a_commit_span_by_preload_where_the_call_is_seen() {
    for (way, links) in [(WayIn::Preload, &[1, 1][..]), (WayIn::Both, &[1, 1]), (WayIn::Property, &[])] {
        let traced = Traced::start(&["orders", "payments"], &format!("{CONFIGURATION}commit_spans = true\n"));
        traced.send_numbered("orders", 2);
        let Some(_ended) = ended(&traced, way, &["transactions.py"]) else { return };
        let spans = traced.spans();
        let commits: Vec<_> = spans.iter().filter(|span| span.name == "commit orders").collect();
        assert_eq!(commits.iter().map(|span| span.links.len()).collect::<Vec<_>>(), links, "{way:?}: {spans:#?}");
        let processed: Vec<_> = spans.iter().filter(|span| span.name == "process orders").collect();
        for (commit, processed) in commits.iter().zip(processed) {
            assert_eq!(
                (&commit.parent_span_id, &commit.trace_id),
                (&processed.span_id, &processed.trace_id),
                "{way:?}"
            );
            assert_eq!(commit.links[0].span_id, processed.span_id, "{way:?}");
        }
    }
}

#[test]
fn a_transaction_is_in_the_trace_of_its_message_and_fails_when_it_is_aborted() {
    for (way, ends) in [(WayIn::Property, ["send", "send"]), (WayIn::Preload, ["poll", "close"])] {
        let Some(run) = traced(way, 2, &["transactions.py"]) else { return };
        let expected = format!(
            "billing: process orders {{end={}}}\n  billing: send payments\n\
             billing: process orders {{end={}}}\n  billing: send payments !_PURGE_QUEUE\n",
            ends[0], ends[1]
        );
        assert_eq!(run.drawing, expected, "{way:?}");
    }
}

#[test]
fn asyncio_s_clients_work_on_threads_of_their_own_so_that_no_parent_is_guessed() {
    for way in WayIn::EACH {
        let Some(run) = traced(way, 2, &["asynchronous.py"]) else { return };
        assert_eq!(run.stdout, "payments paid: orders 0\npayments paid: orders 1\n");
        let roots: Vec<_> = run.drawing.lines().map(|line| line.split(" {").next().unwrap()).collect();
        let sends = roots.iter().filter(|root| **root == "billing: send payments").count();
        let orders = roots.iter().filter(|root| root.ends_with(" orders")).count();
        assert_eq!((sends, orders, roots.len()), (2, 2, 4), "{way:?}: {}", run.drawing);
    }
}

#[test]
fn after_a_delivery_of_many_messages_no_parent_is_guessed() {
    for way in WayIn::EACH {
        let Some(run) = traced(way, 10, &["batches.py", "7"]) else { return };
        let expected = "billing: receive orders\n".repeat(10) + "billing: send payments\n";
        assert_eq!(run.drawing, expected, "{way:?}");
    }
}

/// Where the call is seen, so is how many it is for. The one payment after ten orders continues none of them.
#[test]
fn a_call_for_many_that_asks_for_one_hands_over_one() {
    let of_many = "billing: receive orders\n".repeat(10) + "billing: send payments\n";
    let of_one = "billing: process orders {end=poll}\n".repeat(9)
        + "billing: process orders {end=close}\nbilling: send payments\n";
    for (way, expected) in [(WayIn::Property, of_many), (WayIn::Preload, of_one)] {
        let Some(run) = traced(way, 10, &["batches.py", "1"]) else { return };
        assert_eq!(run.drawing, expected, "{way:?}");
    }
}

#[test]
fn a_send_on_another_thread_than_the_message_s_has_no_parent() {
    for way in WayIn::EACH {
        let Some(run) = traced(way, 3, &["threads.py"]) else { return };
        let roots: Vec<_> = run.drawing.lines().map(|line| line.split(" {").next().unwrap()).collect();
        assert!(!roots.iter().any(|root| root.starts_with(' ')), "{way:?}: {}", run.drawing);
        assert_eq!(roots.iter().filter(|root| **root == "billing: send payments").count(), 3, "{way:?}");
        assert_eq!(roots.iter().filter(|root| root.ends_with(" orders")).count(), 3, "{way:?}");
    }
}
