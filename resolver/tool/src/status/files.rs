//! The status files that were named, and those in folders that were.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::failure::Failure;
use crate::given_file::Kind;

/// Each with what it holds, in the order of their names. Of a folder those files are taken that are status files; one that
/// is named has to be one.
pub(super) fn read(paths: &[PathBuf]) -> Result<Vec<(PathBuf, Json)>, Failure> {
    let mut all = Vec::new();
    for path in paths {
        if let Some((folder, before, after)) = of_each_process(path) {
            let is_named = |file: &Path| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let number = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            };
            all.extend(in_folder(&folder, is_named)?);
        } else if path.is_dir() {
            all.extend(in_folder(path, is_visible)?);
        } else {
            let document = document(path).map_err(|why| unreadable(path, &why))?;
            all.push((path.clone(), document));
        }
    }
    Ok(all)
}

/// The status files of a folder that are taken.
fn in_folder(folder: &Path, is_taken: impl Fn(&Path) -> bool) -> Result<Vec<(PathBuf, Json)>, Failure> {
    let entries = fs::read_dir(folder).map_err(|error| unreadable(folder, &error.to_string()))?;
    let mut files: Vec<_> = entries.filter_map(Result::ok).map(|entry| entry.path()).collect();
    files.retain(|file| file.is_file() && is_taken(file));
    files.sort();
    Ok(files.into_iter().filter_map(|file| document(&file).ok().map(|document| (file, document))).collect())
}

/// A name as the variable has it, with `{pid}` in it: the folder, and what is before and after the number.
fn of_each_process(path: &Path) -> Option<(PathBuf, String, String)> {
    let (before, after) = path.file_name()?.to_str()?.split_once("{pid}")?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some((folder.to_owned(), before.to_owned(), after.to_owned()))
}

/// One that is being written has a name that begins with a dot.
fn is_visible(file: &Path) -> bool {
    !file.file_name().unwrap_or_default().as_encoded_bytes().starts_with(b".")
}

fn document(path: &Path) -> Result<Json, String> {
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let length = match fs::metadata(path) {
        Ok(metadata) => metadata.len(),
        Err(error) if path.to_str().is_some_and(is_number) => {
            return Err(format!("{error}: if it is the number of a process, name the file that it writes"));
        }
        Err(error) => return Err(error.to_string()),
    };
    if length > MOST_BYTES {
        return Err("it is too large to be a status file".to_owned());
    }
    if let Some(other) = Kind::of(path).filter(|kind| *kind != Kind::Status) {
        return Err(format!("it is {}, and no status file: {}", other.name(), other.way_out(path)));
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
