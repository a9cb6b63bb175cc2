//! The variable `PYTHONPATH`: a folder whose `sitecustomize` every Python imports when it starts, and which brings the layer in
//! that knows which message a task is at.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use super::layer_file;

/// The folder, which every package of this library brings but Node's. Beside a library without one Python programs are run as
/// any other.
pub(super) fn folder(library: &Path) -> Option<PathBuf> {
    const SHARED: &str = "python/tracer_interceptors/start/sitecustomize.py";
    let folder = layer_file::of(library, "start/sitecustomize.py", SHARED)?.parent()?.to_owned();
    // A colon would make two folders of it.
    (!folder.as_os_str().as_bytes().contains(&b':')).then_some(folder)
}

/// The variable with this folder in it: before what is there, which stays, and whose `sitecustomize` ours imports; once only.
pub(super) fn with(present: Option<OsString>, folder: &Path) -> OsString {
    let present = present.unwrap_or_default();
    let ours = folder.as_os_str();
    if present.as_bytes().split(|byte| *byte == b':').any(|entry| entry == ours.as_bytes()) {
        return present;
    }
    let mut value = ours.to_owned();
    // Python takes an empty variable for none, and an empty entry for the current folder.
    if !present.is_empty() {
        value.push(":");
        value.push(present);
    }
    value
}

/// The name of the variable.
pub(super) fn variable() -> &'static OsStr {
    OsStr::new("PYTHONPATH")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ours(present: Option<&str>) -> String {
        with(present.map(OsString::from), Path::new("/ours")).into_string().unwrap()
    }

    #[test]
    fn what_is_there_stays_behind_ours_which_is_named_once() {
        assert_eq!(with_ours(None), "/ours");
        assert_eq!(with_ours(Some("")), "/ours");
        assert_eq!(with_ours(Some("/a:/b")), "/ours:/a:/b");
        assert_eq!(with_ours(Some("/a:")), "/ours:/a:", "the current folder stays in it");
        assert_eq!(with_ours(Some("/a:/ours")), "/a:/ours");
    }

    #[test]
    fn only_a_library_that_lies_in_the_wheel_has_a_folder() {
        let package = tempfile::tempdir().unwrap();
        let library = package.path().join("lib/libtracer_interceptors.so");
        assert_eq!(folder(&library), None);
        std::fs::create_dir(package.path().join("start")).unwrap();
        assert_eq!(folder(&library), None, "an empty one is somebody else's");
        std::fs::write(package.path().join("start/sitecustomize.py"), "").unwrap();
        assert_eq!(folder(&library), Some(package.path().join("start")));
    }
}
