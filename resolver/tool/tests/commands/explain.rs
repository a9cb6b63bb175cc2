//! `explain` says whose a message is and what becomes of it.

use crate::installed::{Installed, Said};

const FILE: &str = "version = 1
[defaults]
export = [\"b\"]
[services.shop]
produces = [\"orders\"]
sampler = \"always_off\"
[services.pay]
consumes = [\"orders\"]
client_ids = [\"pay-*\"]
relation = \"link\"
sampler = { ratio = 0.5 }
[services.audit]
topics = [\"or*\"]
parent = \"ignore\"
exclude = [\"order.internal\"]
[services.audit.topic.\"orbit\"]
trace = \"propagate\"
[services.lost]
topics = [\"lost\"]
export = []
[backends.b]
plugin = \"otlp\"
";

fn explain(words: &[&str]) -> Said {
    let installed = Installed::new();
    installed.file("t.toml", FILE);
    installed.run(&[&["explain", "t.toml"], words].concat())
}

#[track_caller]
fn says(words: &[&str], status: i32, parts: &[&str]) {
    let said = explain(words);
    for part in parts {
        assert!(said.out.contains(part), "{words:?}: {part}\n{}", said.out);
    }
    assert_eq!(said.status, status, "{words:?}: {}", said.out);
}

const PARENT: &str = "traceparent=00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0";

#[test]
fn a_topic_that_is_misspelt_is_diagnosed() {
    says(
        &["--topic", "lots", "--produce"],
        1,
        &[
            "belongs to no service",
            "\"lost\" in `topics` of service `lost` would have matched but for \"st\", where this topic has \"ts\"",
        ],
    );
}

#[test]
fn a_slip_is_told_too_where_something_takes_every_topic() {
    let installed = Installed::new();
    for catch_all in [
        "[services.rest]\ntopics = [\"*\"]",
        "[services.rest]\nclient_ids = [\"*\"]",
        "[services.rest]\ntopics = [{ regex = '.*' }]",
    ] {
        installed.file("t.toml", &format!("version = 1\n[services.shop]\nproduces = [\"orders\"]\n{catch_all}\n"));
        let said = installed.run(&["explain", "t.toml", "--topic", "order", "--produce"]);
        assert!(said.out.contains("> rest") && said.out.contains("but for the \"s\""), "{catch_all}: {}", said.out);
        let said = installed.run(&["explain", "t.toml", "--topic", "orders", "--produce"]);
        assert!(said.out.contains("> shop") && !said.out.contains("but for"), "{catch_all}: {}", said.out);
    }
}

#[test]
fn a_message_that_is_sampled_out_is_diagnosed() {
    says(
        &["--topic", "orders", "--produce"],
        1,
        &["belongs to service `shop`", "sampler = \"always_off\" (t.toml:6)", "sampled out"],
    );
    let unsampled = format!("{PARENT}0");
    says(
        &["--topic", "orders", "--produce", "--header", &unsampled],
        1,
        &["its sender did not keep it, and parent = \"respect\" (default): not kept"],
    );
    let sampled = format!("{PARENT}1");
    says(
        &["--topic", "orders", "--produce", "--header", &sampled],
        0,
        &["its sender kept it, and parent = \"respect\"", ": kept"],
    );
}

#[test]
fn each_rule_has_its_place_and_why_it_lost() {
    says(
        &["--topic", "orders", "--consume", "--client-id", "pay-1"],
        0,
        &[
            "> pay    consumes \"orders\"  t.toml:8   wins",
            "shop   produces \"orders\"  t.toml:5   the other side",
            "audit  topics \"or*\"       t.toml:13  matches, but the winner is more exact",
            "relation            = \"link\"",
            "# t.toml:10",
            "50 % of the traces that begin here are kept",
        ],
    );
    says(&["--topic", "orders", "--consume"], 0, &["another client: `client_ids`", "> audit"]);
}

#[test]
fn settings_of_a_topic_and_what_is_left_out_are_told_with_their_lines() {
    says(&["--topic", "orbit", "--produce"], 1, &["trace = \"propagate\" (t.toml:17)", "no span of it is exported"]);
    says(
        &["--topic", "order.internal", "--produce"],
        1,
        &["is left out by \"order.internal\" in `exclude` (t.toml:15)"],
    );
    says(&["--topic", "lost", "--produce"], 1, &["`export` (t.toml:20) names no backend"]);
}

#[test]
fn each_header_that_speaks_of_a_trace_is_accounted_for() {
    let one = format!("{PARENT}1");
    let audit = ["--topic", "origin", "--consume"];
    let with = |headers: &[&str]| {
        let headers = headers.iter().flat_map(|header| ["--header", header]);
        audit.iter().copied().chain(headers).map(str::to_owned).collect::<Vec<_>>()
    };
    for (headers, parts) in [
        (
            &["traceparent=00-xyz"][..],
            &["`traceparent` is malformed, so ignored: it has 2 parts", "it begins a trace"][..],
        ),
        (
            &[&one, "uber-trace-id=1:2:0:1"],
            &["`uber-trace-id` is not taken: \"tracecontext\" stands before \"jaeger\""],
        ),
        (
            &["uber-trace-id=1:2:0:1"],
            &["it continues trace 00000000000000000000000000000001 under span 0000000000000002 (read as jaeger)"],
        ),
        (&["uber-trace-id=1:2"], &["`uber-trace-id` is malformed, so ignored: it is written TRACE:SPAN:PARENT:FLAGS"]),
        (&["b3=0"], &["it begins a trace"]),
        (&[&one, &one], &["there is a later one, which counts"]),
        (&["tracestate=a=b"], &["`tracestate` is nothing without a `traceparent`"]),
        (&["baggage=a=1,b=2"], &["`baggage` passes on, with 2 entries that"]),
        (&["baggage=a=1"], &["`baggage` passes on, with 1 entry that"]),
        (&["x-request-id=7"], &["`x-request-id` is not read: no format of propagators.extract"]),
        (&["traceparent: 00-xyz"], &["`traceparent` is malformed, so ignored: it has 2 parts"]),
        (&["X-B3-SpanId=zz"], &["`X-B3-SpanId` is malformed, so ignored: it has 16 hexadecimal digits"]),
        (&["X-B3-SpanId=00f067aa0ba902b7"], &["it is nothing without X-B3-TraceId"]),
        (&["X-B3-Sampled=maybe"], &["`X-B3-Sampled` is malformed, so ignored: it is 1 or 0"]),
        (
            &["b3=4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7"],
            &["its sender left the decision to us", "parent = \"ignore\""],
        ),
    ] {
        let words = with(headers);
        let words: Vec<_> = words.iter().map(String::as_str).collect();
        says(&words, 0, parts);
    }
}

#[test]
fn both_sides_are_answered_unless_one_is_asked_for_and_json_says_the_same() {
    let said = explain(&["--topic", "orders"]);
    assert_eq!((said.status, said.out.matches("t.toml: a message ").count()), (0, 2), "{}", said.out);
    let json = explain(&["--topic", "orders", "--format", "json"]).json();
    let services: Vec<_> =
        json["answers"].as_array().unwrap().iter().map(|answer| answer["service"].as_str().unwrap()).collect();
    assert_eq!(services, ["shop", "audit"]);
    assert_eq!(json["answers"][0]["span"], "dropped");
}

#[test]
fn a_value_by_a_reference_is_shown_as_the_reference_and_variables_have_their_names() {
    let installed = Installed::new();
    installed
        .file("t.toml", "version = 1\n[services.a]\ntopics = [\"a\"]\nsampler = { ratio = \"${env:RATIO:-0.5}\" }\n");
    let said = installed.run(&["explain", "t.toml", "--topic", "a"]);
    assert!(said.out.contains("sampler             = { ratio = \"${env:RATIO:-0.5}\" }"), "{}", said.out);
    assert!(said.out.contains("# t.toml:4, by a reference"), "{}", said.out);
    let mut command = installed.command();
    command.args(["explain", "--topic", "a", "--produce"]);
    command.envs([("OTEL_SERVICE_NAME", "shop"), ("OTEL_TRACES_SAMPLER", "always_off")]);
    let said = Said::of(command.output().unwrap());
    assert!(said.status == 1 && said.out.contains("sampler = \"always_off\" (OTEL_TRACES_SAMPLER)"), "{}", said.out);
}

#[test]
fn a_broken_file_is_no_answer_and_what_is_switched_off_is_said_to_be_so() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n[servces.a]\n");
    let said = installed.run(&["explain", "t.toml", "--topic", "a"]);
    assert!(
        said.status == 1 && said.out.contains("error[C101]") && said.out.ends_with("t.toml: nothing is traced\n"),
        "{}",
        said.out
    );
    installed.file("t.toml", "version = 1\n[services.a]\ntopics = [\"a\"]\nsampler = { ratio = \"${env:NOT_SET}\" }\n");
    let said = installed.run(&["explain", "t.toml", "--topic", "a", "--produce"]);
    assert!(said.status == 1 && said.out.contains("# switched off: see `tracer-interceptors check`"), "{}", said.out);
}

#[test]
fn of_many_rules_those_about_other_topics_are_counted() {
    let installed = Installed::new();
    let services: String = (0..40).map(|n| format!("[services.s{n}]\ntopics = [\"topic-{n}\"]\n")).collect();
    installed.file("t.toml", &format!("version = 1\n{services}"));
    let said = installed.run(&["explain", "t.toml", "--topic", "topic-7", "--produce"]);
    assert!(said.out.contains("> s7") && said.out.contains("and 39 rules about other topics"), "{}", said.out);
    assert!(said.out.lines().count() < 40, "{}", said.out);
}

#[test]
fn what_becomes_of_a_header_is_said_for_each_side_relation_and_way_to_trace() {
    let one = format!("{PARENT}1");
    let passes = "trace 4bf92f3577b34da6a3ce929d0e0e4736 goes on under span 00f067aa0ba902b7 (read as tracecontext)";
    for (topic, side, header, status, parts) in [
        (
            "orbit",
            "--produce",
            one.as_str(),
            1,
            &["(t.toml:17): the context passes on", passes, "that of what is passed on"][..],
        ),
        ("orbit", "--consume", &one, 1, &[passes]),
        ("orbit", "--consume", "traceparent=00-xyz", 1, &["`traceparent` is malformed", "its headers name none"]),
        ("orbit", "--produce", "other=1", 1, &["the one that is current where it is sent passes on, if there is one"]),
        ("origin", "--produce", &one, 0, &["when it leaves, `traceparent` is gone", "that of its own span"]),
        ("origin", "--produce", "uber-trace-id=1:2:0:1", 0, &["when it leaves, `uber-trace-id` is as it was"]),
    ] {
        says(&["--topic", topic, side, "--header", header], status, parts);
    }
    let consumed = explain(&["--topic", "origin", "--consume", "--header", &one]);
    assert!(!consumed.out.contains("when it leaves"), "{}", consumed.out);
}

#[test]
fn below_which_span_a_message_is_that_comes_with_others_is_said() {
    let installed = Installed::new();
    installed.file("t.toml", "version = 1\n[services.a]\ntopics = [\"a\"]\nrelation = \"batch\"\n");
    let parent = format!("{PARENT}0");
    let said = installed.run(&["explain", "t.toml", "--topic", "a", "--consume", "--header", &parent]);
    let expected = "relation = \"batch\": it is below the span of the call that hands over several messages, or begins a \
                    trace of its own, with a link to span 00f067aa0ba902b7 of trace 4bf92f3577b34da6a3ce929d0e0e4736";
    assert!(said.out.contains(expected), "{}", said.out);
    assert!(!said.out.contains("its sender did not keep it"), "the sender decides nothing: {}", said.out);
}

#[test]
fn by_consistent_probability_a_trace_s_own_randomness_is_said_to_decide() {
    let installed = Installed::new();
    let sampler = "sampler = { consistent_probability = 0.25 }\nparent = \"ignore\"\n";
    installed.file("t.toml", &format!("version = 1\n[services.a]\ntopics = [\"a\"]\n{sampler}"));
    let parent = format!("{PARENT}1");
    for (state, status, fate) in [("ot=rv:c0000000000000", 0, ": kept"), ("ot=rv:bfffffffffffff", 1, ": not kept")] {
        let state = format!("tracestate={state}");
        let said =
            installed.run(&["explain", "t.toml", "--topic", "a", "--produce", "--header", &parent, "--header", &state]);
        assert!(said.out.contains(fate) && said.out.contains("consistent_probability = 0.25"), "{}", said.out);
        // Without a backend even what is kept goes nowhere.
        assert!(said.status >= status, "{}", said.out);
    }
    let said = installed.run(&["explain", "t.toml", "--topic", "a", "--produce"]);
    assert!(said.out.contains("25 % of the traces that begin here are kept"), "{}", said.out);
}

#[test]
fn what_shedding_does_to_a_trace_is_told_with_whoever_asks_for_it() {
    let installed = Installed::new();
    let said = |backends: &str, words: &[&str]| {
        let services = "version = 1\n[defaults]\nexport = [\"b\"]\n[services.shop]\nproduces = [\"orders\"]\n\
                        [services.pay]\nconsumes = [\"orders\"]\nsampler = { rate_limit = 10 }\n[services.audit]\n\
                        topics = [\"audit\"]\nparent = \"ignore\"\n";
        installed.file("t.toml", &format!("{services}[backends.b]\nplugin = \"otlp\"\n{backends}"));
        installed.run(&[&["explain", "t.toml", "--topic"], words].concat()).out
    };
    let begun = "while the queue of backend b with shed_traces = true (default) is nearly full, it may not begin, by its id; if it \
                 begins, `th` in its trace state says for how many it stands";
    let (kept, dropped) = (format!("{PARENT}1"), format!("{PARENT}0"));
    for (backends, words, says) in [
        ("", &["orders", "--produce"][..], begun),
        ("", &["orders", "--consume"], "by its id; under a rate limit nothing says for how many"),
        ("", &["audit", "--consume", "--header", &dropped], begun),
        (
            "",
            &["orders", "--produce", "--header", &kept],
            "it has begun, so it is kept however full a backend's queue is",
        ),
        (
            "shed_traces = true\n[backends.c]\nplugin = \"file\"\n",
            &["orders", "--produce"],
            "while a queue of backend b with shed_traces = true (t.toml:14), backend c with shed_traces = true (default) is nearly",
        ),
        ("shed_traces = false\n", &["orders", "--produce"], "no backend has shed_traces = true: however full"),
    ] {
        let said = said(backends, words);
        assert!(said.contains(says), "{words:?}: {says}\n{said}");
    }
    let said = said("", &["orders", "--produce", "--header", &dropped]);
    assert!(!said.contains("shed_traces") && said.contains("not kept"), "there is nothing to shed: {said}");
}
