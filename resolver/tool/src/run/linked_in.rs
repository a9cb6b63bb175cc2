//! Whether a program has librdkafka linked in: its calls then come by no preloaded function.

#![forbid(unsafe_code)]

use std::path::Path;

use object::Endianness;
use object::elf::{SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_UNDEF, SHT_DYNSYM, SHT_PROGBITS, SHT_SYMTAB, Sym64};
use object::read::elf::{FileHeader as _, SectionHeader as _, Sym as _};

use super::elf::{self, Elf};

/// What of librdkafka a program's own file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LinkedIn {
    /// Nothing, as far as can be seen.
    Nothing,
    /// Its functions, with their names: the library finds them, once a client's property has led it there.
    Functions,
    /// Its code, without the names of its functions: the library would not find them.
    Nameless,
}

impl LinkedIn {
    /// Read off the program's file; nothing where that cannot be read.
    pub(super) fn of(program: &Path) -> Self {
        elf::read(program, look).unwrap_or(Self::Nothing)
    }
}

/// Which of these words the constants of the program's file hold: names of packages, in languages that keep them.
pub(crate) fn mentioned<'w>(program: &Path, words: &[&'w str]) -> Vec<&'w str> {
    let look = |elf: &Elf<'_>| {
        let said = words.iter().map(|word| Ok(says(elf, word.as_bytes())?.then_some(*word)));
        said.filter_map(Result::transpose).collect()
    };
    elf::read(program, look).unwrap_or_default()
}

fn look(elf: &Elf<'_>) -> object::Result<LinkedIn> {
    if defines(elf, b"rd_kafka_new")? {
        return Ok(LinkedIn::Functions);
    }
    Ok(if says(elf, OF_LIBRDKAFKA)? { LinkedIn::Nameless } else { LinkedIn::Nothing })
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

/// Whether the constants of the program hold these words.
fn says(&Elf { file, header, endian }: &Elf<'_>, words: &[u8]) -> object::Result<bool> {
    let sections = header.sections(endian, file)?;
    for section in sections.iter().filter(|section| section.sh_type(endian) == SHT_PROGBITS) {
        let flags = section.sh_flags(endian);
        if flags.contains(SHF_ALLOC) && !flags.contains(SHF_EXECINSTR) && !flags.contains(SHF_WRITE) {
            if section.data(endian, file)?.windows(words.len()).any(|window| window == words) {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// From the description of one of its properties, which no client of it repeats.
const OF_LIBRDKAFKA: &[u8] = b"Interceptors added through rd_kafka_conf_interceptor_add_";
