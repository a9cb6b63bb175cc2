//! Programs in C and C++, made by the machine's compiler.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::made_once::{made_once, said};
use super::python::python;
use super::skip::{or_skip, skip};

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

/// A folder with the `librdkafka.so.1` that a version of Python's confluent-kafka brings: with that folder in `LD_LIBRARY_PATH`
/// a program runs on that librdkafka. Got once; where it cannot be had, the test is skipped.
#[track_caller]
pub fn librdkafka_of_python(version: &str) -> Option<PathBuf> {
    let python = python()?;
    or_skip(made_once(&format!("librdkafka-{version}"), version, |folder| unpacked_wheel(&python, version, folder)))
        .map(|folder| folder.join("confluent_kafka.libs"))
}

fn unpacked_wheel(python: &Path, version: &str, folder: &Path) -> Result<(), String> {
    // Whatever this machine's Python is: nothing of it is run.
    let mut pip = Command::new(python);
    pip.args(["-m", "pip", "--no-input", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]);
    pip.args(["--only-binary", ":all:", "--retries", "1", "--timeout", "20", "--python-version", "3.9", "--dest"]);
    pip.arg(folder).arg(format!("confluent-kafka=={version}"));
    for glibc in ["manylinux2010", "manylinux2014", "manylinux_2_28"] {
        pip.arg("--platform").arg(format!("{glibc}_{}", std::env::consts::ARCH));
    }
    said(&mut pip)?;
    let files =
        |folder: &Path| -> Vec<PathBuf> { std::fs::read_dir(folder).unwrap().map(|it| it.unwrap().path()).collect() };
    let wheel = files(folder).into_iter().find(|file| file.extension().is_some_and(|ending| ending == "whl"));
    let wheel = wheel.ok_or("pip downloads no wheel")?;
    said(Command::new(python).args(["-m", "zipfile", "--extract"]).arg(&wheel).arg(folder))?;
    std::fs::remove_file(wheel).unwrap();
    // Its name there has a checksum in it.
    let libraries = folder.join("confluent_kafka.libs");
    let is_it = |file: &PathBuf| file.file_name().unwrap().to_string_lossy().starts_with("librdkafka-");
    let library = files(&libraries).into_iter().find(is_it).ok_or("the wheel brings no librdkafka")?;
    std::fs::rename(library, libraries.join("librdkafka.so.1")).unwrap();
    Ok(())
}
