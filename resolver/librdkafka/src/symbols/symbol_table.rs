//! The full symbol table (`.symtab`) of a module's file: it names the functions of a statically linked librdkafka that
//! the program does not export. `strip` removes it.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::ffi::{CStr, OsStr};
use std::fs::File;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use object::elf::{FileHeader64, PT_NOTE, SHN_UNDEF, SHT_SYMTAB, STT_FUNC, Sym64};
use object::read::elf::{FileHeader as _, ProgramHeader as _, SectionHeader as _, Sym as _};
use object::{Endianness, ReadCache};

use crate::module::{Marks, Module};

/// The addresses of `names` in their order; all `None` when the file cannot be read, or is not the one in memory.
pub(super) fn find(module: &Module, names: &[&CStr]) -> Vec<Option<usize>> {
    let path = if module.is_program() {
        // The very file that runs, were it renamed or deleted since.
        Path::new("/proc/self/exe")
    } else {
        Path::new(OsStr::from_bytes(module.name().to_bytes()))
    };
    match read(path, module.marks(), names) {
        Ok(values) => values.into_iter().map(|value| Some(module.bias().wrapping_add(value? as usize))).collect(),
        Err(why) => {
            log::debug!("{}: no symbol table: {why}", path.display());
            vec![None; names.len()]
        }
    }
}

/// The values of `names` in the symbol table of the file at `path`, if it has these `marks`.
fn read(path: &Path, marks: &Marks, names: &[&CStr]) -> Result<Vec<Option<u64>>, String> {
    let file = ReadCache::new(File::open(path).map_err(|error| error.to_string())?);
    let elf = FileHeader64::<Endianness>::parse(&file).map_err(|error| error.to_string())?;
    let endian = elf.endian().map_err(|error| error.to_string())?;
    if marks_of(elf, endian, &file).as_ref() != Some(marks) {
        return Err("the file was replaced since it was loaded".to_owned());
    }
    let sections = elf.sections(endian, &file).map_err(|error| error.to_string())?;
    let mut values = vec![None; names.len()];
    let places: HashMap<&[u8], usize> = names.iter().enumerate().map(|(at, name)| (name.to_bytes(), at)).collect();
    for section in sections.iter().filter(|section| section.sh_type(endian) == SHT_SYMTAB) {
        // Both at once: read name by name they would be a system call each.
        let symbols = section.data_as_array::<Sym64<Endianness>, _>(endian, &file);
        let strings = sections.section(section.link(endian)).and_then(|strings| strings.data(endian, &file));
        let (symbols, strings) = (symbols.map_err(|error| error.to_string())?, strings.map_err(|e| e.to_string())?);
        for symbol in symbols.iter().filter(|symbol| symbol.st_type() == STT_FUNC) {
            let name = strings.get(symbol.st_name(endian) as usize..).unwrap_or_default();
            // Versioned names end in `@VERSION` or `@@VERSION`.
            let name = name.split(|byte| *byte == 0 || *byte == b'@').next().unwrap_or_default();
            if symbol.st_shndx(endian) == SHN_UNDEF {
                continue;
            }
            if let Some(value) = places.get(name).and_then(|at| values.get_mut(*at)) {
                *value = Some(symbol.st_value(endian));
            }
        }
    }
    Ok(values)
}

/// As [`Marks`] are read from memory. `None`: a broken file.
fn marks_of(elf: &FileHeader64<Endianness>, endian: Endianness, file: &ReadCache<File>) -> Option<Marks> {
    let headers = elf.program_headers(endian, file).ok()?;
    let mut marks = Marks::default();
    for header in headers {
        let place = [header.p_offset(endian), header.p_vaddr(endian), header.p_filesz(endian)];
        marks.headers.push([u64::from(header.p_type(endian).0), place[0], place[1], place[2]]);
        if header.p_type(endian) == PT_NOTE {
            marks.notes.push(header.data(endian, file).ok()?.to_vec());
        }
    }
    Some(marks)
}
