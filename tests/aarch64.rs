//! Promise: what the packages for aarch64 install traces programs there as it does here, with glibc and with musl. The machine is
//! emulated: `tests/aarch64/machine test` and `tests/aarch64/machine musl test` build and install all that is used here. Without it
//! there is nothing to try.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;

use words::foreign::{PROCESSING, Shop, processing_in_rust, skip};
use words::{Traced, WayIn, run};

/// Where each package has put the command, in the folder `installed` of the machine.
const COMMANDS: [&str; 3] = [ARCHIVE, NPM, WHEEL];
const COMMANDS_OF_GLIBC: [&str; 2] = ["deb/usr/bin/tracer-interceptors", "rpm/usr/bin/tracer-interceptors"];
const ARCHIVE: &str = "archive/bin/tracer-interceptors";
const NPM: &str = "npm/package/lib/tracer-interceptors";
const WHEEL: &str = "wheel/tracer_interceptors/lib/tracer-interceptors";

/// What the programs say that pay for three orders.
const PAID: &str = "paid: order 0\npaid: order 1\npaid: order 2\n";

#[test]
fn a_program_in_c_is_traced_from_each_package_by_preload_and_by_property() {
    let Some(machine) = Machine::open() else { return };
    let program = machine.folder.join("flow");
    let preloaded = processing_in_rust(3, Shop::SaysWhenItIsDone);
    for machine in machine.and_with_an_older_libc() {
        for command in machine.commands() {
            let Some(library) = machine.library(command) else { continue };
            let (flow, said) = machine.traces("LD_PRELOAD", &library, &[&program], &[]);
            assert_eq!((&*flow, &*said), (&*preloaded, PAID), "{command}, {}", machine.root.display());
        }
        let (flow, said) = machine.traces("PLUGIN", &machine.library(ARCHIVE).unwrap(), &[&program], &[]);
        assert_eq!((&*flow, &*said), (&*processing_in_rust(3, Shop::SaysNothing), PAID), "{}", machine.root.display());
    }
}

#[test]
fn every_way_to_send_is_traced_in_c() {
    let Some(machine) = Machine::open() else { return };
    let library = machine.library(ARCHIVE).unwrap();
    let program = machine.folder.join("sends");
    for (how, arrive) in
        [("produce", 5), ("producev", 5), ("produceva", 5), ("batch", 5), ("partitions", 4), ("nowhere", 1)]
    {
        // Of `nowhere` librdkafka refuses four, and calls no interceptor for them: the library sees the calls, by an entry
        // in assembly.
        let refused = if how == "nowhere" { 4 } else { 0 };
        let failed = "shop: send orders !_UNKNOWN_PARTITION\n".repeat(refused);
        let (drawn, said, complaints) = machine.ran("LD_PRELOAD", &library, &[&program, Path::new(how)], &[]);
        assert!(said.starts_with("taken "), "{how}: {said}");
        // Of `partitions` librdkafka refuses one, and never takes it back: so it is, and so is said, on every processor.
        assert_eq!(complaints.contains("1 message has no span"), how == "partitions", "{how}: {complaints}");
        assert!(how == "partitions" || complaints.is_empty(), "{how}: {complaints}");
        assert_eq!(drawn, "shop: send orders\n".repeat(arrive) + &failed, "{how}");
    }
}

#[test]
fn a_program_in_python_is_traced_by_the_wheel() {
    let Some(machine) = Machine::open() else { return };
    let python = machine.root.join("usr/bin/python3");
    if !python.exists() {
        return skip("there is no Python for aarch64 with musl here");
    }
    let library = machine.library(WHEEL).unwrap();
    let site = machine.folder.join("installed/wheel");
    let with_layer = std::env::join_paths([&site.join("tracer_interceptors/start"), &site]).unwrap();
    let program: [&Path; 2] = [&python, Path::new("tests/python/flow.py")];
    for (variable, path, shop) in [
        ("LD_PRELOAD", site.as_os_str(), Shop::SaysWhenItIsDone),
        ("LD_PRELOAD", &with_layer, Shop::SaysWhenItIsDone),
        ("PLUGIN", site.as_os_str(), Shop::SaysNothing),
    ] {
        let (drawn, said) = machine.traces(variable, &library, &program, &[("PYTHONPATH", path)]);
        assert_eq!((drawn, &*said), (processing_in_rust(3, shop), PAID), "{variable}, {}", path.display());
    }
}

#[test]
fn every_plugin_loads() {
    let Some(machine) = Machine::open() else { return };
    for command in machine.commands() {
        if machine.library(command).is_none() {
            continue;
        }
        let said = machine.said(command, &["plugins", "list"]);
        let names: Vec<_> = said.lines().filter_map(|line| line.split_whitespace().next()).collect();
        assert_eq!(names, ["file", "jaeger", "kafka", "otlp", "otlp_grpc", "zipkin"], "{command}: {said}");
    }
}

/// What `tests/aarch64/machine` has made.
#[derive(Clone)]
struct Machine {
    folder: PathBuf,
    /// The system's own files.
    root: PathBuf,
}

impl Machine {
    #[track_caller]
    fn open() -> Option<Self> {
        let Some(folder) = std::env::var_os("AARCH64_MACHINE").map(PathBuf::from) else {
            skip("it takes a machine of that kind: tests/aarch64/machine test");
            return None;
        };
        let root = folder.join("root");
        Some(Self { folder, root })
    }

    fn is_of_musl(&self) -> bool {
        self.root.join("lib/ld-musl-aarch64.so.1").exists()
    }

    /// Where each package that there is for it has put the command.
    fn commands(&self) -> impl Iterator<Item = &'static str> {
        let more: &[&str] = if self.is_of_musl() { &[] } else { &COMMANDS_OF_GLIBC };
        COMMANDS.iter().chain(more).copied()
    }

    /// Itself, and, where it has musl, the one with the musl of before.
    fn and_with_an_older_libc(&self) -> Vec<Self> {
        let older = self.is_of_musl().then(|| Self { root: self.folder.join("old"), ..self.clone() });
        [self.clone()].into_iter().chain(older).collect()
    }

    /// Where the command that a package installed says that the library is. A package that could not be built has none.
    #[track_caller]
    fn library(&self, command: &str) -> Option<PathBuf> {
        if !self.folder.join("installed").join(command).exists() {
            skip(&format!("{command} is not installed: its package was not built"));
            return None;
        }
        Some(PathBuf::from(self.said(command, &["path"]).trim_end()))
    }

    fn said(&self, command: &str, words: &[&str]) -> String {
        let mut emulator = Command::new(self.emulator());
        let command = self.folder.join("installed").join(command);
        let ended = run(self.emulated(emulator.env_remove("LD_PRELOAD")).arg(command).args(words));
        ended.expect_success();
        ended.stdout
    }

    /// The drawing of a program there, and what it says. Kafka and the collector are here.
    fn traces(
        &self,
        variable: &str,
        library: &Path,
        program: &[&Path],
        variables: &[(&str, &OsStr)],
    ) -> (String, String) {
        let (drawn, said, complaints) = self.ran(variable, library, program, variables);
        assert_eq!(complaints, "");
        (drawn, said)
    }

    /// The same, and what is said on standard error.
    fn ran(
        &self,
        variable: &str,
        library: &Path,
        program: &[&Path],
        variables: &[(&str, &OsStr)],
    ) -> (String, String, String) {
        let traced = Traced::start(&["orders", "payments"], PROCESSING);
        let mut command = traced.command(WayIn::None, self.emulator());
        self.emulated(&mut command).args(program).envs(variables.iter().copied());
        // cargo's own, where this machine's librdkafka lies, which musl's dynamic linker would take.
        command.env_remove("LD_LIBRARY_PATH").env("INTERCEPTORS_CONFIG_FILE", traced.file()).env(variable, library);
        let ended = run(&mut command);
        ended.expect_success();
        (traced.take_traces(), ended.stdout, ended.stderr)
    }

    /// It is linked statically: `LD_PRELOAD` is for the program only.
    fn emulator(&self) -> PathBuf {
        self.folder.join("bin/qemu-aarch64-static")
    }

    fn emulated<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.arg("-L").arg(&self.root)
    }
}
