//! The file, before anything of it runs.

#![forbid(unsafe_code)]

use std::fs;

use object::elf;
use object::read::elf::{Dyn as _, FileHeader, ProgramHeader as _, Sym as _};

use crate::case::Case;
use crate::rule::Rule;
use crate::stop::{Stop, Tried};

pub(crate) const RULES: &[Rule] = &[
    Rule {
        name: "exports",
        sentence: "It uses the system allocator, exports no other symbol and links its own dependencies statically or by \
                   versioned symbols",
        help: "compile with -fvisibility=hidden, and link with the version script tracer_plugin.map (C, C++, Go); in Rust \
               export nothing beside `export_plugin!`",
        is_gate: false,
        run: exports,
    },
    Rule {
        name: "dependencies",
        sentence: "links its own dependencies statically or by versioned symbols: many plugins live in one process.",
        help: "link what is not the C library's into the plugin (-static-libstdc++ -static-libgcc, lib*.a), or link the \
               shared library whose symbols have versions (see `nm -D --undefined-only`)",
        is_gate: false,
        run: dependencies,
    },
    Rule {
        name: "hardening",
        sentence: "It leaves alone what belongs to the process",
        help: "no RPATH or RUNPATH (-Wl,-rpath) unless it begins with $ORIGIN; position-independent code (-fPIC) and no \
               executable stack (-Wl,-z,noexecstack)",
        is_gate: false,
        run: hardening,
    },
];

type Header = elf::FileHeader64<object::Endianness>;

/// What the rules ask of a file.
#[derive(Debug, Default)]
struct Elf {
    exported: Vec<String>,
    /// Undefined, strong, and bound to no version.
    unversioned: Vec<String>,
    needed: Vec<String>,
    search_paths: Vec<String>,
    has_text_relocations: bool,
    has_executable_stack: bool,
    /// `2.17` and so on: the newest version of glibc that a symbol asks for.
    newest_glibc: Option<(u32, u32)>,
}

fn exports(case: &Case) -> Tried {
    let others: Vec<_> = Elf::of(case)?.exported.into_iter().filter(|name| !is_entry(name)).collect();
    if !others.is_empty() {
        let shown: Vec<_> = others.iter().take(3).map(String::as_str).collect();
        let more = if others.len() > 3 { format!(" and {} more", others.len() - 3) } else { String::new() };
        case.broken(format!("it exports besides its entry point: {}{more}", shown.join(", ")));
    }
    Ok(())
}

/// `tracer_plugin_v1`; one for another major version may stand beside it.
fn is_entry(name: &str) -> bool {
    name.strip_prefix("tracer_plugin_v")
        .is_some_and(|version| !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()))
}

fn dependencies(case: &Case) -> Tried {
    let elf = Elf::of(case)?;
    // In a C library without versions (musl) no symbol has one.
    if elf.newest_glibc.is_some() && !elf.unversioned.is_empty() {
        let shown: Vec<_> = elf.unversioned.iter().take(3).map(String::as_str).collect();
        case.broken(format!(
            "{} of its undefined symbols have no version, so that any library of the process may answer for them: {}",
            elf.unversioned.len(),
            shown.join(", ")
        ));
    }
    case.desk
        .about(&serde_json::json!({ "needs": elf.needed, "glibc": elf.newest_glibc.map(|(a, b)| format!("{a}.{b}")) }));
    Ok(())
}

fn hardening(case: &Case) -> Tried {
    let elf = Elf::of(case)?;
    for path in elf.search_paths.iter().flat_map(|paths| paths.split(':')).filter(|path| !path.starts_with("$ORIGIN")) {
        case.broken(format!("it searches the folder \"{path}\" of the machine where it was built (RPATH or RUNPATH)"));
    }
    if elf.has_text_relocations {
        case.broken("its code is written to when it is loaded (TEXTREL)");
    }
    if elf.has_executable_stack {
        case.broken("it makes the stacks of the process executable (GNU_STACK)");
    }
    Ok(())
}

impl Elf {
    fn of(case: &Case) -> Result<Self, Stop> {
        let bytes = fs::read(&case.file)?;
        Self::read(&bytes)
            .map_err(|error| Stop::Broken(format!("it is no 64-bit ELF file as the loader reads it: {error}")))
    }

    fn read(bytes: &[u8]) -> object::read::Result<Self> {
        let header = Header::parse(bytes)?;
        let endian = header.endian()?;
        let mut read = Self::default();
        for segment in header.program_headers(endian, bytes)? {
            if segment.p_type(endian) == elf::PT_GNU_STACK {
                read.has_executable_stack = segment.p_flags(endian).contains(elf::PF_X);
            }
        }
        let sections = header.sections(endian, bytes)?;
        if let Some((entries, link)) = sections.dynamic(endian, bytes)? {
            let strings = sections.strings(endian, bytes, link)?;
            let text = |entry: &elf::Dyn64<object::Endianness>| {
                let name = entry.string(endian, strings).unwrap_or_default();
                String::from_utf8_lossy(name).into_owned()
            };
            for entry in entries {
                match entry.tag(endian) {
                    elf::DT_NEEDED => read.needed.push(text(entry)),
                    elf::DT_RPATH | elf::DT_RUNPATH => read.search_paths.push(text(entry)),
                    elf::DT_TEXTREL => read.has_text_relocations = true,
                    elf::DT_FLAGS => {
                        read.has_text_relocations |= elf::DynamicFlags(entry.val(endian)).contains(elf::DF_TEXTREL);
                    }
                    _ => {}
                }
            }
        }
        let symbols = sections.symbols(endian, bytes, elf::SHT_DYNSYM)?;
        let versions = sections.versions(endian, bytes)?;
        for (index, symbol) in symbols.enumerate() {
            let name = String::from_utf8_lossy(symbol.name(endian, symbols.strings())?).into_owned();
            if name.is_empty() || symbol.st_bind() == elf::STB_LOCAL {
                continue;
            }
            let version = match &versions {
                Some(versions) => versions.version(versions.version_index(endian, index).into())?,
                None => None,
            };
            if !symbol.is_undefined(endian) {
                let is_hidden = [elf::STV_HIDDEN, elf::STV_INTERNAL].contains(&symbol.st_visibility());
                // The name of a version is a symbol too, of no section.
                if !is_hidden && symbol.st_shndx(endian) != elf::SHN_ABS {
                    read.exported.push(name);
                }
                continue;
            }
            match version {
                Some(version) => {
                    let glibc = std::str::from_utf8(version.name()).ok().and_then(|name| name.strip_prefix("GLIBC_"));
                    read.newest_glibc = read.newest_glibc.max(glibc.and_then(numbers));
                }
                None if symbol.st_bind() != elf::STB_WEAK => read.unversioned.push(name),
                None => {}
            }
        }
        Ok(read)
    }
}

/// `2.17`, or `2.2.5`, of which the first two count.
fn numbers(version: &str) -> Option<(u32, u32)> {
    let mut parts = version.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}
