//! The versions of a C library that an ELF file defines.

#![forbid(unsafe_code)]

use std::path::Path;

use object::elf::VER_FLG_BASE;
use object::read::elf::FileHeader as _;

use super::elf::{self, Elf};

/// Names such as `GLIBC_2.34`, in the order of the file.
#[derive(Debug, Default)]
pub(super) struct Versions(Vec<String>);

impl Versions {
    /// None where the file cannot be read, or defines none.
    pub(super) fn defined_by(file: &Path) -> Self {
        Self(elf::read(file, defined).unwrap_or_default())
    }

    /// Whether the file is part of glibc.
    pub(super) fn any_of_glibc(&self) -> bool {
        self.newest_of_glibc().is_some()
    }

    /// The newest of glibc's numbers, as `2.34`.
    pub(super) fn newest_of_glibc(&self) -> Option<String> {
        newest(self.0.iter().map(String::as_str))
    }
}

/// The newest number among the names `GLIBC_…`. Others, `GLIBC_PRIVATE` and `GLIBC_ABI_DT_RELR` among them, say no number.
pub(super) fn newest<'a>(names: impl Iterator<Item = &'a str>) -> Option<String> {
    let numbers = |name: &str| {
        let numbers: Result<Vec<u32>, _> = name.strip_prefix("GLIBC_")?.split('.').map(str::parse).collect();
        numbers.ok()
    };
    let newest = names.filter_map(numbers).max()?;
    Some(newest.iter().map(u32::to_string).collect::<Vec<_>>().join("."))
}

fn defined(&Elf { file, header, endian }: &Elf<'_>) -> object::Result<Vec<String>> {
    let sections = header.sections(endian, file)?;
    let Some((mut definitions, strings)) = sections.gnu_verdef(endian, file)? else { return Ok(Vec::new()) };
    let strings = sections.strings(endian, file, strings)?;
    let mut names = Vec::new();
    while let Some((definition, mut parts)) = definitions.next()? {
        // The first is the file's own name.
        if definition.vd_flags.get(endian).contains(VER_FLG_BASE) {
            continue;
        }
        if let Some(part) = parts.next()? {
            names.push(String::from_utf8_lossy(part.name(endian, strings)?).into_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_version_is_the_one_with_the_greatest_numbers() {
        let names = ["GLIBC_2.2.5", "GLIBC_2.34", "GLIBC_2.4", "GLIBC_PRIVATE", "GLIBC_ABI_DT_RELR", "GCC_3.0"];
        assert_eq!(newest(names.into_iter()).as_deref(), Some("2.34"));
        assert_eq!(newest(["GLIBC_PRIVATE", "GCC_3.0"].into_iter()), None);
    }

    #[test]
    fn what_is_no_part_of_glibc_defines_none_of_its_versions() {
        for file in [std::env::current_exe().unwrap(), "/nowhere/at/all".into(), env!("CARGO_MANIFEST_PATH").into()] {
            assert!(!Versions::defined_by(&file).any_of_glibc(), "{file:?}");
        }
    }
}
