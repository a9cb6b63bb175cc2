//! Whether a program has librdkafka linked in: its calls then come by no preloaded function.

#![forbid(unsafe_code)]

use std::fs::File;
use std::path::Path;

use object::elf::{
    FileHeader64, SHF_ALLOC, SHF_EXECINSTR, SHF_WRITE, SHN_UNDEF, SHT_DYNSYM, SHT_PROGBITS, SHT_SYMTAB, Sym64,
};
use object::read::elf::{FileHeader as _, SectionHeader as _, SectionTable, Sym as _};
use object::{Endianness, ReadCache};

/// What of librdkafka a program's own file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LinkedIn {
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
        File::open(program)
            .and_then(|file| look(&ReadCache::new(file)).map_err(std::io::Error::other))
            .unwrap_or(Self::Nothing)
    }
}

fn look(file: &ReadCache<File>) -> object::Result<LinkedIn> {
    let elf = FileHeader64::<Endianness>::parse(file)?;
    let endian = elf.endian()?;
    let sections = elf.sections(endian, file)?;
    if defines(file, endian, &sections, b"rd_kafka_new")? {
        return Ok(LinkedIn::Functions);
    }
    Ok(if says(file, endian, &sections, OF_LIBRDKAFKA)? { LinkedIn::Nameless } else { LinkedIn::Nothing })
}

type Sections<'a> = SectionTable<'a, FileHeader64<Endianness>, &'a ReadCache<File>>;

fn defines<'a>(
    file: &'a ReadCache<File>,
    endian: Endianness,
    sections: &Sections<'a>,
    name: &[u8],
) -> object::Result<bool> {
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
fn says<'a>(
    file: &'a ReadCache<File>,
    endian: Endianness,
    sections: &Sections<'a>,
    words: &[u8],
) -> object::Result<bool> {
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
