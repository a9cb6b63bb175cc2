//! A Python with the Kafka clients of the tests.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use super::build_folder;

/// The `python` of an environment with [`REQUIREMENTS`], made once in cargo's target folder.
///
/// # Errors
///
/// Why there is none: Python, its module `venv` or the package registry is not there.
pub fn python() -> Result<PathBuf, String> {
    static PYTHON: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    PYTHON.get_or_init(|| environment(&build_folder("python"))).clone()
}

fn environment(folder: &Path) -> Result<PathBuf, String> {
    fs::create_dir_all(folder).unwrap();
    // Other test programs may be about to make it too.
    let lock = File::create(folder.with_extension("lock")).unwrap();
    // SAFETY: the descriptor is open as long as `lock` is; closing it unlocks.
    assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0, "{}", std::io::Error::last_os_error());
    let python = folder.join("bin/python");
    let made = folder.join("made");
    let wanted = REQUIREMENTS.join("\n");
    if fs::read_to_string(&made).is_ok_and(|made| made == wanted) {
        return Ok(python);
    }
    // What is left of an attempt, or of other requirements.
    fs::remove_dir_all(folder).unwrap();
    said(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
    let pip = ["-m", "pip", "--no-input", "--disable-pip-version-check", "install", "--quiet"];
    // Only wheels: nothing is compiled, and a registry that is not there is not waited for.
    let hurry = ["--only-binary", ":all:", "--retries", "1", "--timeout", "20"];
    said(Command::new(&python).args(pip).args(hurry).args(REQUIREMENTS))?;
    fs::write(made, wanted).unwrap();
    Ok(python)
}

fn said(command: &mut Command) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    let said = [text(&stderr), text(&stdout)].join("\n");
    Err(format!("{command:?}: {status}: {}", said.trim().lines().next_back().unwrap_or_default()))
}

/// What the tests' programs import.
const REQUIREMENTS: [&str; 2] = ["confluent-kafka==2.16.1", "gunicorn==27.0.1"];
