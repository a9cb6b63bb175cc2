//! The layer for Node, which every package of this library brings but the wheel: every Node that the program is, or starts, loads it first.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use super::layer_file;

/// Node's own options for itself.
pub(super) const VARIABLE: &str = "NODE_OPTIONS";

/// The layer of the package that this library is in.
pub(super) fn beside(library: &Path) -> Option<PathBuf> {
    layer_file::of(library, "layer/register.js", "node/layer/register.js")
}

/// What is in the variable, after the layer: what the program itself has loaded first finds the clients as the layer
/// leaves them.
pub(super) fn with(present: Option<OsString>, layer: &Path) -> OsString {
    let mut options = b"--require \"".to_vec();
    for byte in layer.as_os_str().as_bytes() {
        if matches!(byte, b'"' | b'\\') {
            options.push(b'\\');
        }
        options.push(*byte);
    }
    options.push(b'"');
    let present = present.unwrap_or_default();
    if contains(&present, &options) {
        return present;
    }
    if !present.is_empty() {
        options.push(b' ');
        options.extend_from_slice(present.as_bytes());
    }
    OsString::from_vec(options)
}

/// Whether a Node that these words start may read the layer. Under its permission model it ends with an error where it may not.
pub(super) fn is_readable_in<'a>(
    mut words: impl Iterator<Item = &'a OsStr>,
    present: Option<&'a OsStr>,
    layer: &Path,
) -> bool {
    let is_node = |word: &OsStr| Path::new(word).file_name().is_some_and(|name| name == "node" || name == "nodejs");
    let starts_node = words.by_ref().any(is_node);
    let present = present.unwrap_or_default().as_bytes().split(u8::is_ascii_whitespace);
    let options: Vec<&[u8]> = words.filter(|_| starts_node).map(OsStr::as_bytes).chain(present).collect();
    let restricts = |option: &&[u8]| matches!(*option, b"--permission" | b"--experimental-permission");
    let allows = |option: &&[u8]| {
        let allowed = option.strip_prefix(b"--allow-fs-read=").map(OsStr::from_bytes);
        allowed.is_some_and(|allowed| allowed == "*" || layer.starts_with(allowed))
    };
    !options.iter().any(restricts) || options.iter().any(allows)
}

fn contains(present: &OsStr, options: &[u8]) -> bool {
    present.as_bytes().windows(options.len()).any(|part| part == options)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays_and_the_layer_comes_first_once() {
        let once = with(Some("--max-old-space-size=64".into()), Path::new("/a b/register.js"));
        assert_eq!(once, r#"--require "/a b/register.js" --max-old-space-size=64"#);
        assert_eq!(with(Some(once.clone()), Path::new("/a b/register.js")), once);
    }

    #[test]
    fn a_node_that_may_not_read_the_layer_is_known() {
        let is_readable = |words: &str, present: &str| {
            is_readable_in(
                words.split(' ').map(OsStr::new),
                Some(OsStr::new(present)),
                Path::new("/a/layer/register.js"),
            )
        };
        for (words, present) in [
            ("node --permission --allow-fs-read=/app app.js", ""),
            ("env A=1 /usr/bin/node --experimental-permission app.js", ""),
            ("npm start", "--permission --allow-fs-read=/a/layer/others"),
        ] {
            assert!(!is_readable(words, present), "{words} {present}");
        }
        for (words, present) in [
            ("node app.js", "--max-old-space-size=64"),
            ("node --permission --allow-fs-read=/app --allow-fs-read=/a/layer/ app.js", ""),
            ("node app.js", "--permission --allow-fs-read=*"),
            ("deno run --permission app.js", ""),
        ] {
            assert!(is_readable(words, present), "{words} {present}");
        }
    }

    #[test]
    fn what_ends_a_quotation_is_escaped() {
        assert_eq!(with(None, Path::new(r#"/a"b\c"#)), r#"--require "/a\"b\\c""#);
    }
}
