//! The status files that were named, and those in folders that were; and what of them cannot be read.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use serde_json::Value as Json;

use crate::given_file::Kind;
use crate::terminal;

/// What was found in the order of the names: one that cannot be read hides no other.
#[derive(Default)]
pub(super) struct Files {
    /// Each with what it holds.
    pub(super) documents: Vec<(PathBuf, Json)>,
    /// Those that are not shown, each with the reason.
    pub(super) unreadable: Vec<String>,
}

/// Why a file is not shown.
struct Unread {
    what: What,
    why: String,
}

/// What such a file is, as far as that is seen.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It is not there, or not any more.
    Gone,
    /// It begins as a status file, or cannot be looked at: whose it is, nobody knows.
    MayBeOne,
    Other,
}

/// Of a folder those files are taken that may be status files; one that is named has to be one.
pub(super) fn read(paths: &[PathBuf]) -> Files {
    let mut files = Files::default();
    for path in paths {
        if let Some((folder, before, after)) = of_each_process(path) {
            let is_named = |file: &Path| {
                let name = file.file_name().unwrap_or_default().to_string_lossy();
                let number = name.strip_prefix(&before).and_then(|rest| rest.strip_suffix(&after));
                number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
            };
            files.take_folder(&folder, is_named, |what| what != What::Gone);
        } else if path.is_dir() {
            files.take_folder(path, is_visible, |what| what == What::MayBeOne);
        } else {
            files.take(path, |_| true);
        }
    }
    files
}

impl Files {
    fn take(&mut self, path: &Path, is_told: impl Fn(What) -> bool) {
        match document(path) {
            Ok(document) => self.documents.push((path.to_owned(), document)),
            Err(unread) if is_told(unread.what) => self.cannot(path, &unread.why),
            Err(_) => {}
        }
    }

    /// The files of a folder that are taken.
    fn take_folder(&mut self, folder: &Path, is_taken: impl Fn(&Path) -> bool, is_told: impl Fn(What) -> bool) {
        let mut files = Vec::new();
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    match entry {
                        Ok(entry) => files.push(entry.path()),
                        Err(error) => self.cannot(folder, &error.to_string()),
                    }
                }
            }
            Err(error) => self.cannot(folder, &error.to_string()),
        }
        // What cannot even be asked what it is may be a file.
        let is_no_file = |file: &Path| fs::metadata(file).is_ok_and(|metadata| !metadata.is_file());
        files.retain(|file| is_taken(file) && !is_no_file(file));
        files.sort();
        files.iter().for_each(|file| self.take(file, &is_told));
    }

    fn cannot(&mut self, path: &Path, why: &str) {
        // A name may be anybody's, too.
        self.unreadable.push(terminal::clean(&format!("{}: {why}", path.display())));
    }
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

fn document(path: &Path) -> Result<Json, Unread> {
    let unread = |what: What, why: String| Err(Unread { what, why });
    let failed = |error: io::Error| Unread {
        what: if error.kind() == io::ErrorKind::NotFound { What::Gone } else { What::MayBeOne },
        why: error.to_string(),
    };
    let is_number = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit());
    let metadata = fs::metadata(path).map_err(failed).map_err(|unread| match path.to_str() {
        Some(name) if is_number(name) => {
            let why = format!("{}: if it is the number of a process, name the file that it writes", unread.why);
            Unread { why, ..unread }
        }
        _ => unread,
    });
    let is_too_large = metadata?.len() > MOST_BYTES;
    if let Some(other) = Kind::of(path).filter(|kind| *kind != Kind::Status) {
        let why = format!("it is {}, and no status file: {}", other.name(), other.way_out(path));
        return unread(What::Other, why);
    }
    let enough = if is_too_large { BEGINNING.len() as u64 } else { MOST_BYTES };
    let mut text = Vec::new();
    File::open(path).and_then(|file| file.take(enough).read_to_end(&mut text)).map_err(failed)?;
    let what = if text.starts_with(BEGINNING.as_bytes()) { What::MayBeOne } else { What::Other };
    if is_too_large {
        return unread(what, "it is too large to be a status file".to_owned());
    }
    let document: Json = match serde_json::from_slice(&text) {
        Ok(document) => document,
        Err(error) if what == What::MayBeOne => return unread(what, format!("it is a damaged status file: {error}")),
        Err(error) => return unread(what, format!("it is no status file: {error}")),
    };
    match document.get(MARK).and_then(Json::as_u64) {
        Some(1) => Ok(document),
        Some(newer) => {
            unread(What::MayBeOne, format!("it is of version {newer}, which a newer tracer-interceptors reads"))
        }
        None => unread(What::Other, "it is no status file".to_owned()),
    }
}

/// What a status file has.
const MARK: &str = "interceptors_status";
/// And what it begins with, in every version.
const BEGINNING: &str = "{\"interceptors_status\":";
/// 512 topics and 200 clients are less.
const MOST_BYTES: u64 = 16 << 20;

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    const GOOD: &str = "{\"interceptors_status\":1,\"tracing\":true}";

    fn names(files: &Files) -> (Vec<String>, Vec<String>) {
        let name = |path: &str| path.split(": ").next().unwrap().rsplit('/').next().unwrap().to_owned();
        let read = files.documents.iter().map(|(path, _)| name(path.to_str().unwrap())).collect();
        (read, files.unreadable.iter().map(|unreadable| name(unreadable)).collect())
    }

    #[test]
    fn what_may_be_a_status_file_and_cannot_be_read_is_told_beside_those_that_can() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, text) in [
            ("7.json", GOOD),
            ("8.json", "{\"interceptors_status\":2}"),
            ("9.json", "{\"interceptors_status\":1,\"tra"),
            ("other.json", "{\"a\":1}"),
            ("shown.json", "{\"processes\":[{\"interceptors_status\":1}]}"),
            ("notes.txt", "{\"a"),
            (".7.json", "{\"interceptors_status\":2}"),
        ] {
            fs::write(place(name), text).unwrap();
        }
        // Nobody can read it from its beginning, root neither.
        symlink("/proc/self/mem", place("10.json")).unwrap();
        symlink("nowhere", place("11.json")).unwrap();
        fs::create_dir(place("12.json")).unwrap();
        let files = read(&[folder.path().to_owned()]);
        assert_eq!(
            names(&files),
            (vec!["7.json".to_owned()], ["10.json", "8.json", "9.json"].map(str::to_owned).to_vec())
        );
        assert!(files.unreadable[1].contains("of version 2") && files.unreadable[2].contains("damaged"));
    }

    #[test]
    fn each_file_that_is_named_is_told_if_it_is_none_and_hides_no_other() {
        let folder = tempfile::tempdir().unwrap();
        let place = |name: &str| folder.path().join(name);
        for (name, text) in [("7.json", GOOD), ("8.json", ""), ("x.json", "")] {
            fs::write(place(name), text).unwrap();
        }
        symlink("nowhere", place("9.json")).unwrap();
        let of = |names_of: &[&str]| names(&read(&names_of.iter().map(|name| place(name)).collect::<Vec<_>>()));
        let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(of(&["{pid}.json"]), (owned(&["7.json"]), owned(&["8.json"])));
        assert_eq!(
            of(&["9.json", "x.json", "7.json", "none/{pid}.json"]),
            (owned(&["7.json"]), owned(&["9.json", "x.json", "none"]))
        );
    }
}
