//! Where a layer lies that follows a program's tasks: in the package that brought the library.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

/// The file, if there is one: at `packaged` in the wheel or the npm package, beside the `lib` that the library lies in; or
/// at `shared` in `share/tracer-resolver` of the prefix in whose `lib/tracer-resolver` the library lies.
pub(super) fn of(library: &Path, packaged: &str, shared: &str) -> Option<PathBuf> {
    let folder = library.parent()?;
    let packaged = folder.parent()?.join(packaged);
    let shared = || {
        let prefix = folder.ends_with("lib/tracer-resolver").then(|| folder.ancestors().nth(2))??;
        Some(prefix.join("share/tracer-resolver").join(shared))
    };
    if packaged.is_file() { Some(packaged) } else { shared().filter(|file| file.is_file()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_lies_in_the_package_of_the_library_or_in_the_share_of_its_prefix() {
        let prefix = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let file = prefix.path().join(name);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(&file, "").unwrap();
            file
        };
        let found = |library: &str| of(&prefix.path().join(library), "start/a", "language/start/a");
        let (packaged, installed) = ("package/lib/ours.so", "lib/tracer-resolver/ours.so");
        assert_eq!((found(packaged), found(installed)), (None, None));
        let shared = make("share/tracer-resolver/language/start/a");
        assert_eq!((found(packaged), found(installed)), (None, Some(shared)));
        assert_eq!(found("other/ours.so"), None, "it is of no prefix");
        let beside = make("package/start/a");
        assert_eq!(found(packaged), Some(beside));
    }
}
