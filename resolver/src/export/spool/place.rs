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
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| fault(folder, &error))?;
    let place = of_backend(folder, backend);
    is_trusted(folder)?;
    match DirBuilder::new().mode(0o700).create(&place) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(fault(&place, &error)),
        _ => {}
    }
    is_private(&place)?;
    Ok(place)
}

/// The folders of processes, in which something may have been left for this backend.
///
/// # Errors
///
/// Why nobody looks into them, for people.
pub(super) fn left(folder: &Path, backend: &str) -> Result<Vec<PathBuf>, String> {
    let place = of_backend(folder, backend);
    match place.symlink_metadata() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        _ => {}
    }
    is_trusted(folder)?;
    is_private(&place)?;
    processes(&place).map_err(|error| fault(&place, &error))
}

fn is_trusted(folder: &Path) -> Result<(), String> {
    trusted_path::doubt(folder, false).map_or(Ok(()), |doubt| Err(format!("{doubt}; {}", doubt.help())))
}

/// Whether it is a folder, of this user, in which nobody else may change anything.
fn is_private(place: &Path) -> Result<(), String> {
    let metadata = place.symlink_metadata().map_err(|error| fault(place, &error))?;
    let shown = place.display();
    if !metadata.is_dir() || metadata.uid() != trusted_path::user() {
        return Err(format!("{shown}: it is not a folder of this user's: remove it"));
    }
    match metadata.mode() & 0o7777 {
        mode if mode & 0o022 != 0 => {
            Err(format!("others than its user can write to the folder {shown} (mode {mode:04o}); chmod go-w {shown}"))
        }
        _ => Ok(()),
    }
}

fn fault(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
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
pub(super) fn processes(place: &Path) -> io::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(place)? {
        let entry = entry?;
        // What cannot be looked at has been removed meanwhile.
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            all.push(entry.path());
        }
    }
    Ok(all)
}

/// The files with batches in a process's folder, in the order in which they were begun.
pub(super) fn segments(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.extend(entry?.file_name().into_string().ok().filter(|name| name.ends_with(ENDING)));
    }
    names.sort();
    Ok(names)
}

/// The name of the file that was begun after so many others.
pub(super) fn segment(number: u64) -> String {
    format!("{number:010}{ENDING}")
}

/// Bytes of all batches in it, whosever they are.
pub(super) fn bytes(place: &Path) -> u64 {
    let of_process = |folder: &PathBuf| -> u64 {
        let files = segments(folder).into_iter().flatten();
        files.filter_map(|name| folder.join(name).symlink_metadata().ok()).map(|file| file.len()).sum()
    };
    processes(place).iter().flatten().map(of_process).sum()
}

const ENDING: &str = ".batches";
