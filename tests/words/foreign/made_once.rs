//! What tests build or install once, and keep from run to run.

use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use super::build_folder;

/// The folder `name` of [`build_folder`], as `make` left it when it last succeeded for the same `wanted`: a text that names
/// the versions of what is in it. Waits while another test program makes it.
///
/// # Errors
///
/// Those of `make`, which is then tried again by the next who asks.
pub fn made_once(name: &str, wanted: &str, make: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let folder = build_folder(name);
    let _lock = lock(&folder);
    let made = folder.join("made");
    if fs::read_to_string(&made).is_ok_and(|made| made == wanted) {
        return Ok(folder);
    }
    // What is left of an attempt, or of something else that was wanted.
    fs::remove_dir_all(&folder).unwrap();
    fs::create_dir_all(&folder).unwrap();
    make(&folder)?;
    fs::write(made, wanted).unwrap();
    Ok(folder)
}

/// Makes the folder, and keeps other test programs out of it until what this returns is dropped.
pub(crate) fn lock(folder: &Path) -> File {
    fs::create_dir_all(folder).unwrap();
    let lock = File::create(folder.with_extension("lock")).unwrap();
    // SAFETY: the descriptor is open as long as `lock` is; closing it unlocks.
    assert_eq!(unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX) }, 0, "{}", std::io::Error::last_os_error());
    lock
}

/// Runs a command and returns what it wrote to stdout, without the space around it.
///
/// # Errors
///
/// That it does not start or fails, with the last line that it wrote.
pub(crate) fn said(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let Output { status, stdout, stderr } = command.output().map_err(|error| format!("{program}: {error}"))?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if status.success() {
        return Ok(text(&stdout));
    }
    let said = [text(&stderr), text(&stdout)].join("\n");
    Err(format!("{command:?}: {status}: {}", said.trim().lines().next_back().unwrap_or_default()))
}
