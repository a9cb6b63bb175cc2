//! Whether a program has librdkafka linked in: its calls then come by no preloaded function.

#![forbid(unsafe_code)]

use std::path::Path;

use object::Endianness;
use object::elf::{SHN_UNDEF, SHT_DYNSYM, SHT_SYMTAB, Sym64};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::elf::{self, Elf};

/// Whether the program defines librdkafka's functions itself. `false` as well where it was stripped of their names, or cannot
/// be read: what happens then is said at its end.
pub(super) fn has_librdkafka(program: &Path) -> bool {
    elf::read(program, |elf| defines(elf, b"rd_kafka_new")).unwrap_or(false)
}

fn defines(&Elf { file, header, endian }: &Elf<'_>, name: &[u8]) -> object::Result<bool> {
    let sections = header.sections(endian, file)?;
    for section in sections.iter().filter(|section| [SHT_DYNSYM, SHT_SYMTAB].contains(&section.sh_type(endian))) {
        // Both at once: read name by name they would be a system call each.
        let symbols = section.data_as_array::<Sym64<Endianness>, _>(endian, file)?;
        let strings = sections.section(section.link(endian))?.data(endian, file)?;
        let is_named = |symbol: &Sym64<Endianness>| {
            let rest = strings.get(symbol.st_name(endian) as usize..).and_then(|text| text.strip_prefix(name));
            rest.is_some_and(|rest| rest.first() == Some(&0))
        };
        if symbols.iter().any(|symbol| symbol.st_shndx(endian) != SHN_UNDEF && is_named(symbol)) {
            return Ok(true);
        }
    }
    Ok(false)
}
