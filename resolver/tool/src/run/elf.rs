//! A file read as ELF of 64 bits.

#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use object::elf::FileHeader64;
use object::read::elf::FileHeader as _;
use object::{Endianness, ReadCache};

/// A file and the header at its start.
pub(super) struct Elf<'a> {
    pub(super) file: &'a ReadCache<File>,
    pub(super) header: &'a FileHeader64<Endianness>,
    pub(super) endian: Endianness,
}

/// What `read` reads in the file at `path`. `None` where it cannot be read, is no ELF file, or is broken.
pub(super) fn read<T>(path: &Path, read: impl FnOnce(&Elf<'_>) -> object::Result<T>) -> Option<T> {
    let file = ReadCache::new(File::open(path).ok()?);
    let header = FileHeader64::<Endianness>::parse(&file).ok()?;
    let endian = header.endian().ok()?;
    read(&Elf { file: &file, header, endian }).ok()
}
