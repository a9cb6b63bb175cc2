//! Programs in Go, built for a test.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::build_folder;
use super::made_once::{lock, said};
use super::skip::or_skip;

/// How a Go program comes to its librdkafka.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GoBuild {
    /// That of the client's package, linked in: what `go build` does.
    Static,
    /// The same, without a symbol table: `-ldflags "-s -w"`.
    Stripped,
    /// The same, with the symbols of librdkafka exported: `CGO_LDFLAGS=-rdynamic`.
    StrippedExporting,
    /// The same, and the C library with it: `-ldflags "-extldflags=-static"`.
    FullyStatic,
    /// That of the system: `-tags dynamic`.
    Dynamic,
}

/// The program of the module in `tests/go`, built so. Without Go, a C compiler, the client's package or, for
/// [`GoBuild::Dynamic`], the librdkafka of the system and its headers there is none, and the test is skipped: that is said
/// here. Panics when the program itself is wrong.
#[track_caller]
pub fn go_program(build: GoBuild) -> Option<PathBuf> {
    or_skip(built(build))
}

fn built(build: GoBuild) -> Result<PathBuf, String> {
    said(Command::new("go").arg("version"))?;
    said(Command::new("cc").arg("--version"))?;
    let (module_file, client) = match build {
        GoBuild::Dynamic => ("dynamic.mod", "github.com/confluentinc/confluent-kafka-go/v2@v2.0.2"),
        _ => ("go.mod", "github.com/confluentinc/confluent-kafka-go/v2@v2.11.1"),
    };
    if build == GoBuild::Dynamic {
        said(Command::new("pkg-config").args(["--exists", "--print-errors", "rdkafka >= 2.0.2"]))?;
    }
    let folder = build_folder("go");
    let _lock = lock(&folder);
    let modfile = format!("-modfile={module_file}");
    said(go().args(["mod", "download", &modfile, client]))?;
    let program = folder.join(format!("{build:?}").to_lowercase());
    let mut command = go();
    command.args(["build", &modfile, "-buildvcs=false", "-o"]).arg(&program);
    match build {
        GoBuild::Static => {}
        GoBuild::Stripped => drop(command.args(["-ldflags", "-s -w"])),
        GoBuild::StrippedExporting => drop(command.args(["-ldflags", "-s -w"]).env("CGO_LDFLAGS", "-rdynamic")),
        GoBuild::FullyStatic => drop(command.args(["-ldflags", "-extldflags=-static"])),
        GoBuild::Dynamic => drop(command.args(["-tags", "dynamic"])),
    }
    let built = command.output().unwrap();
    assert!(built.status.success(), "{command:?}: {}", String::from_utf8_lossy(&built.stderr));
    Ok(program)
}

/// Go in the folder of the module, with the toolchain that is there.
fn go() -> Command {
    let mut command = Command::new("go");
    command.current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/go"));
    command.env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("CGO_ENABLED", "1");
    command
}
