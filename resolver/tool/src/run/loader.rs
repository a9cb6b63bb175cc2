//! Who loads a program: whether `LD_PRELOAD` reaches it at all.

#![forbid(unsafe_code)]

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use object::read::elf::{FileHeader as _, ProgramHeader as _};

use super::elf::{self, Elf};
use super::versions::Versions;

/// What starts a program's own code.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Loader {
    /// The dynamic linker of the C library that this code is made for, and so the library: it loads what `LD_PRELOAD` names.
    Ours(PathBuf),
    /// Another dynamic linker: it cannot load a library that is made for another C library, and would not start.
    Foreign(PathBuf),
    /// Whatever it is, it loads code for another machine.
    OtherMachine {
        /// What the program's code is for.
        program: String,
        /// What this code is for, and so the library that belongs to it.
        ours: String,
    },
    /// None: the program is statically linked, and `LD_PRELOAD` is nothing to it.
    Static,
    /// Not known from the file itself: it cannot be read, or is no program of the kernel's own.
    Unknown,
}

impl Loader {
    /// Reads it off the program's file.
    pub(super) fn of(program: &Path) -> Self {
        File::open(program).and_then(|file| read(&file, program)).unwrap_or(Self::Unknown)
    }
}

/// Follows the ELF header to the entry that names the loader.
fn read(file: &File, program: &Path) -> io::Result<Loader> {
    // What both kinds of header begin with: class, byte order, type, machine.
    let start: [u8; 20] = bytes(file, 0)?;
    if !start.starts_with(b"\x7fELF") {
        return Ok(Loader::Unknown);
    }
    let ours: [u8; 20] = bytes(&File::open("/proc/self/exe")?, 0)?;
    let (program_machine, our_machine) = (machine(&start), machine(&ours));
    if program_machine != our_machine {
        return Ok(Loader::OtherMachine { program: program_machine, ours: our_machine });
    }
    if let Some(linker) = elf::read(program, interpreter).ok_or(io::ErrorKind::InvalidData)? {
        return Ok(if CLibrary::of(&linker) == CLibrary::OURS {
            Loader::Ours(linker)
        } else {
            Loader::Foreign(linker)
        });
    }
    Ok(match CLibrary::of(program) {
        CLibrary::Other => Loader::Static,
        // The dynamic linker may be run as a program, and names the one to load by an argument.
        CLibrary::OURS => Loader::Unknown,
        _ => Loader::Foreign(program.to_owned()),
    })
}

/// What the program header names that is for the interpreter, as the kernel calls the dynamic linker.
fn interpreter(&Elf { file, header, endian }: &Elf<'_>) -> object::Result<Option<PathBuf>> {
    for header in header.program_headers(endian, file)? {
        if let Some(name) = header.interpreter(endian, file)? {
            return Ok(Some(PathBuf::from(OsString::from_vec(name.to_vec()))));
        }
    }
    Ok(None)
}

/// Whose dynamic linker a file is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum CLibrary {
    Glibc,
    Musl,
    Other,
}

impl CLibrary {
    /// What this code is made for.
    const OURS: Self = if cfg!(target_env = "musl") { Self::Musl } else { Self::Glibc };
    /// The same in words.
    pub(super) const MADE_FOR: &str = if cfg!(target_env = "musl") {
        "and the library is made for musl"
    } else {
        "and the library is made for glibc"
    };

    /// The name is a convention, and Alpine has a file of glibc's name that is musl in truth: what counts is which versions
    /// the file defines. But what calls itself musl's is believed.
    fn of(linker: &Path) -> Self {
        let name = linker.file_name().unwrap_or_default().to_string_lossy();
        if name.starts_with("ld-musl") {
            Self::Musl
        } else if Versions::defined_by(linker).any_of_glibc() {
            Self::Glibc
        } else {
            Self::Other
        }
    }
}

/// Class, byte order and machine in words.
fn machine(header: &[u8; 20]) -> String {
    let [.., low, high] = *header;
    let is_big = header.get(5) == Some(&2);
    let number = if is_big { u16::from_be_bytes([low, high]) } else { u16::from_le_bytes([low, high]) };
    let bits = if header.get(4) == Some(&1) { 32 } else { 64 };
    let order = if is_big { ", big-endian" } else { "" };
    let name = match number {
        3 | 62 => "x86",
        20 | 21 => "PowerPC",
        22 => "s390",
        40 | 183 => "ARM",
        243 => "RISC-V",
        number => return format!("machine {number} ({bits} bits{order})"),
    };
    format!("{name} ({bits} bits{order})")
}

fn bytes<const N: usize>(file: &File, at: u64) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_is_loaded_by_our_c_library() {
        let Loader::Ours(linker) = Loader::of(&std::env::current_exe().unwrap()) else { panic!("not by ours") };
        assert!(linker.is_file(), "{linker:?}");
        assert_eq!(Loader::of(&linker), Loader::Unknown, "who loads what the linker is told to load is not known");
    }

    #[test]
    fn a_shared_object_names_no_loader_as_a_static_program_does() {
        // Beside this test cargo put the library itself; that it is a library makes no difference to its header.
        let library = std::env::current_exe().unwrap().with_file_name("libtracer_interceptors.so");
        assert_eq!(Loader::of(&library), Loader::Static);
    }

    #[test]
    fn what_calls_itself_musl_s_is_not_taken_for_a_static_program_where_the_library_is_for_glibc() {
        let folder = tempfile::tempdir().unwrap();
        let linker = folder.path().join("ld-musl-x86_64.so.1");
        std::fs::copy(std::env::current_exe().unwrap().with_file_name("libtracer_interceptors.so"), &linker).unwrap();
        let expected = if cfg!(target_env = "musl") { Loader::Unknown } else { Loader::Foreign(linker.clone()) };
        assert_eq!(Loader::of(&linker), expected);
    }

    #[test]
    fn a_text_says_nothing_and_neither_does_what_is_not_there() {
        assert_eq!(Loader::of(Path::new(env!("CARGO_MANIFEST_PATH"))), Loader::Unknown);
        assert_eq!(Loader::of(Path::new("/nowhere/at/all")), Loader::Unknown);
    }

    #[test]
    fn a_program_for_another_machine_is_told_by_its_header() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("program");
        let own = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        // Class, byte order and machine, as i386, s390x and aarch64 (or, there, x86-64) have them.
        let other = if cfg!(target_arch = "aarch64") { (62, "x86 (64 bits)") } else { (183, "ARM (64 bits)") };
        for (class, order, machine, said) in [
            (1, 1, [3, 0], "x86 (32 bits)"),
            (2, 2, [0, 22], "s390 (64 bits, big-endian)"),
            (2, 1, [other.0, 0], other.1),
        ] {
            let mut header = own[..64].to_vec();
            (header[4], header[5]) = (class, order);
            header[18..20].copy_from_slice(&machine);
            std::fs::write(&file, header).unwrap();
            let Loader::OtherMachine { program, ours } = Loader::of(&file) else { panic!("not {said}") };
            assert_eq!(program, said);
            assert_ne!(ours, said);
        }
    }
}
