//! The variable `LD_PRELOAD`: files that the dynamic linker loads before a program's own.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use crate::failure::Failure;

/// The variable with `library` in it: after what is there, which stays; once only.
///
/// After, because what others preload may have to be first, as the run-time library of the address sanitizer has.
pub(super) fn with(present: Option<OsString>, library: &Path) -> Result<OsString, Failure> {
    let ours = library.as_os_str().as_bytes();
    if ours.iter().any(is_separator) {
        return Err(Failure::of_ours(format!(
            "LD_PRELOAD cannot name {}, because of a blank or a colon in it: install it elsewhere, or set the client \
             property plugin.library.paths to it",
            library.display()
        )));
    }
    let mut value = present.unwrap_or_default().into_vec();
    if value.split(is_separator).any(|name| name == ours) {
        return Ok(OsString::from_vec(value));
    }
    if !value.is_empty() {
        value.push(b':');
    }
    value.extend_from_slice(ours);
    Ok(OsString::from_vec(value))
}

/// The name of the variable.
pub(super) fn variable() -> &'static OsStr {
    OsStr::new("LD_PRELOAD")
}

/// What the dynamic linker splits the variable at.
fn is_separator(byte: &u8) -> bool {
    matches!(byte, b':' | b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_ours(present: Option<&str>) -> String {
        let value = with(present.map(OsString::from), Path::new("/lib/ours.so")).map_err(|failure| failure.what);
        value.unwrap().into_string().unwrap()
    }

    #[test]
    fn what_others_preload_stays_and_stays_first() {
        assert_eq!(with_ours(None), "/lib/ours.so");
        assert_eq!(with_ours(Some("")), "/lib/ours.so");
        assert_eq!(with_ours(Some("/lib/libasan.so.8 /lib/other.so")), "/lib/libasan.so.8 /lib/other.so:/lib/ours.so");
    }

    #[test]
    fn a_library_that_is_preloaded_already_is_not_named_twice() {
        assert_eq!(with_ours(Some("/lib/ours.so:/lib/other.so")), "/lib/ours.so:/lib/other.so");
        assert_eq!(with_ours(Some("/opt/lib/ours.so")), "/opt/lib/ours.so:/lib/ours.so");
    }

    #[test]
    fn a_path_that_the_variable_cannot_hold_is_refused_with_the_way_out() {
        for path in ["/my programs/ours.so", "/a:b/ours.so"] {
            let failure = with(None, Path::new(path)).map_err(|failure| failure.what).unwrap_err();
            assert!(failure.contains(path) && failure.contains("plugin.library.paths"), "{failure}");
        }
    }
}
