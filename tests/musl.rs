//! Promise: what the packages for musl install traces programs where there is no glibc. `tests/musl/machine test` builds and
//! installs all that is used here. Without it there is nothing to try.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use words::foreign::{PROCESSING, Shop, library, processing_in_rust, skip};
use words::{Ended, Traced, WayIn, run};

/// Where each package has put the command, in the folder `installed` of the machine.
const COMMANDS: [&str; 3] = [ARCHIVE, NPM, WHEEL];
const NPM: &str = "npm/package/lib/tracer-interceptors";
const ARCHIVE: &str = "archive/bin/tracer-interceptors";
const WHEEL: &str = "wheel/tracer_interceptors/lib/tracer-interceptors";

/// What the programs say that pay for three orders.
const PAID: &str = "paid: order 0\npaid: order 1\npaid: order 2\n";

#[test]
fn a_program_in_c_is_run_by_each_package_with_an_old_musl_too() {
    let Some(machine) = Machine::open() else { return };
    let preloaded = processing_in_rust(3, Shop::SaysWhenItIsDone);
    for command in COMMANDS {
        let Some(command) = machine.installed(command) else { continue };
        for root in ["root", "old"] {
            let words = [command.as_os_str(), OsStr::new("run"), machine.file("flow").as_os_str()].map(OsStr::to_owned);
            let (drawn, ended) = machine.in_root(root, &words, &[]);
            assert_eq!((&*drawn, &*ended.stdout, &*ended.stderr), (&*preloaded, PAID, ""), "{command:?}, {root}");
        }
    }
}

#[test]
fn a_program_in_c_is_traced_by_property() {
    let Some(machine) = Machine::open() else { return };
    // Run by the kernel, and by the dynamic linker as a command.
    for words in [&[machine.file("flow")][..], &["/lib/ld-musl-x86_64.so.1".into(), machine.file("flow")]] {
        let (drawn, ended) = machine.traces(words, &[("PLUGIN", &machine.library(ARCHIVE))]);
        let expected = processing_in_rust(3, Shop::SaysNothing);
        assert_eq!((&*drawn, &*ended.stdout, &*ended.stderr), (&*expected, PAID, ""), "{words:?}");
    }
}

#[test]
fn every_way_to_send_is_traced_in_c() {
    let Some(machine) = Machine::open() else { return };
    let command = machine.file("installed").join(ARCHIVE);
    for (how, arrive) in
        [("produce", 5), ("producev", 5), ("produceva", 5), ("batch", 5), ("partitions", 4), ("nowhere", 1)]
    {
        let words = [command.clone(), "run".into(), machine.file("sends"), how.into()];
        let (drawn, ended) = machine.traces(&words, &[]);
        assert!(ended.stdout.starts_with("taken "), "{how}: {}", ended.stdout);
        let failed = "shop: send orders !_UNKNOWN_PARTITION\n".repeat(if how == "nowhere" { 4 } else { 0 });
        assert_eq!(drawn, "shop: send orders\n".repeat(arrive) + &failed, "{how}");
    }
}

/// The library has an unwinder of its own there, and the program another: `resolver/librdkafka/src/unwinding.rs`.
#[test]
fn an_exception_that_a_callback_throws_passes_through_whoever_leads_it() {
    let Some(machine) = Machine::open() else { return };
    let command = machine.file("installed").join(ARCHIVE);
    for program in ["throwing", "throwing-hidden"] {
        let (_, ended) = machine.traces(&[command.clone(), "run".into(), machine.file(program)], &[]);
        assert_eq!((&*ended.stdout, &*ended.stderr), (&*"caught 7\n".repeat(3), ""), "{program}");
    }
}

/// The dynamic linker there lets nobody ask for what is being constructed until it is: `resolver/librdkafka/src/module.rs`.
#[test]
fn a_library_that_uses_kafka_while_it_is_being_loaded_is_traced_by_either_way_in() {
    let Some(machine) = Machine::open() else { return };
    let run_by = [machine.file("installed").join(ARCHIVE), "run".into()];
    for (way, library, variables) in [
        (&run_by[..], "constructing-with-libkafka.so.so", &[][..]),
        (&[], "constructing-with-librdkafka.c.so", &[("PLUGIN", &machine.library(ARCHIVE))]),
    ] {
        let words = [way, &[machine.file("loading"), machine.file(library), "late".into()]].concat();
        let traced = Traced::start(&[], "[services.shop]\ntopics = [\"*\"]");
        let ended = run(machine.command(&traced, "root").args(words).envs(variables.iter().copied()));
        assert_eq!((&*ended.stdout, &*ended.stderr), ("early: a trace\nlate: a trace\n", ""), "{library}");
    }
}

#[test]
fn a_program_for_glibc_is_refused_in_words_by_either_way_in() {
    let Some(machine) = Machine::open() else { return };
    let command = machine.file("installed").join(ARCHIVE);
    let program = machine.file("of-glibc");
    let traced = Traced::start(&["orders", "payments"], PROCESSING);
    let ended = run(machine.command(&traced, "root").arg(&command).arg("run").arg(&program));
    let refused = "of-glibc is run without tracing: its dynamic linker is /lib64/ld-linux-x86-64.so.2, and the library is made for musl";
    assert!(ended.stderr.contains(refused), "{}", ended.stderr);
    // And the library of another C library is not loaded, and ends nobody.
    let mut flow = machine.command(&traced, "root");
    let ended = run(flow.env("PLUGIN", library()).arg(machine.file("flow")));
    assert!(ended.stderr.starts_with("plugin.library.paths: "), "{}", ended.stderr);
}

#[test]
fn every_plugin_loads() {
    let Some(machine) = Machine::open() else { return };
    for command in COMMANDS {
        let Some(command) = machine.installed(command) else { continue };
        let (_, ended) = machine.traces(&[command.clone(), "plugins".into(), "list".into()], &[]);
        let names: Vec<_> = ended.stdout.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["file", "jaeger", "kafka", "otlp", "otlp_grpc", "zipkin"], "{command:?}: {}", ended.stdout);
    }
}

#[test]
fn a_program_in_python_is_traced_by_the_wheel() {
    let Some(machine) = Machine::open() else { return };
    let python = machine.file("root/usr/bin/python3.11");
    if !python.exists() {
        return skip("there is no Python for it: tests/musl/machine python");
    }
    let site = machine.file("installed/wheel");
    let flow = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/flow.py");
    let program = [PathBuf::from("/usr/bin/python3.11"), flow];
    let run_by_wheel = [&[machine.file("installed").join(WHEEL), "run".into()], &program[..]].concat();
    for (words, library, shop) in [
        (&run_by_wheel[..], None, Shop::SaysWhenItIsDone),
        (&program[..], Some(machine.library(WHEEL)), Shop::SaysNothing),
    ] {
        let mut variables = vec![("PYTHONPATH", &site)];
        variables.extend(library.as_ref().map(|library| ("PLUGIN", library)));
        let (drawn, ended) = machine.traces(words, &variables);
        assert_eq!((drawn, &*ended.stdout, &*ended.stderr), (processing_in_rust(3, shop), PAID, ""), "{words:?}");
    }
}

/// There is no client of Kafka for it here.
#[test]
fn a_program_in_node_starts_with_the_library_and_the_layer() {
    let Some(machine) = Machine::open() else { return };
    let look =
        "const maps = require('fs').readFileSync('/proc/self/maps', 'utf8').includes('libtracer_interceptors.so');
        console.log(maps, Symbol.for('tracer-interceptors.installed') in require('module'));";
    for command in [ARCHIVE, NPM] {
        let Some(command) = machine.installed(command) else { continue };
        let (_, ended) = machine.traces(&[command, "run".into(), "/bin/node".into(), "-e".into(), look.into()], &[]);
        assert_eq!(ended.stdout, "true true\n");
    }
}

/// What `tests/musl/machine` has made.
struct Machine {
    folder: PathBuf,
}

impl Machine {
    #[track_caller]
    fn open() -> Option<Self> {
        let Some(folder) = std::env::var_os("MUSL_MACHINE").map(PathBuf::from) else {
            skip("it takes a machine of that kind: tests/musl/machine test");
            return None;
        };
        Some(Self { folder })
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The command that a package installed. A package that could not be built has none.
    #[track_caller]
    fn installed(&self, command: &str) -> Option<PathBuf> {
        let installed = self.file("installed").join(command);
        if !installed.exists() {
            skip(&format!("{command} is not installed: its package was not built"));
            return None;
        }
        Some(installed)
    }

    /// Where the command that a package installed says that the library is.
    fn library(&self, command: &str) -> PathBuf {
        let (_, ended) = self.traces(&[self.file("installed").join(command), "path".into()], &[]);
        PathBuf::from(ended.stdout.trim_end())
    }

    /// The drawing of a program there, and what it says. Kafka and the collector are here.
    fn traces(&self, words: &[PathBuf], variables: &[(&str, &PathBuf)]) -> (String, Ended) {
        self.in_root("root", words, variables)
    }

    fn in_root(&self, root: &str, words: &[impl AsRef<OsStr>], variables: &[(&str, &PathBuf)]) -> (String, Ended) {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        let mut command = self.command(&traced, root);
        let ended = run(command.args(words).envs(variables.iter().copied()));
        ended.expect_success();
        (traced.take_traces(), ended)
    }

    /// What runs a program in one of its roots; the program's words follow.
    fn command(&self, traced: &Traced, root: &str) -> Command {
        let mut command = traced.command(WayIn::None, concat!(env!("CARGO_MANIFEST_DIR"), "/tests/musl/machine"));
        // cargo's own, where this machine's librdkafka lies.
        command.env_remove("LD_LIBRARY_PATH").env("INTERCEPTORS_CONFIG_FILE", traced.file());
        command.arg("run").env("MUSL_MACHINE", &self.folder).env("MUSL_ROOT", self.file(root));
        command
    }
}
