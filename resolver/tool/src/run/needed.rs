//! Whether a program's own file asks for librdkafka: its dynamic linker then loads it, and a preloaded library comes first.

#![forbid(unsafe_code)]

use std::path::Path;

use object::elf::DT_NEEDED;
use object::read::elf::{Dyn as _, FileHeader as _};

use super::elf::{self, Elf};

/// What a program's file asks its dynamic linker for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Needed {
    /// Another library than librdkafka, or none; what these need in turn is not looked at.
    Nothing,
    /// A librdkafka, by the name in the file.
    Librdkafka(String),
}

impl Needed {
    /// Read off the program's file; nothing where that cannot be read.
    pub(crate) fn by(program: &Path) -> Self {
        elf::read(program, look).unwrap_or(Self::Nothing)
    }
}

fn look(&Elf { file, header, endian }: &Elf<'_>) -> object::Result<Needed> {
    let sections = header.sections(endian, file)?;
    let Some((entries, strings)) = sections.dynamic(endian, file)? else { return Ok(Needed::Nothing) };
    let strings = sections.strings(endian, file, strings)?;
    for entry in entries.iter().filter(|entry| entry.tag(endian) == DT_NEEDED) {
        let name = entry.string(endian, strings)?;
        if name.starts_with(b"librdkafka") {
            return Ok(Needed::Librdkafka(String::from_utf8_lossy(name).into_owned()));
        }
    }
    Ok(Needed::Nothing)
}
