//! Who loads a program: whether `LD_PRELOAD` reaches it at all.

#![forbid(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

/// What starts a program's own code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loader {
    /// The dynamic linker of glibc, which loads what `LD_PRELOAD` names.
    Glibc,
    /// Another dynamic linker, musl's for example: it cannot load a library that is made for glibc, and would not start.
    Foreign(String),
    /// None: the program is statically linked, and `LD_PRELOAD` is nothing to it.
    Static,
    /// Not known from the file itself: a script, whose interpreter is what counts, or something else.
    Unknown,
}

impl Loader {
    /// Reads it off the program's file.
    pub(super) fn of(program: &Path) -> Self {
        File::open(program).and_then(|file| read(&file)).unwrap_or(Self::Unknown)
    }
}

/// Follows the ELF header of a 64-bit little-endian file to the entry that names the loader.
fn read(file: &File) -> io::Result<Loader> {
    let header: [u8; 64] = bytes(file, 0)?;
    if !header.starts_with(b"\x7fELF\x02\x01") {
        return Ok(Loader::Unknown);
    }
    let table = u64::from_le_bytes(field(&header, 32));
    let entry_bytes = u64::from(u16::from_le_bytes(field(&header, 54)));
    let entries = u64::from(u16::from_le_bytes(field(&header, 56)));
    for index in 0..entries {
        let entry: [u8; 56] = bytes(file, table.saturating_add(index * entry_bytes))?;
        if u32::from_le_bytes(field(&entry, 0)) != PT_INTERP {
            continue;
        }
        let mut name = [0; 256];
        let wanted = name.len().min(usize::try_from(u64::from_le_bytes(field(&entry, 32))).unwrap_or(usize::MAX));
        let name = name.get_mut(..wanted).unwrap_or_default();
        file.read_exact_at(name, u64::from_le_bytes(field(&entry, 8)))?;
        let name = String::from_utf8_lossy(name).trim_end_matches('\0').to_owned();
        return Ok(if name.contains("/ld-linux") { Loader::Glibc } else { Loader::Foreign(name) });
    }
    Ok(Loader::Static)
}

fn bytes<const N: usize>(file: &File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

/// `N` bytes of `of`; zeros where it is shorter.
fn field<const N: usize>(of: &[u8], at: usize) -> [u8; N] {
    of.get(at..).and_then(<[u8]>::first_chunk).copied().unwrap_or([0; N])
}

const PT_INTERP: u32 = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_loaded_by_glibc() {
        assert_eq!(Loader::of(&std::env::current_exe().unwrap()), Loader::Glibc);
    }

    #[test]
    fn a_shared_object_names_no_loader_as_a_static_program_does() {
        // Beside this test cargo put the door itself; that it is a library makes no difference to its header.
        let door = std::env::current_exe().unwrap().with_file_name("libtracer_interceptors.so");
        assert_eq!(Loader::of(&door), Loader::Static);
    }

    #[test]
    fn a_script_says_nothing_and_neither_does_what_is_not_there() {
        assert_eq!(Loader::of(Path::new(env!("CARGO_MANIFEST_PATH"))), Loader::Unknown);
        assert_eq!(Loader::of(Path::new("/nowhere/at/all")), Loader::Unknown);
    }
}
