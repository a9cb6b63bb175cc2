//! A Python with the Kafka clients of the tests.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::made_once::{made_once, said};
use super::skip;

/// The `python` of an environment with [`REQUIREMENTS`], made once in cargo's target folder. Without Python, its module
/// `venv` or the package registry there is none, and the test is skipped: that is said here.
#[track_caller]
pub fn python() -> Option<PathBuf> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = || made_once("python", &REQUIREMENTS.join("\n"), environment);
    match PYTHON.get_or_init(|| made().map(|folder| folder.join("bin/python"))) {
        Ok(python) => Some(python.clone()),
        Err(reason) => {
            skip(reason);
            None
        }
    }
}

fn environment(folder: &Path) -> Result<(), String> {
    said(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = ["-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--quiet"];
    // Only wheels: nothing is compiled, and a registry that is not there is not waited for.
    let hurry = ["--only-binary", ":all:", "--retries", "1", "--timeout", "20"];
    said(Command::new(folder.join("bin/python")).args(pip).args(hurry).args(REQUIREMENTS))?;
    Ok(())
}

/// What the tests' programs import.
const REQUIREMENTS: [&str; 2] = ["confluent-kafka==2.16.1", "gunicorn==27.0.1"];
