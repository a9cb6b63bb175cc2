//! A Python with the Kafka clients of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::made_once::{made_once, said};
use super::skip::or_skip;

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

fn made(name: &str, requirements: &str) -> Result<PathBuf, String> {
    let folder = made_once(name, requirements, |folder| environment(folder, requirements))?;
    Ok(folder.join("bin/python"))
}

fn environment(folder: &Path, requirements: &str) -> Result<(), String> {
    said(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = ["-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--quiet"];
    // Only wheels: nothing is compiled, and a registry that is not there is not waited for.
    let hurry = ["--only-binary", ":all:", "--retries", "1", "--timeout", "20"];
    said(Command::new(folder.join("bin/python")).args(pip).args(hurry).args(requirements.lines()))?;
    Ok(())
}

/// What the tests' programs import.
const REQUIREMENTS: &str = "confluent-kafka==2.16.1\ngunicorn==27.0.1";
