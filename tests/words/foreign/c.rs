//! Programs in C and C++, made by the machine's compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::skip::skip;

/// The program of `tests/SOURCE`, on the system's librdkafka, compiled into `folder` with these flags; the test is skipped
/// where there is no compiler or no librdkafka.
#[track_caller]
pub fn c_program(folder: &Path, source: &str, flags: &[&str]) -> Option<PathBuf> {
    let libraries = match Command::new("pkg-config").args(["--cflags", "--libs", "rdkafka"]).output() {
        Ok(said) if said.status.success() => String::from_utf8_lossy(&said.stdout).into_owned(),
        _ => {
            skip("pkg-config knows no rdkafka (Debian: librdkafka-dev)");
            return None;
        }
    };
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(source);
    let program = folder.join(source.file_stem()?);
    let compiler = if source.extension().is_some_and(|ending| ending == "c") { "cc" } else { "c++" };
    let mut command = Command::new(compiler);
    command.args(["-Wall", "-Wextra", "-Werror", "-g"]).args(flags).arg(&source).arg("-o").arg(&program);
    match command.args(libraries.split_whitespace()).output() {
        Ok(said) => assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr)),
        Err(error) => {
            skip(&format!("there is no compiler ({compiler}): {error}"));
            return None;
        }
    }
    Some(program)
}
