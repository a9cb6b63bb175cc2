//! Promise: whatever goes wrong in a language's layer, each call of the program does what it does without it, and a line says what is
//! lost. One function of the layer after the other fails here; and it meets clients, libraries and Pythons that it cannot work with.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use words::foreign::{BILLING, PAYING, PYTHON_OF_SHAPES, node_modules, python_with};
use words::kafka::Kafka;
use words::{Ended, Traced, WayIn, run};

const ORDERS: usize = 10;

/// Each call in which the layer does something is made, and whatever it does there fails.
#[test]
fn a_defect_of_python_s_layer_fails_no_call_of_the_program() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    let ran = |how: &str| {
        let traced = Traced::on(Kafka::start_with(&["orders", "payments"], ORDERS as i32), PAYING);
        traced.send_numbered("orders", 2 * ORDERS);
        let ended = run(traced.command(WayIn::Layer, &python).args(["tests/python/defects.py", how]));
        ended.expect_success();
        (ended.stdout, ended.stderr, traced.spans().len())
    };
    let (told, said, _) = ran("whole");
    assert_eq!((told.as_str(), said.as_str()), ("33\n", ""));
    let (told, said, spans) = ran("broken");
    assert_eq!(told, "33\n");
    assert!(said.lines().all(|line| line.starts_with("tracer-interceptors: a ")), "{said}");
    assert!(said.contains("because of a defect of ours: KeyError: 'defect'"), "{said}");
    assert!(spans > 20 * ORDERS, "what is sent is traced all the same");
}

/// Threads that cannot be started, proxies that answer over the network, arguments by their names: a program may do what it likes.
#[test]
fn whatever_a_program_does_with_what_is_replaced_it_does_the_same() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    let ran = |way| {
        let traced = Traced::on(Kafka::start_with(&["orders", "payments"], ORDERS as i32), PAYING);
        traced.send_numbered("orders", ORDERS);
        let ended = run(traced.command(way, &python).arg("tests/python/harmless.py"));
        ended.expect_success();
        assert_eq!(ended.stderr, "", "{way:?}");
        (ended.stdout, traced.spans())
    };
    let ((untraced, _), (told, spans)) = (ran(WayIn::None), ran(WayIn::Layer));
    assert_eq!(told.lines().collect::<Vec<_>>(), untraced.lines().collect::<Vec<_>>());
    assert!(told.lines().count() > 200, "{told}");
    let failed = spans.iter().filter(|span| span.attribute("error.type").as_deref() == Some("Unspoken"));
    assert_eq!(failed.count(), 1, "the block's message has failed, though its exception cannot say why");
}

/// Programs of Node that run at once: they mostly wait.
const AT_A_TIME: usize = 4;

/// What of the layer fails, one at a time, in shapes of program that come by it.
const DEFECTS: [&str; 24] = [
    "others.Account.handed",
    "others.Account.opens",
    "others.Account.fails",
    "others.Account.begins",
    "others.Account.comes",
    "others.Account.pends",
    "others.Account.sentTo",
    "others.Account.ends",
    "processing.Processing.begin",
    "processing.Processing.sends",
    "processing.Processing.sendsInFact",
    "processing.Processing.context",
    "processing.Processing.isOver",
    "processing.Processing.settle",
    "processing.Processing.hold",
    "processing.Processing.release",
    "processing.Processing._end",
    "turns.Turn.enter",
    "turns.Turn.leave",
    "turns.Turn.isOver",
    "library.find",
    "resources.follow",
    "opentelemetry.isThere",
    "opentelemetry.activeSpan",
];

#[test]
fn a_defect_of_node_s_layer_fails_no_call_of_the_program() {
    let Some(modules) = node_modules() else { return };
    let shapes = ["events", "for of", "pipe", "write stream", "stream, for await"];
    let (told, harmed) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    for defects in DEFECTS.chunks(AT_A_TIME) {
        std::thread::scope(|scope| {
            for defect in defects {
                let (modules, told, harmed) = (&modules, &told, &harmed);
                scope.spawn(move || {
                    for shape in shapes {
                        let ended = run_with_defect(modules, defect, shape);
                        if ended.stderr.contains(": WARN: the layer for Node failed, and the program goes on: ") {
                            told.fetch_add(1, Ordering::Relaxed);
                        }
                        let is_done = ended.stdout.lines().any(|line| line.ends_with(&format!(" of {ORDERS}")));
                        if !is_done || !ended.status.success() {
                            harmed.lock().unwrap().push(format!("{defect}, {shape}: {}", ended.stderr));
                        }
                    }
                });
            }
        });
    }
    let harmed = harmed.into_inner().unwrap();
    assert!(harmed.is_empty(), "{}", harmed.join("\n"));
    let told = told.into_inner();
    assert!(told > 2 * DEFECTS.len(), "most shapes come by most of what fails: {told} did");
}

/// A shape in which something of the layer fails.
fn run_with_defect(modules: &Path, defect: &str, shape: &str) -> Ended {
    let traced = Traced::on(Kafka::start_with(&["orders", "bills", "drafts"], 1), BILLING);
    let count = ORDERS.to_string();
    let layer = Path::new(env!("CARGO_MANIFEST_DIR")).join("resolver/librdkafka/npm/layer");
    let mut command = traced.command(WayIn::Preload, "node");
    command.env("NODE_PATH", modules).env("DEFECT", defect).env("LAYER", &layer);
    command.arg("--require").arg(layer.join("register.js")).args(["--require", "./tests/node/defects.js"]);
    command.args(["tests/node/shapes.js", shape, &count]);
    run(&mut command)
}

#[test]
fn what_the_layer_cannot_extend_it_says_once_and_the_program_runs() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    let traced = Traced::start(&["orders"], PAYING);
    let folder = tempfile::tempdir().unwrap();
    let package = folder.path().join("confluent_kafka");
    std::fs::create_dir(&package).unwrap();
    std::fs::write(package.join("__init__.py"), "from .cimpl import Producer").unwrap();
    let other = "class Producer:\n    def send(self):\n        return 'sent'\n";
    std::fs::write(package.join("cimpl.py"), other).unwrap();
    let mut command = traced.command(WayIn::Layer, &python);
    let program = "from confluent_kafka import Producer; import confluent_kafka.cimpl; print(Producer().send())";
    let ended = run(command.current_dir(folder.path()).args(["-c", program]));
    ended.expect_success();
    assert_eq!(ended.stdout, "sent\n");
    let lines: Vec<_> = ended.stderr.lines().collect();
    assert!(lines.len() == 2 && lines.iter().all(|line| line.starts_with("tracer-interceptors: ")), "{lines:?}");
}

#[test]
fn a_program_that_cannot_be_followed_is_told_so_once_and_runs_as_ever() {
    let Some(python) = python_with("python-shapes", PYTHON_OF_SHAPES) else { return };
    let traced = Traced::start(&["orders"], PAYING);
    let (python_of_its_own, older) = ("in this kind of Python", "that is older than the Python package");
    for (kind, said, why) in [
        ("flags", "method_descriptor object\n", python_of_its_own),
        ("second", "method_descriptor Producer\nNone None\n", python_of_its_own),
        ("table", "method_descriptor object\n", older),
        ("functions", "method_descriptor object\n", older),
    ] {
        let ended = run(traced.command(WayIn::Layer, &python).args(["tests/python/refused.py", kind]));
        ended.expect_success();
        assert_eq!(ended.stdout, said, "{kind}");
        let lines: Vec<_> = ended.stderr.lines().collect();
        assert!(
            lines.len() == 1 && lines[0].contains("not known exactly") && lines[0].contains(why),
            "{kind}: {lines:?}"
        );
    }
}
