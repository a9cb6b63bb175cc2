//! Which files the kernel executes when a program is run by its name: itself, or what interprets it.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::{env, fs};

/// The files that are executed for `program`, in their order: one, or for a script that `env` looks up, `env` and what it
/// finds. Empty where there is none; then `execvp` says so.
pub(super) fn files(program: &OsStr) -> Vec<PathBuf> {
    located(program).map(|file| interpreted(file, DEEPEST)).unwrap_or_default()
}

/// What `execvp` takes: the path itself, or the first executable file of this name in `PATH`.
pub(crate) fn located(program: &OsStr) -> Option<PathBuf> {
    if program.as_bytes().contains(&b'/') {
        return Some(PathBuf::from(program));
    }
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|folder| Path::new(".").join(folder).join(program)).find(|file| is_executable(file))
}

fn is_executable(file: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    fs::metadata(file).is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Follows a script to the program that runs it, through at most `depth` interpreters that are scripts themselves.
fn interpreted(file: PathBuf, depth: usize) -> Vec<PathBuf> {
    let Ok(start) = start_of(&file) else { return vec![file] };
    let Some(line) = start.strip_prefix(b"#!") else {
        // What is no program, and names none, is given to the shell by `execvp`.
        let is_text = !start.starts_with(b"\x7fELF") && !start.contains(&0);
        return vec![if is_text { PathBuf::from("/bin/sh") } else { file }];
    };
    let Some((interpreter, argument)) = split(line) else { return vec![file] };
    if depth == 0 {
        return vec![file];
    }
    let mut files = interpreted(interpreter.clone(), depth - 1);
    if interpreter.ends_with("env") {
        let found = looked_up_by_env(&argument).as_deref().and_then(located);
        files.extend(found.into_iter().flat_map(|found| interpreted(found, depth - 1)));
    }
    files
}

/// As much of the file as the kernel looks at.
fn start_of(file: &Path) -> io::Result<Vec<u8>> {
    let mut start = Vec::new();
    File::open(file)?.take(256).read_to_end(&mut start)?;
    Ok(start)
}

/// A script's first line, after `#!`: the interpreter, and all the rest, which is one argument to the kernel.
fn split(line: &[u8]) -> Option<(PathBuf, OsString)> {
    let line = line.split(|byte| matches!(byte, b'\n' | 0)).next()?.trim_ascii();
    let end = line.iter().position(|byte| matches!(byte, b' ' | b'\t')).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at_checked(end)?;
    let argument = OsString::from_vec(argument.trim_ascii().to_vec());
    (!interpreter.is_empty()).then(|| (PathBuf::from(OsStr::from_bytes(interpreter)), argument))
}

/// The program that `env` is told to look up: the first word that is neither an option nor a variable.
fn looked_up_by_env(argument: &OsStr) -> Option<OsString> {
    let argument = argument.as_bytes();
    // `-S` makes several words of the one, and may stand before the first of them without a blank.
    let words = argument.strip_prefix(b"-S").unwrap_or(argument).split(u8::is_ascii_whitespace);
    let mut words = words.filter(|word| !word.is_empty() && !word.starts_with(b"-") && !word.contains(&b'='));
    words.next().map(|word| OsString::from_vec(word.to_vec()))
}

/// The kernel follows four, and refuses a fifth.
const DEEPEST: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;

    fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
        let file = folder.join(name);
        fs::write(&file, text).unwrap();
        file
    }

    #[test]
    fn a_program_is_executed_itself_and_is_found_as_execvp_finds_it() {
        let sh = located(OsStr::new("sh")).unwrap();
        assert!(sh.ends_with("sh") && sh.is_file(), "{sh:?}");
        assert_eq!(files(sh.as_os_str()), std::slice::from_ref(&sh));
        assert!(files(OsStr::new("no-such-program-at-all")).is_empty());
    }

    #[test]
    fn a_script_is_executed_by_the_interpreter_that_its_first_line_names() {
        let folder = tempfile::tempdir().unwrap();
        let by = |text: &str| files(script(folder.path(), "script", text).as_os_str());
        assert_eq!(by("#!/bin/cat\n"), [PathBuf::from("/bin/cat")]);
        assert_eq!(by("#! \t/bin/cat -u -n\nrest"), [PathBuf::from("/bin/cat")]);
        assert_eq!(by("#!/bin/cat"), [PathBuf::from("/bin/cat")], "without an end of the line");
        assert_eq!(by("echo no first line\n"), [PathBuf::from("/bin/sh")]);
        assert_eq!(by(""), [PathBuf::from("/bin/sh")]);
        assert_eq!(by("PK\x03\x04\0\0"), [folder.path().join("script")], "who runs this is not known");
    }

    #[test]
    fn a_script_that_env_looks_up_is_executed_by_env_and_by_what_it_finds() {
        let folder = tempfile::tempdir().unwrap();
        let expected = vec![PathBuf::from("/usr/bin/env"), located(OsStr::new("cat")).unwrap()];
        for line in ["env cat", "env -S cat -u", "env -Scat", "env -S A=b cat", "env -S -i A=b cat -n"] {
            let file = script(folder.path(), "script", &format!("#!/usr/bin/{line}\n"));
            assert_eq!(files(file.as_os_str()), expected, "{line}");
        }
        let file = script(folder.path(), "script", "#!/usr/bin/env no-such-program-at-all\n");
        assert_eq!(files(file.as_os_str()), expected[..1]);
    }

    #[test]
    fn scripts_that_interpret_scripts_are_followed_to_an_end() {
        let folder = tempfile::tempdir().unwrap();
        let first = script(folder.path(), "first", "#!/bin/cat\n");
        let second = script(folder.path(), "second", &format!("#!{}\n", first.display()));
        assert_eq!(files(second.as_os_str()), [PathBuf::from("/bin/cat")]);
        let own = folder.path().join("own");
        fs::write(&own, format!("#!{}\n", own.display())).unwrap();
        assert_eq!(files(own.as_os_str()), std::slice::from_ref(&own));
    }
}
