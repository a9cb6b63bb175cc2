//! Which file a piece of code in this process came from, as the kernel knows it.

#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The file behind a mapped address.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) inode: u64,
    pub(super) path: PathBuf,
}

/// The folder of the program or shared object that holds this code. `None` where the kernel does not say (no `/proc`).
pub(super) fn own_folder() -> Option<PathBuf> {
    let here = own_folder as fn() -> Option<PathBuf> as usize;
    let path = at(here)?.path;
    if !path.is_absolute() || path.starts_with("/memfd:") {
        return None;
    }
    path.parent().map(Path::to_owned)
}

/// What is mapped at `address`. Unlike `dladdr`, this never answers with `argv[0]` or with a path relative to a
/// working directory of long ago.
pub(super) fn at(address: usize) -> Option<Mapping> {
    let maps = fs::read("/proc/self/maps").ok()?;
    maps.split(|&byte| byte == b'\n').find_map(|line| parse(&String::from_utf8_lossy(line), address))
}

/// One line of `/proc/self/maps` (proc(5)), if it covers `address`: `start-end perms offset dev inode   path`.
fn parse(line: &str, address: usize) -> Option<Mapping> {
    let mut rest = line;
    let mut field = || {
        let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
        rest = after.trim_start_matches(' ');
        field
    };
    let (start, end) = field().split_once('-')?;
    let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
    if !range.contains(&address) {
        return None;
    }
    let (_permissions, _offset, _device) = (field(), field(), field());
    let inode = field().parse().ok()?;
    // A file replaced since, by an upgrade: the folder is still the right one.
    let path = rest.strip_suffix(" (deleted)").unwrap_or(rest);
    Some(Mapping { inode, path: PathBuf::from(path) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_folder_of_this_code_is_the_folder_of_the_test_program() {
        let program = std::env::current_exe().unwrap();
        assert_eq!(own_folder().as_deref(), program.canonicalize().unwrap().parent());
    }

    #[test]
    fn a_line_of_the_kernels_map_is_read_with_spaces_and_replaced_files() {
        let line = "7f00-7fff r-xp 00001000 fd:01 4711                       /opt/my app/libx.so (deleted)";
        let expected = Mapping { inode: 4711, path: PathBuf::from("/opt/my app/libx.so") };
        assert_eq!(parse(line, 0x7f00), Some(expected));
        assert_eq!(parse(line, 0x7fff), None, "the end is not in it");
        assert_eq!(parse("garbage", 0), None);
        assert_eq!(parse("", 0), None);
        let anonymous = parse("0-1000 rw-p 00000000 00:00 0", 0).unwrap();
        assert_eq!((anonymous.inode, anonymous.path), (0, PathBuf::new()));
    }
}
