//! Programs in C, built for a test.

use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

use super::skip::or_skip;

/// The program `tests/c/NAME.c`, compiled into `folder`. Where there is no compiler or no librdkafka there is none, and the
/// test is skipped: that is said here. Panics when the program itself is wrong.
#[track_caller]
pub fn c_program(folder: &TempDir, name: &str) -> Option<PathBuf> {
    or_skip(compiled(folder, name))
}

fn compiled(folder: &TempDir, name: &str) -> Result<PathBuf, String> {
    let flags = match Command::new("pkg-config").args(["--cflags", "--libs", "rdkafka"]).output() {
        Ok(said) if said.status.success() => String::from_utf8(said.stdout).unwrap(),
        _ => return Err("pkg-config knows no rdkafka (Debian: librdkafka-dev)".to_owned()),
    };
    let program = folder.path().join(name);
    let source = format!("{}/tests/c/{name}.c", env!("CARGO_MANIFEST_DIR"));
    let mut compiler = Command::new("cc");
    compiler.args(["-Wall", "-Wextra", "-Werror", "-g", &source, "-o"]).arg(&program).args(flags.split_whitespace());
    let said = compiler.output().map_err(|error| format!("there is no C compiler (cc): {error}"))?;
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    Ok(program)
}
