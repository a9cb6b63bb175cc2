//! Asks the dynamic linker of a program whether it can load the library into it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::{Errno, ioctl_fionbio};

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
    command.arg("--list").arg(program);
    for variable in ["LD_AUDIT", "LD_DEBUG", "LD_DEBUG_OUTPUT", "LD_PROFILE", "LD_VERBOSE", "LD_WARN"] {
        command.env_remove(variable);
    }
    match library {
        Some(library) => command.env(preload::variable(), library),
        None => command.env_remove(preload::variable()),
    };
    answer(&mut command)
}

/// What another program says, and how it ends. Nobody waits for ever for one that does not end: it is ended.
pub(crate) fn answer(command: &mut Command) -> io::Result<Output> {
    within(command, PATIENCE)
}

fn within(command: &mut Command, patience: Duration) -> io::Result<Output> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    let answer = heard(&mut child, patience);
    if answer.is_err() {
        // That it has ended meanwhile is as good.
        let _ = child.kill();
        let _ = child.wait();
    }
    answer
}

/// Without a thread: the first one changes what becomes of a signal, and this process may be about to become a program.
fn heard(child: &mut Child, patience: Duration) -> io::Result<Output> {
    let until = Instant::now() + patience;
    let left = || until.saturating_duration_since(Instant::now());
    let late = || io::Error::new(io::ErrorKind::TimedOut, format!("no answer within {} seconds", patience.as_secs()));
    let mut said = Pipe::new(child.stdout.take().map(OwnedFd::from))?;
    let mut complained = Pipe::new(child.stderr.take().map(OwnedFd::from))?;
    // Whatever the child has started may keep them open for long.
    while said.file.is_some() || complained.file.is_some() {
        let open = said.file.iter().chain(&complained.file);
        let mut open: Vec<_> = open.map(|pipe| PollFd::new(pipe, PollFlags::IN)).collect();
        let time = Timespec::try_from(left()).map_err(io::Error::other)?;
        match poll(&mut open, Some(&time)) {
            Ok(0) => return Err(late()),
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        said.read()?;
        complained.read()?;
    }
    loop {
        match child.try_wait()? {
            Some(status) => return Ok(Output { status, stdout: said.text, stderr: complained.text }),
            None if left().is_zero() => return Err(late()),
            // It has closed both: it is about to end.
            None => sleep(Duration::from_millis(1)),
        }
    }
}

/// What comes by a pipe, and the pipe as long as more may come.
struct Pipe {
    file: Option<File>,
    text: Vec<u8>,
}

impl Pipe {
    fn new(pipe: Option<OwnedFd>) -> io::Result<Self> {
        if let Some(pipe) = &pipe {
            ioctl_fionbio(pipe, true)?;
        }
        Ok(Self { file: pipe.map(File::from), text: Vec::new() })
    }

    /// What has come.
    fn read(&mut self) -> io::Result<()> {
        let mut bytes = [0; 4096];
        while let Some(file) = &mut self.file {
            match file.read(&mut bytes) {
                Ok(0) => self.file = None,
                Ok(_) if self.text.len() > MOST_BYTES => self.file = None,
                Ok(length) => self.text.extend_from_slice(bytes.get(..length).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
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

/// Neither a linker nor an interpreter needs a second.
const PATIENCE: Duration = Duration::from_secs(10);
const MOST_BYTES: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_waits_for_ever_for_a_program_that_is_asked() {
        let asked = |script: &str, patience| within(Command::new("sh").args(["-c", script]), patience);
        let said = asked("echo yes; echo no >&2; exit 3", Duration::from_secs(600)).unwrap();
        assert_eq!((&said.stdout[..], &said.stderr[..], said.status.code()), (&b"yes\n"[..], &b"no\n"[..], Some(3)));
        // One that hangs, one that has closed all and hangs, and one whose child keeps the pipes.
        for script in ["exec sleep 600", "exec sleep 600 >&- 2>&-", "sleep 30 & exit"] {
            let error = asked(script, Duration::from_millis(20)).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::TimedOut, "{script}");
        }
    }

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
