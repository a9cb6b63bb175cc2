//! Promise: with the layer of the npm package a program in Node.js has one right trace for each message, whatever its shape:
//! what is sent follows from the message that the code which sends it is at work on, and from nothing else.

#![expect(clippy::unwrap_used, reason = "a test may fail loudly")]

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use words::child::without_tracing;
use words::foreign::{BILLING, kafka_javascript, kafka_javascript_in_one, library, node_modules, node_packages, skip};
use words::kafka::Kafka;
use words::receivers::ReceivedSpan;
use words::{Traced, WayIn, draw_traces, draw_traces_with, run};

const ORDERS: usize = 20;

/// A program of `tests/node`, with the layer where `layer`.
fn node(traced: &Traced, way: WayIn, modules: &[&Path], layer: bool, arguments: &[&str]) -> Command {
    let mut command = traced.command(way, "node");
    let modules: Vec<OsString> = modules.iter().map(|folder| folder.as_os_str().to_owned()).collect();
    command.env("NODE_PATH", modules.join(std::ffi::OsStr::new(":")));
    if layer {
        command.arg("--require").arg(layer_file());
    }
    command.args(arguments);
    command
}

fn layer_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/librdkafka/npm/layer/register.js")
}

/// The shapes that a program knows.
fn shapes(modules: &Path, program: &str) -> Vec<String> {
    let output = Command::new("node").env("NODE_PATH", modules).arg(program).output().unwrap();
    String::from_utf8(output.stdout).unwrap().lines().map(str::to_owned).collect()
}

/// What a program of that shape says and the spans that came.
fn run_shape(way: WayIn, modules: &Path, layer: bool, program: &str, shape: &str) -> (String, Vec<ReceivedSpan>) {
    run_shape_by(BILLING, way, modules, layer, program, shape)
}

fn run_shape_by(
    configuration: &str,
    way: WayIn,
    modules: &Path,
    layer: bool,
    program: &str,
    shape: &str,
) -> (String, Vec<ReceivedSpan>) {
    let partitions = if program.ends_with("kafkajs.js") { 2 } else { 1 };
    let traced = Traced::on(Kafka::start_with(&["orders", "bills", "drafts"], partitions), configuration);
    let count = ORDERS.to_string();
    let ended = run(&mut node(&traced, way, &[modules], layer, &[program, shape, &count]));
    ended.expect_success();
    assert!(!ended.stderr.contains("tracer-"), "{way:?} {shape}: {}", ended.stderr);
    let told = ended.stdout.lines().find(|line| line.ends_with(&format!(" of {ORDERS}"))).unwrap_or_default();
    (told.to_owned(), traced.spans())
}

/// The same for several shapes, some of them at a time: they mostly wait.
fn run_shapes(
    modules: &Path,
    program: &str,
    shapes: &[String],
    way: impl Fn(usize) -> WayIn + Sync,
) -> Vec<(String, String, Vec<ReceivedSpan>)> {
    let mut ran = Vec::new();
    for (chunk, some) in shapes.chunks(AT_A_TIME).enumerate() {
        std::thread::scope(|scope| {
            let way = &way;
            let started: Vec<_> = some
                .iter()
                .enumerate()
                .map(|(at, shape)| {
                    let way = way(chunk * AT_A_TIME + at);
                    (shape, scope.spawn(move || run_shape(way, modules, true, program, shape)))
                })
                .collect();
            for (shape, running) in started {
                let (told, spans) = running.join().unwrap();
                ran.push((shape.clone(), told, spans));
            }
        });
    }
    ran
}

const AT_A_TIME: usize = 4;

/// The traces, each drawn alone, and how often each drawing is there.
fn drawn(spans: &[ReceivedSpan]) -> Vec<(String, usize)> {
    let mut traces = std::collections::BTreeMap::<&str, Vec<ReceivedSpan>>::new();
    for span in spans {
        traces.entry(&span.trace_id).or_default().push(span.clone());
    }
    let mut drawings = std::collections::BTreeMap::new();
    for trace in traces.values() {
        *drawings.entry(draw_traces(trace)).or_default() += 1;
    }
    drawings.into_iter().collect()
}

const BILLED: &str = "\
~ shop: send orders
  billing: process orders
    billing: send bills
";

#[test]
fn every_shape_of_a_program_has_one_right_trace_for_each_message() {
    let Some(modules) = node_modules() else { return };
    let shapes = shapes(&modules, "tests/node/shapes.js");
    assert!(shapes.len() >= 18, "{shapes:?}");
    for (shape, told, spans) in run_shapes(&modules, "tests/node/shapes.js", &shapes, |_| WayIn::Preload) {
        assert_eq!(told, format!("{ORDERS} of {ORDERS}"), "{shape}");
        let billed = if shape == "high level" {
            BILLED.replace("    billing: send bills\n", "    billing: send drafts\n    billing: send bills\n")
        } else {
            BILLED.to_owned()
        };
        assert_eq!(drawn(&spans), [(billed, ORDERS)], "{shape}");
    }
}

#[test]
fn the_kafkajs_like_api_has_one_right_trace_for_each_message_by_either_way_in() {
    let Some(modules) = kafka_javascript() else { return };
    kafkajs_shapes_are_right(&modules, 0);
}

/// By the other way in than above.
#[test]
fn the_same_with_librdkafka_in_the_add_on_itself_as_confluent_builds_it() {
    let Some(modules) = kafka_javascript_in_one() else { return };
    kafkajs_shapes_are_right(&modules, 1);
}

fn kafkajs_shapes_are_right(modules: &Path, first_way: usize) {
    let shapes = shapes(modules, "tests/node/kafkajs.js");
    assert!(shapes.len() >= 9, "{shapes:?}");
    let way = |at: usize| *WayIn::EACH.iter().cycle().nth(at + first_way).unwrap();
    let ran = run_shapes(modules, "tests/node/kafkajs.js", &shapes, way);
    for (shape, told, spans) in ran {
        assert_eq!(told, format!("{ORDERS} of {ORDERS}"), "{shape}");
        let sent = |name: &str| spans.iter().filter(|span| span.name == name).count();
        let drawn = drawn(&spans);
        let expected = match shape.as_str() {
            "sendBatch" => {
                BILLED.replace("    billing: send bills\n", "    billing: send bills\n    billing: send drafts\n")
            }
            _ => BILLED.to_owned(),
        };
        if shape == "eachMessage, failing" {
            // How often the client comes back to a message is its business.
            let failed = spans.iter().filter(|span| span.status_code == "error").collect::<Vec<_>>();
            assert!(failed.len() >= ORDERS / 4, "{drawn:?}");
            assert!(failed.iter().all(|span| span.name == "process orders"), "{drawn:?}");
            assert!(failed.iter().all(|span| span.status_message == "not yet"), "{drawn:?}");
            let is_range_error = |span: &&ReceivedSpan| span.attribute("error.type").as_deref() == Some("RangeError");
            assert!(failed.iter().all(is_range_error), "{drawn:?}");
            assert_eq!((sent("send orders"), sent("send bills")), (ORDERS, ORDERS));
        } else if shape == "sendBatch" {
            let without_order = |text: &str| {
                let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
                lines.sort();
                lines
            };
            assert!(drawn.iter().all(|(trace, _)| without_order(trace) == without_order(&expected)), "{drawn:?}");
        } else {
            assert_eq!(drawn, [(expected, ORDERS)], "{shape}");
        }
    }
}

/// The number of messages in the `poll` spans, after a look at what is below them: each message, and below that what is sent for it.
fn messages_in_batches(shape: &str, spans: &[ReceivedSpan]) -> Vec<usize> {
    let of = |name: &str| spans.iter().filter(move |span| span.name == name).collect::<Vec<_>>();
    let (polls, processed, bills) = (of("poll orders"), of("process orders"), of("send bills"));
    let is_below = |span: &ReceivedSpan, above: &[&ReceivedSpan]| {
        above.iter().any(|above| (&above.trace_id, &above.span_id) == (&span.trace_id, &span.parent_span_id))
    };
    let drawn = draw_traces(spans);
    assert_eq!((processed.len(), bills.len()), (ORDERS, ORDERS), "{shape}: {drawn}");
    assert!(processed.iter().all(|span| is_below(span, &polls)), "{shape}: {drawn}");
    assert!(bills.iter().all(|span| is_below(span, &processed)), "{shape}: {drawn}");
    // What sent a message is linked to by its own span, and by that of the call.
    for poll in &polls {
        let below: Vec<_> = processed.iter().filter(|span| span.parent_span_id == poll.span_id).collect();
        let linked = |span: &ReceivedSpan| span.links.iter().map(|link| link.span_id.clone()).collect::<Vec<_>>();
        let (mut own, mut of_messages) = (linked(poll), below.iter().flat_map(|span| linked(span)).collect::<Vec<_>>());
        own.sort();
        of_messages.sort();
        assert_eq!((own.len(), own), (below.len(), of_messages), "{shape}: {drawn}");
    }
    let count = |poll: &&ReceivedSpan| poll.attribute("messaging.batch.message_count").unwrap().parse().unwrap();
    polls.iter().map(count).collect()
}

#[test]
fn messages_that_one_call_hands_over_are_below_its_span_where_that_is_asked_for() {
    let batches = format!("{BILLING}\n[services.billing.topic.\"orders\"]\nrelation = \"batch\"\n");
    let (Some(modules), Some(kafkajs)) = (node_modules(), kafka_javascript()) else { return };
    for (modules, program, shape) in [
        (&modules, "tests/node/shapes.js", "for of"),
        (&modules, "tests/node/shapes.js", "stream, lists"),
        (&kafkajs, "tests/node/kafkajs.js", "eachBatch, for of"),
        // Their deliveries have left when it is known what came together.
        (&modules, "tests/node/shapes.js", "for of, late"),
    ] {
        let (_, spans) = run_shape_by(&batches, WayIn::Preload, modules, true, program, shape);
        let counts = messages_in_batches(shape, &spans);
        assert_eq!(counts.iter().sum::<usize>(), ORDERS, "{shape}: {counts:?}");
        assert!(counts.iter().any(|count| *count > 1), "{shape}: {counts:?}");
    }
    // These come one at a time.
    for shape in ["single", "events", "stream, data"] {
        let (_, spans) = run_shape_by(&batches, WayIn::Preload, &modules, true, "tests/node/shapes.js", shape);
        assert!(spans.iter().all(|span| span.name != "poll orders"), "{shape}: {}", draw_traces(&spans));
    }
}

#[test]
fn by_the_property_the_layer_finds_the_library_when_the_first_client_brings_it() {
    let Some(modules) = node_modules() else { return };
    for shape in ["events", "for of", "pipe"] {
        let (told, spans) = run_shape(WayIn::Property, &modules, true, "tests/node/shapes.js", shape);
        assert_eq!(told, format!("{ORDERS} of {ORDERS}"), "{shape}");
        assert_eq!(drawn(&spans), [(BILLED.to_owned(), ORDERS)], "{shape}");
    }
}

#[test]
fn without_the_layer_traces_are_cut_and_none_is_wrong() {
    let Some(modules) = node_modules() else { return };
    for shape in ["events", "for of", "stream, data"] {
        let (told, spans) = run_shape(WayIn::Preload, &modules, false, "tests/node/shapes.js", shape);
        assert_eq!(told, format!("0 of {ORDERS}"), "{shape}");
        let expected = [
            ("billing: send bills\n".to_owned(), ORDERS),
            ("~ shop: send orders\n  billing: receive orders\n".to_owned(), ORDERS),
        ];
        assert_eq!(drawn(&spans), expected, "{shape}");
    }
}

#[test]
fn without_the_library_the_layer_changes_nothing() {
    let Some(modules) = node_modules() else { return };
    for api in ["flowing", "single", "stream"] {
        let traced = Traced::start(&["orders", "payments"], BILLING);
        let arguments = ["tests/node/flow.js", api, "disconnect"];
        let ended = run(&mut node(&traced, WayIn::None, &[&modules], true, &arguments));
        ended.expect_success();
        assert_eq!(ended.stdout, "paid: order 0\npaid: order 1\npaid: order 2\n", "{api}");
        assert_eq!(ended.stderr, "", "{api}");
        assert_eq!(traced.take_traces(), "");
    }
}

#[test]
fn an_answer_is_not_the_cause_of_the_next_request() {
    let Some(modules) = node_modules() else { return };
    let traced = Traced::start(&["requests", "replies"], "[services.all]\ntopics = [\"*\"]\n");
    run(&mut node(&traced, WayIn::Preload, &[&modules], true, &["tests/node/replies.js"])).expect_success();
    let exchange = "all: send requests\n  all: process requests\n    all: send replies\n      all: process replies\n";
    assert_eq!(drawn(&traced.spans()), [(exchange.to_owned(), 6)]);
}

#[test]
fn what_fails_says_why_and_the_program_sees_it_as_without_the_layer() {
    let Some(modules) = node_modules() else { return };
    let traced = Traced::start(&["orders", "audits", "later", "much.later"], "[services.all]\ntopics = [\"*\"]\n");
    run(&mut node(&traced, WayIn::Preload, &[&modules], true, &["tests/node/failing.js"])).expect_success();
    let spans = traced.spans();
    let mut failed: Vec<_> = spans.iter().filter(|span| span.status_code == "error").collect();
    failed.sort_by_key(|span| &span.status_message);
    let told: Vec<_> = failed.iter().map(|span| span.status_message.as_str()).collect();
    assert_eq!(told, ["order 0", "order 1", "order 2"]);
    assert!(failed.iter().all(|span| span.attributes["error.type"] == "CardDeclined"), "{failed:#?}");
    let taken = |span: &ReceivedSpan| span.end_unix_nano - span.start_unix_nano;
    assert!(failed.iter().any(|span| span.status_message == "order 2" && taken(span) >= 19_000_000), "{failed:#?}");
    let traces = drawn(&spans);
    let alone = |topic: &str| {
        traces.iter().find(|(trace, _)| *trace == format!("all: send {topic}\n")).map(|(_, times)| *times)
    };
    assert_eq!((alone("audits"), alone("much.later"), alone("later")), (Some(2), Some(1), None), "{traces:#?}");
    assert!(
        traces.iter().any(|(trace, _)| trace.contains("  all: process orders\n    all: send later\n")),
        "{traces:#?}"
    );
}

#[test]
fn a_send_that_the_client_refuses_has_one_failed_span_below_what_the_next_one_is_below() {
    let (Some(modules), Some(kafkajs)) = (node_modules(), kafka_javascript()) else { return };
    let round = |margin: &str| {
        let sent = format!("{margin}billing: send bills\n");
        let refused = format!("{margin}billing: send bills !_QUEUE_FULL\n");
        let tombstone = format!("{margin}billing: send bills {{tombstone=true}} !_QUEUE_FULL\n");
        sent.repeat(2) + &refused + &tombstone + &sent
    };
    // Before its first message that is taken the producer is not known; after the others it has another client.
    let others = "billing: send bills !MESSAGE_TOO_LARGE\nbilling: send bills !_UNKNOWN_PARTITION\n";
    let alone = round("") + others + &round("");
    let follows = "billing: send bills\n".to_owned() + &format!("billing: process orders\n{}", round("  ")).repeat(3);
    for (client, modules) in [("node-rdkafka", &modules), ("@confluentinc/kafka-javascript", &kafkajs)] {
        for (way, how, expected) in [
            (WayIn::Preload, "alone", &alone),
            (WayIn::Property, "alone", &alone),
            (WayIn::Preload, "follows", &follows),
            (WayIn::Property, "follows", &follows),
        ] {
            let said = |way| {
                let traced = Traced::start(&["orders", "bills"], BILLING);
                traced.send_numbered("orders", 3);
                let mut command = node(&traced, way, &[modules], true, &["tests/node/refused.js", how]);
                let ended = run(command.env("CLIENT", client));
                ended.expect_success();
                assert_eq!(ended.stderr, "", "{client} {way:?} {how}");
                (ended.stdout, draw_traces_with(&traced.spans(), &["messaging.kafka.message.tombstone"]))
            };
            let ((untraced, _), (traced, drawing)) = (said(WayIn::None), said(way));
            assert_eq!(traced, untraced, "{client} {way:?} {how}");
            let drawing = drawing.replace("messaging.kafka.message.", "");
            assert_eq!(drawing, *expected, "{client} {way:?} {how}");
        }
    }
}

#[test]
fn one_trace_leads_through_a_web_server_the_consumer_and_the_spans_of_opentelemetry() {
    let (Some(modules), Some(packages)) = (node_modules(), node_packages("node-web", WEB)) else { return };
    let Some(kafkajs) = kafka_javascript() else { return };
    for (framework, client) in
        [("express", "node-rdkafka"), ("fastify", "node-rdkafka"), ("express", "kafkajs"), ("fastify", "kafkajs")]
    {
        let modules = if client == "kafkajs" { &kafkajs } else { &modules };
        let traced = Traced::start(&["orders", "bills"], BILLING);
        let arguments = ["tests/node/web.js", framework, client];
        let mut command = node(&traced, WayIn::Preload, &[modules, &packages], true, &arguments);
        command.env("COLLECTOR", traced.collector.endpoint());
        let ended = run(&mut command);
        ended.expect_success();
        let trace = "\
web: POST
  web: POST
    shop: send orders
      billing: process orders
        web: INSERT orders
        web: make bill
          billing: send bills
";
        assert_eq!(drawn(&traced.spans()), [(trace.to_owned(), 3)], "{framework}, {client}: {}", ended.stderr);
    }
}

/// Also what a compiler makes of TypeScript for engines without `async`.
#[test]
fn a_microservice_in_nestjs_has_one_right_trace_for_each_message() {
    let (Some(modules), Some(packages)) = (kafka_javascript(), node_packages("node-nest", NEST)) else { return };
    for target in ["es2016", "es2022"] {
        let folder = tempfile::tempdir().unwrap();
        let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node/nest.ts");
        std::fs::copy(here, folder.path().join("nest.ts")).unwrap();
        let linked = folder.path().join("node_modules");
        std::fs::create_dir_all(linked.join("@confluentinc")).unwrap();
        let client = "@confluentinc/kafka-javascript";
        std::os::unix::fs::symlink(modules.join(client), linked.join(client)).unwrap();
        for package in ["@nestjs", "@types", "reflect-metadata", "rxjs"] {
            std::os::unix::fs::symlink(packages.join(package), linked.join(package)).unwrap();
        }
        let mut compiler = Command::new(packages.join(".bin/tsc"));
        compiler.current_dir(folder.path()).args(["--target", target, "--module", "commonjs", "--strict"]);
        compiler.args(["--experimentalDecorators", "--emitDecoratorMetadata", "--skipLibCheck", "nest.ts"]);
        let compiled = compiler.output().unwrap();
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stdout));
        let program = folder.path().join("nest.js");
        let traced = Traced::start(&["orders", "bills"], BILLING);
        let ended = run(&mut node(&traced, WayIn::Preload, &[], true, &[program.to_str().unwrap()]));
        ended.expect_success();
        let billed = BILLED.replace("~ ", "");
        assert_eq!(drawn(&traced.spans()), [(billed, 6)], "{target}: {}", ended.stderr);
    }
}

/// The folder of a program that finds this client as its own.
fn beside_client(modules: &Path, program: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(modules, folder.path().join("node_modules")).unwrap();
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/node").join(program);
    std::fs::copy(here, folder.path().join(program)).unwrap();
    folder
}

#[test]
fn a_program_of_es_modules_has_one_right_trace_for_each_message() {
    let Some(modules) = node_modules() else { return };
    let folder = beside_client(&modules, "esm.mjs");
    let program = folder.path().join("esm.mjs");
    let traced = Traced::start(&["orders", "bills"], BILLING);
    let ended = run(&mut node(&traced, WayIn::Preload, &[], true, &[program.to_str().unwrap()]));
    ended.expect_success();
    assert_eq!(drawn(&traced.spans()), [(BILLED.replace("~ ", ""), 6)], "{}", ended.stderr);
}

#[test]
fn a_client_in_a_bundle_is_said_not_to_be_recognised_and_one_outside_it_is() {
    let (Some(modules), Some(packages)) = (node_modules(), node_packages("node-esbuild", ESBUILD)) else { return };
    for (external, told) in [(None, true), (Some("--external:node-rdkafka"), false)] {
        let folder = beside_client(&modules, "esm.mjs");
        let mut bundler = Command::new(packages.join(".bin/esbuild"));
        let file = "--outfile=bundle.mjs";
        bundler.current_dir(folder.path()).args(["esm.mjs", "--bundle", "--platform=node", "--format=esm", file]);
        // As bundlers of programs with CommonJS in them are told to.
        bundler.arg("--banner:js=import { createRequire as make } from 'module'; const require = make(import.meta.url); const __filename = import.meta.filename;");
        let bundled = bundler.args(external).output().unwrap();
        assert!(bundled.status.success(), "{}", String::from_utf8_lossy(&bundled.stderr));
        // Where the bundled client looks for its native part.
        let release = folder.path().join("build/Release");
        std::fs::create_dir_all(&release).unwrap();
        std::fs::write(folder.path().join("package.json"), "{}").unwrap();
        let native = "node-librdkafka.node";
        std::fs::copy(modules.join("node-rdkafka/build/Release").join(native), release.join(native)).unwrap();
        let traced = Traced::start(&["orders", "bills"], BILLING);
        let program = folder.path().join("bundle.mjs");
        let ended = run(&mut node(&traced, WayIn::Preload, &[], true, &[program.to_str().unwrap()]));
        ended.expect_success();
        assert_eq!(ended.stderr.matches("the Kafka client is bundled").count(), usize::from(told), "{}", ended.stderr);
        let billed = [(BILLED.replace("~ ", ""), 6)];
        let cut =
            [("billing: send bills\n".to_owned(), 6), ("shop: send orders\n  billing: receive orders\n".to_owned(), 6)];
        let drawn = drawn(&traced.spans());
        assert_eq!(drawn, if told { cut.to_vec() } else { billed.to_vec() }, "{}", ended.stderr);
    }
}

/// Of these shapes the traces are not looked at, but what the layer says of each send: no Kafka is needed.
fn says_right_causes(packages: Option<&Path>) {
    let command = &|shape: Option<&str>| {
        let mut command = Command::new("node");
        command.env("NODE_PATH", "tests/node/fake").arg("--require").arg(layer_file()).arg("tests/node/causes.js");
        command.args(shape);
        if let Some(packages) = packages {
            command.env("PACKAGES", packages);
        }
        command
    };
    let listed = String::from_utf8(command(None).output().unwrap().stdout).unwrap();
    let shapes: Vec<_> = listed.lines().collect();
    assert!(shapes.len() >= 7, "{listed}");
    for some in shapes.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            for shape in some {
                scope.spawn(move || {
                    let ended = run(&mut command(Some(shape)));
                    ended.expect_success();
                    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("right\n", ""), "{shape}");
                });
            }
        });
    }
}

#[test]
fn what_goes_on_beside_a_message_is_not_taken_for_its_work() {
    if Command::new("node").arg("--version").output().is_err() {
        return skip("there is no node");
    }
    says_right_causes(None);
}

#[test]
fn queues_and_pools_that_messages_share_do_not_mix_them_up() {
    let Some(packages) = node_packages("node-queues", QUEUES) else { return };
    says_right_causes(Some(&packages));
}

/// What a case of `same.js` says, and how it ends. No Kafka is needed.
fn said_in_case(layer: bool, packages: Option<&Path>, case: Option<&str>) -> String {
    let mut command = Command::new("node");
    command.env("NODE_PATH", "tests/node/fake");
    if layer {
        command.arg("--require").arg(layer_file());
    }
    if let Some(packages) = packages {
        command.env("PACKAGES", packages);
    }
    let ended = run(command.arg("tests/node/same.js").args(case));
    format!("{}{}{:?}", ended.stdout, ended.stderr, ended.status.code())
}

fn is_said_without_the_layer_too(packages: Option<&Path>) {
    let listed = said_in_case(false, packages, None);
    let cases: Vec<_> = listed.lines().filter(|line| !line.starts_with("Some(")).collect();
    assert!(cases.len() >= 3, "{listed}");
    for case in cases {
        let [with, without] = [true, false].map(|layer| said_in_case(layer, packages, Some(case)));
        assert_eq!(with, without, "{case}");
    }
}

#[test]
fn a_program_sees_its_own_functions_promises_and_lists_as_without_the_layer() {
    if Command::new("node").arg("--version").output().is_err() {
        return skip("there is no node");
    }
    is_said_without_the_layer_too(None);
    let failed = (0..5).map(|order| format!("{order} Declined order {order}")).collect::<Vec<_>>().join("; ");
    assert_eq!(said_in_case(true, None, Some("told")), format!("{failed}\nopen 1\nopen 0\nSome(0)"));
}

#[test]
fn packages_with_queues_call_what_a_program_gives_them_as_without_the_layer() {
    let Some(packages) = node_packages("node-queues", QUEUES) else { return };
    is_said_without_the_layer_too(Some(&packages));
}

#[test]
fn ten_thousand_messages_at_once_have_no_wrong_parent() {
    let Some(modules) = node_modules() else { return };
    for shape in ["events", "for of, not awaited"] {
        let traced = Traced::start(&["orders", "bills"], BILLING);
        let arguments = ["tests/node/shapes.js", shape, "10000"];
        let ended = run(&mut node(&traced, WayIn::Preload, &[&modules], true, &arguments));
        ended.expect_success();
        assert_eq!(ended.stdout, "10000 of 10000\n", "{shape}: {}", ended.stderr);
    }
}

#[test]
fn the_bench_of_node_programs_runs_and_no_span_of_ours_is_lost_in_it() {
    let (Some(modules), Some(kafkajs)) = (node_modules(), kafka_javascript()) else { return };
    let playground = library().with_file_name("../examples/playground");
    assert!(playground.exists(), "{} is not built; `cargo test`, without a test's name, does", playground.display());
    let modules = format!("--modules={}:{}", modules.display(), kafkajs.display());
    let mut command = Command::new("node");
    without_tracing(&mut command).arg("resolver/librdkafka/benches/node/run.js").args(["--quick", &modules]);
    command.arg(format!("--playground={}", playground.display())).arg(format!("--library={}", library().display()));
    let ended = run(&mut command);
    ended.expect_success();
    let rows: Vec<_> = ended.stdout.lines().skip(2).map(|row| row.split(" | ").collect::<Vec<_>>()).collect();
    assert_eq!(rows.len(), 6 * 3, "{}", ended.stdout);
    assert!(rows.iter().all(|row| row.len() == 7), "{}", ended.stdout);
}

/// What programs share among messages.
const QUEUES: &[&str] = &[
    "async-mutex@0.5.0",
    "async@3.2.6",
    "bottleneck@2.19.5",
    "dataloader@2.2.3",
    "fastq@1.20.3",
    "generic-pool@3.9.0",
    "p-limit@3.1.0",
    "p-limit-7@npm:p-limit@7.3.3",
    "p-queue@6.6.2",
    "p-queue-9@npm:p-queue@9.3.5",
];

/// What `web.js` uses beside the client.
const WEB: &[&str] = &[
    "@opentelemetry/api@1.9.1",
    "@opentelemetry/exporter-trace-otlp-proto@0.223.1",
    "@opentelemetry/instrumentation@0.223.0",
    "@opentelemetry/instrumentation-http@0.223.0",
    "@opentelemetry/resources@2.12.1",
    "@opentelemetry/sdk-trace-node@2.12.1",
    "express@4.22.3",
    "fastify@5.12.8",
];
/// What `nest.ts` uses beside the client, and what compiles it.
const NEST: &[&str] = &[
    "@nestjs/common@11.2.10",
    "@nestjs/core@11.2.10",
    "@nestjs/microservices@11.2.6",
    "@types/node@20.19.43",
    "reflect-metadata@0.2.2",
    "rxjs@7.8.2",
    "typescript@5.9.3",
];
const ESBUILD: &[&str] = &["esbuild@0.28.2"];
