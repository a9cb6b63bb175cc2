//! Which files the code in this process came from, as the kernel knows it.

#![forbid(unsafe_code)]

use std::fs;
use std::ops::Range;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// A part of a file in memory.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Mapping {
    /// Addresses: whole pages.
    pub(super) range: Range<usize>,
    pub(super) is_writable: bool,
    /// Of the file, as the kernel writes it.
    device: String,
    /// 0: of no file.
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

/// Whether the code at `address` is the program's, and not a shared object's. Also if the kernel does not say.
pub(super) fn is_of_the_program(address: usize) -> bool {
    let program = fs::metadata("/proc/self/exe").map(|program| program.ino());
    at(address).zip(program.ok()).is_none_or(|(mapping, program)| mapping.inode == program)
}

/// What is mapped at `address`. Unlike `dladdr`, this never answers with `argv[0]` or with a path relative to a
/// working directory of long ago.
pub(super) fn at(address: usize) -> Option<Mapping> {
    all().into_iter().find(|mapping| mapping.range.contains(&address))
}

/// All that is mapped of the files that are mapped at `addresses`.
pub(super) fn same_files(addresses: &[usize]) -> Vec<Mapping> {
    let mut all = all();
    let is_there = |mapping: &Mapping| addresses.iter().any(|address| mapping.range.contains(address));
    let files: Vec<_> = all.iter().filter(|mapping| is_there(mapping)).map(Mapping::file).collect();
    all.retain(|mapping| mapping.inode != 0 && files.contains(&mapping.file()));
    all
}

fn all() -> Vec<Mapping> {
    let maps = fs::read("/proc/self/maps").unwrap_or_default();
    maps.split(|&byte| byte == b'\n').filter_map(|line| Mapping::parse(&String::from_utf8_lossy(line))).collect()
}

impl Mapping {
    /// One line of `/proc/self/maps` (proc(5)): `start-end perms offset dev inode   path`.
    fn parse(line: &str) -> Option<Self> {
        let mut rest = line;
        let mut field = || {
            let (field, after) = rest.split_once(' ').unwrap_or((rest, ""));
            rest = after.trim_start_matches(' ');
            field
        };
        let (start, end) = field().split_once('-')?;
        let range = usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?;
        let (permissions, _offset, device) = (field(), field(), field().to_owned());
        let inode = field().parse().ok()?;
        // A file replaced since, by an upgrade: the folder is still the right one.
        let path = rest.strip_suffix(" (deleted)").unwrap_or(rest);
        Some(Self { range, is_writable: permissions.contains('w'), device, inode, path: PathBuf::from(path) })
    }

    /// What tells its file from all others.
    fn file(&self) -> (String, u64) {
        (self.device.clone(), self.inode)
    }
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
        let mapping = Mapping::parse(line).unwrap();
        assert_eq!((&mapping.range, mapping.is_writable), (&(0x7f00..0x7fff), false));
        assert_eq!(mapping.file(), ("fd:01".to_owned(), 4711));
        assert_eq!(mapping.path, PathBuf::from("/opt/my app/libx.so"));
        assert_eq!(Mapping::parse("garbage"), None);
        assert_eq!(Mapping::parse(""), None);
        let anonymous = Mapping::parse("0-1000 rw-p 00000000 00:00 0").unwrap();
        assert_eq!((anonymous.inode, anonymous.path, anonymous.is_writable), (0, PathBuf::new(), true));
    }

    #[test]
    fn code_is_the_program_s_or_a_library_s() {
        let own = Mapping::parse as fn(&str) -> Option<Mapping> as usize;
        let library = libc::strlen as *const () as usize;
        assert!(is_of_the_program(own) && !is_of_the_program(library));
        assert!(is_of_the_program(0), "nobody says");
        let files = same_files(&[library, 0]);
        assert!(files.len() > 1 && files.iter().any(|mapping| mapping.range.contains(&library)), "{files:?}");
        assert!(files.iter().all(|mapping| mapping.file() == files[0].file()), "{files:?}");
    }
}
