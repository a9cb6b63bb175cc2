//! A Python with the Kafka clients of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::made_once::{made_once, said};
use super::skip::or_skip;

/// What the shapes of programs need: an environment that is made once for all of their tests, `python-shapes`.
pub const PYTHON_OF_SHAPES: &str = "confluent-kafka==2.16.1\ngevent==26.9.0\neventlet==0.41.3\ngreenlet==3.5.6\nuvicorn==0.54.0\nuvloop==0.23.0\n\
     anyio==4.16.0\ntrio==0.35.0";

/// The `python` of an environment with `REQUIREMENTS`, made once in cargo's target folder. Without Python, its module
/// `venv` or the package registry there is none, and the test is skipped: that is said here.
#[track_caller]
pub fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    or_skip(PYTHON.get_or_init(|| made("python", REQUIREMENTS)).clone())
}

/// The same for other requirements, a line each, in the folder `name` of [`build_folder`](super::build_folder).
#[track_caller]
pub fn python_with(name: &str, requirements: &str) -> Option<PathBuf> {
    or_skip(made(name, requirements))
}

/// The same for a Python of another version, such as `3.8`, where one is installed beside the machine's own.
#[track_caller]
pub fn python_of(version: &str, requirements: &str) -> Option<PathBuf> {
    let python = format!("python{version}");
    let installed = pyenv(version).unwrap_or_else(|| python.clone().into());
    or_skip(made_by(&installed, &python, requirements))
}

/// One of that version that pyenv has installed, if there is pyenv.
fn pyenv(version: &str) -> Option<PathBuf> {
    let versions = Path::new(&std::env::var_os("HOME")?).join(".pyenv/versions");
    let start = format!("{version}.");
    let folders = std::fs::read_dir(versions).ok()?.flatten();
    let mut of_it = folders.filter(|folder| folder.file_name().to_string_lossy().starts_with(&start));
    Some(of_it.next()?.path().join("bin/python"))
}

fn made(name: &str, requirements: &str) -> Result<PathBuf, String> {
    made_by(Path::new("python3"), name, requirements)
}

fn made_by(python: &Path, name: &str, requirements: &str) -> Result<PathBuf, String> {
    let folder = made_once(name, requirements, |folder| environment(python, folder, requirements))?;
    Ok(folder.join("bin/python"))
}

fn environment(python: &Path, folder: &Path, requirements: &str) -> Result<(), String> {
    said(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    let pip = ["-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--quiet"];
    // Only wheels: nothing is compiled, and a registry that is not there is not waited for.
    let hurry = ["--only-binary", ":all:", "--retries", "1", "--timeout", "20"];
    said(Command::new(folder.join("bin/python")).args(pip).args(hurry).args(requirements.lines()))?;
    Ok(())
}

/// What the tests' programs import.
const REQUIREMENTS: &str = "confluent-kafka==2.16.1\ngunicorn==27.0.1";
