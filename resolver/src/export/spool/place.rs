//! Where in the folder of the configuration a backend's batches lie: a folder of its own for each user, which nobody else may
//! enter.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::trusted_path;

/// The backend's folder, made if it is not there.
///
/// # Errors
///
/// Why it cannot be used, for people.
pub(super) fn prepare(folder: &Path, backend: &str) -> Result<PathBuf, String> {
    let fault = |path: &Path, error: io::Error| format!("{}: {error}", path.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| fault(folder, error))?;
    if let Some(doubt) = trusted_path::doubt(folder, false) {
        return Err(format!("{doubt}; {}", doubt.help()));
    }
    let place = of_backend(folder, backend);
    match DirBuilder::new().mode(0o700).create(&place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fault(&place, error)),
        _ => {}
    }
    is_private(&place).map_err(|error| fault(&place, error))?;
    Ok(place)
}

/// Whether it is a folder, of this user, in which nobody else may change anything.
pub(super) fn is_private(place: &Path) -> io::Result<()> {
    let metadata = place.symlink_metadata()?;
    if !metadata.is_dir() || metadata.uid() != trusted_path::user() || metadata.mode() & 0o022 != 0 {
        return Err(io::Error::other("it is not a folder of this user's alone: remove it"));
    }
    Ok(())
}

/// Without a look at it. Names of backends may have any sign.
pub(super) fn of_backend(folder: &Path, backend: &str) -> PathBuf {
    let mut name = String::new();
    for byte in backend.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') {
            name.push(char::from(byte));
        } else {
            // Writing into a `String` cannot fail.
            let _ = write!(name, "%{byte:02x}");
        }
    }
    folder.join(format!("{name}.{}", trusted_path::user()))
}

/// The folders of processes in it.
pub(super) fn processes(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|entry| entry.path()).collect()
}

/// The files with batches in a process's folder, in the order in which they were begun.
pub(super) fn segments(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.ends_with(ENDING))
        .collect();
    names.sort();
    names
}

/// The name of the file that was begun after so many others.
pub(super) fn segment(number: u64) -> String {
    format!("{number:010}{ENDING}")
}

/// Bytes of all batches in it, whosever they are.
pub(super) fn bytes(place: &Path) -> u64 {
    let of_process = |folder: &PathBuf| -> u64 {
        let files = segments(folder).into_iter();
        files.filter_map(|name| folder.join(name).symlink_metadata().ok()).map(|file| file.len()).sum()
    };
    processes(place).iter().map(of_process).sum()
}

const ENDING: &str = ".batches";
