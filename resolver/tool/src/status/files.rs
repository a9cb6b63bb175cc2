//! The status files that were named, and those in folders that were.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::failure::Failure;

/// Each with what it holds, in the order of their names. Of a folder those files are taken that are status files; one that
/// is named has to be one.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Json)>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if path.is_dir() {
            let entries = fs::read_dir(path).map_err(|error| unreadable(path, &error.to_string()))?;
            let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
            files.retain(|file| file.is_file() && is_visible(file));
            files.sort();
            all.extend(files.into_iter().filter_map(|file| document(&file).ok().map(|document| (file, document))));
        } else {
            let document = document(path).map_err(|why| unreadable(path, &why))?;
            all.push((path.clone(), document));
        }
    }
    Ok(all)
}

/// One that is being written has a name that begins with a dot.
fn is_visible(file: &Path) -> bool {
    !file.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b".")
}

fn document(path: &Path) -> Result<Json, String> {
    let length = fs::metadata(path).map_err(|error| error.to_string())?.len();
    if length > MOST_BYTES {
        return Err("it is too large to be a status file".to_owned());
    }
    let text = fs::read_to_string(path).map_err(|error| error.to_string())?;
    let document: Json = serde_json::from_str(&text).map_err(|error| format!("it is no status file: {error}"))?;
    match document.get(MARK).and_then(Json::as_u64) {
        Some(1) => Ok(document),
        Some(newer) => Err(format!("it is of version {newer}, which a newer tracer-interceptors reads")),
        None => Err("it is no status file".to_owned()),
    }
}

fn unreadable(path: &Path, why: &str) -> Failure {
    Failure::of_ours(format!("{}: {why}", path.display()))
}

/// What a status file begins with.
const MARK: &str = "interceptors_status";
/// 512 topics and 200 clients are less.
const MOST_BYTES: u64 = 16 << 20;
