//! Asks the dynamic linker of a program whether it can load the library into it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use super::preload;
use super::versions::{self, Versions};

/// Why `program` would not start with `library` preloaded; nothing if it would, and if `linker` says neither.
///
/// The dynamic linker resolves everything and runs nothing of the program, as `ldd` has it do. Nobody else knows where
/// it looks: the program's own search path, its variables, the cache of its system.
pub(super) fn refusal(linker: &Path, program: &Path, library: &Path) -> Option<String> {
    let program = program.canonicalize().ok()?;
    let trial = ask(linker, &program, Some(library)).ok()?;
    let said = String::from_utf8_lossy(&trial.stderr);
    let required_by_us = format!("(required by {})", library.display());
    let missing: Vec<_> = said.lines().filter(|line| line.ends_with(&required_by_us)).filter_map(quoted).collect();
    if !missing.is_empty() {
        return Some(too_old(&missing, &trial.stdout));
    }
    if trial.status.success() {
        return None;
    }
    // Whatever it is, it is not our business unless it goes away without us.
    let without = ask(linker, &program, None).ok()?;
    without.status.success().then(|| {
        let why = said.lines().last().unwrap_or_default();
        let why = why.strip_prefix(&*program.to_string_lossy()).unwrap_or(why).trim_start_matches([':', ' ']);
        format!("its dynamic linker cannot load the library: {why}")
    })
}

/// Runs `linker --list`, with what else could change its answer taken away.
fn ask(linker: &Path, program: &Path, library: Option<&Path>) -> io::Result<Output> {
    let mut command = Command::new(linker);
    command.arg("--list").arg(program).stdin(Stdio::null());
    for variable in ["LD_AUDIT", "LD_DEBUG", "LD_DEBUG_OUTPUT", "LD_PROFILE", "LD_VERBOSE", "LD_WARN"] {
        command.env_remove(variable);
    }
    match library {
        Some(library) => command.env(preload::variable(), library),
        None => command.env_remove(preload::variable()),
    };
    command.output()
}

/// The version in a line "PROGRAM: LIBRARY: version `GLIBC_2.34' not found (required by LIBRARY)".
fn quoted(line: &str) -> Option<&str> {
    line.split_once('`')?.1.split_once('\'').map(|(name, _)| name)
}

fn too_old(missing: &[&str], list: &[u8]) -> String {
    let library = list.split(|byte| *byte == b'\n').find_map(|line| {
        let path = line.trim_ascii().strip_prefix(b"libc.so.6 => ")?;
        let end = path.windows(2).position(|two| two == b" (").unwrap_or(path.len());
        path.get(..end).map(|path| Path::new(OsStr::from_bytes(path)).to_owned())
    });
    let present = library.map(|path| match Versions::defined_by(&path).newest_of_glibc() {
        Some(version) => format!("is glibc {version} ({})", path.display()),
        None => format!("is {}", path.display()),
    });
    let present = present.unwrap_or_else(|| "lacks what it needs".to_owned());
    let needed = versions::newest(missing.iter().copied());
    let needed = needed.map_or_else(|| missing.join(", "), |version| format!("glibc {version}"));
    format!(
        "its C library {present}, and the library needs {needed}: install a package that was built for an older glibc"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_that_is_missing_is_read_out_of_the_linkers_words() {
        let line = "/app: /lib/libc.so.6: version `GLIBC_2.34' not found (required by /lib/ours.so)";
        assert_eq!(quoted(line), Some("GLIBC_2.34"));
        assert_eq!(quoted("libz.so.1 => not found"), None);
    }

    #[test]
    fn both_versions_are_named_or_as_much_of_them_as_is_known() {
        let with = |missing: &[&str], list: &str| too_old(missing, list.as_bytes());
        assert_eq!(
            with(&["GLIBC_2.17", "GLIBC_2.9"], "\tlibc.so.6 => /no/libc.so.6 (0x1)\n"),
            "its C library is /no/libc.so.6, and the library needs glibc 2.17: install a package that was built for an \
             older glibc"
        );
        let said = with(&["GLIBC_ABI_DT_RELR"], "");
        assert!(
            said.starts_with("its C library lacks what it needs, and the library needs GLIBC_ABI_DT_RELR:"),
            "{said}"
        );
    }
}
