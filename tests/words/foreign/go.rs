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

/// A folder with the plugin of this name in Go, as the command's template has it, but for its own guard against forks; `None`
/// where there is no Go.
pub fn plugin_in_go(name: &str) -> Option<PathBuf> {
    or_skip(built_plugin(name))
}

fn built_plugin(name: &str) -> Result<PathBuf, String> {
    said(Command::new("go").arg("version"))?;
    said(Command::new("cc").arg("--version"))?;
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = build_folder(&format!("go_plugin_{name}"));
    let _lock = lock(&folder);
    let template = project.join("resolver/tool/templates/go");
    for (file, from) in [
        ("plugin.go", "plugin.go"),
        ("boundary.c", "boundary.c"),
        ("boundary.h", "boundary.h"),
        ("go.mod", "go.mod.template"),
    ] {
        let text = std::fs::read_to_string(template.join(from)).unwrap().replace("@NAME@", name);
        let unguarded = text.replace("{ return getpid() != loaded_by; }", "{ return getpid() == 0; }");
        assert!(file != "boundary.c" || unguarded != text, "the template's guard is another one");
        std::fs::write(folder.join(file), unguarded).unwrap();
    }
    let header = project.join("plugins/api/include/tracer_plugin.h");
    std::fs::copy(header, folder.join("tracer_plugin.h")).unwrap();
    let mut command = Command::new("go");
    command.current_dir(&folder).env("GOTOOLCHAIN", "local").env("GOFLAGS", "").env("CGO_ENABLED", "1");
    command.args(["build", "-buildvcs=false", "-buildmode=c-shared", "-o"]);
    let built = command.arg(format!("libtracer_plugin_{name}.so")).arg(".").output().unwrap();
    assert!(built.status.success(), "{command:?}: {}", String::from_utf8_lossy(&built.stderr));
    Ok(folder)
}
