//! Programs in C with a librdkafka without Kafka (`tests/fixtures/fake_librdkafka`), linked as each test wants it.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::foreign::skip;

/// Where programs and libraries are built; gone when dropped.
pub struct Workshop {
    folder: TempDir,
}

impl Workshop {
    /// A new one; the test is skipped where there is no C compiler.
    #[track_caller]
    pub fn open() -> Option<Self> {
        match Command::new("cc").arg("--version").output() {
            Ok(said) if said.status.success() => return Some(Self { folder: tempfile::tempdir().unwrap() }),
            Ok(said) => skip(&format!("cc does not work: {}", String::from_utf8_lossy(&said.stderr))),
            Err(error) => skip(&format!("there is no C compiler (cc): {error}")),
        }
        None
    }

    /// The path of a file there, which may not exist yet.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// `lib{name}.so`: the fake librdkafka on its own, with these flags.
    pub fn librdkafka(&self, name: &str, flags: &[&str]) -> PathBuf {
        let file = format!("lib{name}.so");
        let soname = format!("-Wl,-soname,{file}");
        self.build(&file, &[&["-shared", "-fPIC", &soname, "librdkafka.c"], flags].concat())
    }

    /// A program or library out of these sources and flags. Names of sources are those of the fixture.
    pub fn build(&self, name: &str, sources_and_flags: &[&str]) -> PathBuf {
        let built = self.path(name);
        let mut command = Command::new("cc");
        command.current_dir(SOURCES).args(["-O2", "-Wall", "-Wextra", "-o"]).arg(&built);
        // Libraries come last, for what is before them needs them.
        let here = format!("-L{}", self.folder.path().display());
        let output = command.args(sources_and_flags).args([&here, "-ldl", "-lpthread"]).output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
        built
    }

    /// A program or library out of these sources and flags, linked with a fake librdkafka that lies beside it.
    pub fn build_linked(&self, name: &str, sources_and_flags: &[&str]) -> PathBuf {
        self.librdkafka("kafka", &[]);
        self.build_linked_with("kafka", name, sources_and_flags)
    }

    /// The same, with the fake librdkafka that was built under this name.
    pub fn build_linked_with(&self, librdkafka: &str, name: &str, sources_and_flags: &[&str]) -> PathBuf {
        let folder = self.folder.path().display();
        let link = [format!("-l{librdkafka}"), format!("-Wl,-rpath,{folder}")];
        self.build(name, &[sources_and_flags, &link.each_ref().map(String::as_str)].concat())
    }

    /// Removes every symbol of a file that a program can do without. `false`: there is no `strip`, and the test is skipped.
    #[track_caller]
    pub fn strip(&self, file: &Path) -> bool {
        let stripped = Command::new("strip").arg("--strip-all").arg(file).status().is_ok_and(|status| status.success());
        if !stripped {
            skip("there is no `strip` (binutils) on this machine");
        }
        stripped
    }
}

const SOURCES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fake_librdkafka");
