//! What is packaged, and the script that packages it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;
use words::foreign::{library, skip};

use crate::page::docs;

/// Copies of the files that a package holds, as cargo built them for this test.
pub(crate) struct Files {
    folder: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let built = library().parent().unwrap().to_owned();
        for name in LIBRARIES {
            fs::copy(built.join(name), folder.path().join(name)).unwrap();
        }
        // A link, where it can be one: a copy that is still open in what another test forks meanwhile could not be executed.
        let (tool, built) = (folder.path().join(TOOL), env!("CARGO_BIN_EXE_tracer-interceptors"));
        fs::hard_link(built, &tool).or_else(|_| fs::copy(built, &tool).map(drop)).unwrap();
        Self { folder }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn tool(&self) -> PathBuf {
        self.path().join(TOOL)
    }

    pub(crate) fn library(&self) -> PathBuf {
        self.path().join("libtracer_interceptors.so")
    }
}

/// `package.sh`, which packages `files` into `out`.
pub(crate) fn packaging(kind: &str, files: &Files, out: &Path) -> Command {
    let mut command = Command::new(SCRIPT);
    command.args(["--only", kind, "--built"]).arg(files.path()).arg("--out").arg(out);
    command
}

/// The package of that kind, built once. A machine that cannot build it has none, and the test is skipped: that is said
/// here.
#[track_caller]
pub(crate) fn package(kind: Kind) -> Option<PathBuf> {
    static WHEEL: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static NPM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static DEB: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static RPM: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    static ARCHIVE: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let built = match kind {
        Kind::Wheel => &WHEEL,
        Kind::Npm => &NPM,
        Kind::Deb => &DEB,
        Kind::Rpm => &RPM,
        Kind::Archive => &ARCHIVE,
    };
    built.get_or_init(|| build(kind)).clone().map_err(|reason| skip(&reason)).ok()
}

/// All files below a folder.
pub(crate) fn every_file(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { every_file(&path) } else { vec![path] }).collect()
}

/// `run` of this command brings its package's layers into Python and Node programs; the library lies where the layer for Python says.
/// What is not on this machine is skipped.
#[track_caller]
pub(crate) fn brings_the_layers(tool: &Path, library: &Path) {
    let python = "import sys; print('tracer_interceptors._layer' in sys.modules, sys.modules['tracer_interceptors'].library_path())";
    let node = "console.log(Symbol.for('tracer-interceptors.installed') in require('module'))";
    for (words, said) in [
        (["python3", "-c", python], format!("True {}\n", library.display())),
        (["node", "-e", node], "true\n".to_owned()),
    ] {
        let [program, ..] = words;
        if Command::new(program).arg("--version").output().is_err() {
            skip(&format!("{program} is not installed"));
            continue;
        }
        let mut command = Command::new(tool);
        command.arg("run").args(words).env("PYTHONDONTWRITEBYTECODE", "1");
        for variable in ["LD_PRELOAD", "PYTHONPATH", "NODE_OPTIONS"] {
            command.env_remove(variable);
        }
        assert_eq!(expect_success(command.output().unwrap()), said, "{program}");
    }
}

/// A kind of package.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Wheel,
    Npm,
    Deb,
    Rpm,
    Archive,
}

/// Where packages of that kind are built. Kept from run to run, as it holds what `pip` had to get for the wheel.
pub(crate) fn out(kind: Kind) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(word(kind))
}

fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Wheel => "wheel",
        Kind::Npm => "npm",
        Kind::Deb => "deb",
        Kind::Rpm => "rpm",
        Kind::Archive => "archive",
    }
}

fn build(kind: Kind) -> Result<PathBuf, String> {
    let out = out(kind);
    if out.exists() {
        for old in fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_file()) {
            fs::remove_file(old).unwrap();
        }
    }
    let packaged = packaging(word(kind), &Files::new(), &out).output().unwrap();
    if packaged.status.code() == Some(3) {
        return Err(String::from_utf8_lossy(&packaged.stderr).into_owned());
    }
    let said = expect_success(packaged);
    let built: Vec<_> = said.lines().filter_map(|line| line.strip_prefix("built ")).collect();
    let [built] = built[..] else { panic!("one package, not: {said}") };
    let by = match kind {
        Kind::Wheel => "pip install",
        Kind::Npm => "npm install",
        Kind::Deb => "sudo apt install",
        Kind::Rpm => "sudo dnf install",
        Kind::Archive => "tar -xzf",
    };
    assert!(said.contains(&format!("install it with: {by} {built}")), "{said}");
    Ok(PathBuf::from(built))
}

/// On an index of packages a page has no files beside it.
pub(crate) fn stands_alone(page: &str, configuration: &str) {
    let links = page.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let broken: Vec<_> = links.filter(|to| !to.starts_with("https://")).collect();
    assert!(broken.is_empty(), "{broken:?}");
    let text = fs::read_to_string(docs().join(configuration)).unwrap();
    assert!(page.contains(&format!("## {configuration}\n\n```toml\n{text}```\n")), "{page}");
}

/// Whether kcat is there. Where it is not, the test is skipped: that is said here.
#[track_caller]
pub(crate) fn has_kcat() -> bool {
    Command::new("kcat").arg("-V").output().map_err(|error| skip(&format!("kcat: {error}"))).is_ok()
}

/// What a command wrote to stdout; panics with what it wrote to stderr unless it ended well.
pub(crate) fn expect_success(output: Output) -> String {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// What packages them.
pub(crate) const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../librdkafka/package.sh");

/// The command, in all packages.
pub(crate) const TOOL: &str = "tracer-interceptors";

pub(crate) const LIBRARIES: [&str; 7] = [
    "libtracer_interceptors.so",
    "libtracer_plugin_file.so",
    "libtracer_plugin_jaeger.so",
    "libtracer_plugin_kafka.so",
    "libtracer_plugin_otlp.so",
    "libtracer_plugin_otlp_grpc.so",
    "libtracer_plugin_zipkin.so",
];
