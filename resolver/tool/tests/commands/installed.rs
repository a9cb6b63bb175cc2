//! The command as it lies when it is installed: the library and the plugins beside it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use tempfile::TempDir;
use words::foreign::library;

/// The installed files, and a folder to work in, which is gone with it.
pub(crate) struct Installed {
    bin: PathBuf,
    folder: TempDir,
}

impl Installed {
    /// The files are those of all tests: nobody changes them.
    pub(crate) fn new() -> Self {
        Self::with(copies().to_owned())
    }

    /// The files are this test's own.
    pub(crate) fn apart() -> Self {
        let mut apart = Self::with(PathBuf::new());
        apart.bin = apart.folder.path().join("bin");
        fs::create_dir(&apart.bin).unwrap();
        for file in fs::read_dir(copies()).unwrap().map(|entry| entry.unwrap()) {
            let to = apart.bin.join(file.file_name());
            // A program that is being written cannot be run, and whoever forks meanwhile keeps it open.
            if file.file_name() == TOOL {
                fs::hard_link(file.path(), to).unwrap();
            } else {
                fs::copy(file.path(), to).unwrap();
            }
        }
        apart
    }

    fn with(bin: PathBuf) -> Self {
        // On the file system of the copies, so that the program need only be linked.
        let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
        fs::create_dir(folder.path().join("work")).unwrap();
        Self { bin, folder }
    }

    pub(crate) fn bin(&self) -> &Path {
        &self.bin
    }

    /// Where commands run, and files are.
    pub(crate) fn work(&self) -> PathBuf {
        self.folder.path().join("work")
    }

    pub(crate) fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.work().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    /// The command, in an environment that says nothing.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(self.bin().join(TOOL));
        command.env_clear().env("PATH", "/usr/bin:/bin").current_dir(self.work());
        command
    }

    pub(crate) fn run(&self, words: &[&str]) -> Said {
        Said::of(self.command().args(words).output().unwrap())
    }
}

/// What a command said, and how it ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) status: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn of(output: Output) -> Self {
        Self {
            status: output.status.code().unwrap(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.out).unwrap()
    }
}

/// A folder of the repository.
pub(crate) fn repository(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").join(folder)
}

/// The files in a folder whose names end so, in the order of their names.
pub(crate) fn files(folder: &str, ending: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(repository(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> = entries.filter(|path| path.to_string_lossy().ends_with(ending)).collect();
    files.sort();
    assert!(!files.is_empty(), "{folder} has no {ending}");
    files
}

/// Made once, before anything is started: a program that is being written cannot be run, and whoever forks meanwhile keeps
/// it open. Not links to cargo's folder: other plugins lie there. Each run of the tests makes them anew.
fn copies() -> &'static Path {
    static COPIES: OnceLock<PathBuf> = OnceLock::new();
    COPIES.get_or_init(|| {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("installed");
        fs::create_dir_all(&folder).unwrap();
        let built = library().parent().unwrap().to_owned();
        let copy = |from: PathBuf| {
            let to = folder.join(from.file_name().unwrap());
            // Another run may have it open.
            let _ = fs::remove_file(&to);
            fs::copy(from, to).unwrap();
        };
        copy(built.join("libtracer_interceptors.so"));
        SHIPPED.into_iter().for_each(|plugin| copy(built.join(file_name(plugin))));
        copy(PathBuf::from(env!("CARGO_BIN_EXE_tracer-interceptors")));
        folder
    })
}

fn file_name(plugin: &str) -> String {
    format!("libtracer_plugin_{plugin}.so")
}

/// The command.
const TOOL: &str = "tracer-interceptors";

/// The plugins of the packages.
pub(crate) const SHIPPED: [&str; 6] = ["file", "jaeger", "kafka", "otlp", "otlp_grpc", "zipkin"];
