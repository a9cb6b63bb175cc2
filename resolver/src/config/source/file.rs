//! Opening the configuration file once, and refusing what cannot be trusted to be one.

#![forbid(unsafe_code)]

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use super::pipe;
use crate::config::report::code;
use crate::config::report::invisible_characters;
use crate::config::report::problem::Problem;
use crate::trusted_path;

/// What was read of a configuration file.
#[derive(Debug)]
pub(crate) struct FileText {
    pub(crate) text: String,
    /// It came through a pipe, which has given it away with that, or a descriptor.
    pub(crate) is_once: bool,
    /// A pipe that no path leads to, but those below `/proc`.
    pub(crate) is_anonymous: bool,
}

/// The whole text of the file at `path`, or of the pipe.
///
/// All checks are made on the opened file, so nothing can be exchanged between check and reading. `any_writer`: everybody
/// may write to it.
pub(crate) fn read(path: &Path, any_writer: bool) -> Result<FileText, Box<Problem>> {
    let mut file = open(path).map_err(|error| cannot_open(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    check_kind(path, &metadata)?;
    let is_pipe = metadata.file_type().is_fifo();
    if !any_writer {
        check_permissions(path, &metadata)?;
    }
    check_size(path, metadata.len())?;
    let limit = MAX_BYTES + 1;
    let mut bytes = Vec::new();
    if is_pipe {
        check_owner(path, &metadata)?;
        pipe::read(&mut file, limit, PATIENCE, &mut bytes).map_err(|error| no_end(path, &error))?;
    } else {
        file.by_ref().take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    }
    // The length of a file that grows, or of one that the kernel makes up, is known only now.
    check_size(path, bytes.len() as u64)?;
    // One that has a name can be found by it.
    let is_anonymous = is_pipe && std::fs::canonicalize(path).is_err();
    let is_once = is_pipe || is_descriptor(path);
    Ok(FileText { text: text(path, bytes)?, is_once, is_anonymous })
}

/// Does not wait for a writer if `path` is a FIFO, and leaks into no child process: std opens with `O_CLOEXEC`.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Box<Problem>> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() || kind.is_fifo() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_char_device() || kind.is_block_device() => "a device",
        () => "not a regular file",
    };
    let problem = Problem::error(code::NOT_A_FILE, format!("{} is {what}", path.display()));
    Err(Box::new(problem.help("name the configuration file itself")))
}

fn check_permissions(path: &Path, metadata: &Metadata) -> Result<(), Box<Problem>> {
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o002 == 0 {
        return Ok(());
    }
    let message = format!(
        "{} can be written by every user of this machine (mode {mode:04o}): it names code to load, so it is not used",
        path.display()
    );
    let help = format!(
        "chmod o-w {}; where that cannot be, as on a mount of Docker Desktop, set INTERCEPTORS_ALLOW_WORLD_WRITABLE=1",
        path.display()
    );
    Err(Box::new(Problem::error(code::WORLD_WRITABLE, message).help(help)))
}

/// Whoever made a pipe can write to it, whatever its mode.
fn check_owner(path: &Path, metadata: &Metadata) -> Result<(), Box<Problem>> {
    if trusted_path::is_ours(metadata) {
        return Ok(());
    }
    let message = format!(
        "{} is a pipe of user {}, who is neither root nor the user of this process: it is not used",
        path.display(),
        metadata.uid()
    );
    Err(Box::new(Problem::error(code::UNTRUSTED_PATH, message).help("let the user of this process make the pipe")))
}

fn no_end(path: &Path, error: &io::Error) -> Box<Problem> {
    if error.kind() != io::ErrorKind::TimedOut {
        return unreadable(path, error);
    }
    let message = format!(
        "{} is a pipe, and was not written and closed within {} seconds: nobody waits for it any longer",
        path.display(),
        PATIENCE.as_secs()
    );
    Box::new(
        Problem::error(code::UNREADABLE, message).help("start what writes to it before, and let it close the pipe"),
    )
}

/// Whether a path leads, by whatever links, to what a process has open under a number: `/dev/stdin`, `/dev/fd/3`. Once the
/// program has closed it the number may be any other file's, which is none of ours to read.
fn is_descriptor(path: &Path) -> bool {
    let Ok(mut path) = std::path::absolute(path) else { return false };
    for _ in 0..MOST_LINKS {
        let Some(folder) = path.parent() else { return false };
        if std::fs::canonicalize(folder).is_ok_and(|folder| folder.starts_with("/proc") && folder.ends_with("fd")) {
            return true;
        }
        let Ok(target) = std::fs::read_link(&path) else { return false };
        path = folder.join(target);
    }
    false
}

/// What is said of a configuration that cannot be read a second time.
pub(crate) fn read_once(path: &Path) -> Problem {
    let way = if is_descriptor(path) { "a descriptor" } else { "a pipe" };
    let message =
        format!("the configuration came through {}, {way}, which can be read once: it is not reloaded", path.display());
    Problem::error(code::READ_ONCE, message).help("name the file itself, to change it while the program runs")
}

fn check_size(path: &Path, bytes: u64) -> Result<(), Box<Problem>> {
    if bytes <= MAX_BYTES {
        return Ok(());
    }
    let message = format!("{} is larger than 1 MiB, which no configuration is", path.display());
    Err(Box::new(Problem::error(code::TOO_LARGE, message).help("check that the right file is named")))
}

fn text(path: &Path, bytes: Vec<u8>) -> Result<String, Box<Problem>> {
    let text = String::from_utf8(bytes).map_err(|error| not_utf8(path, &error))?;
    if text.trim_start_matches('\u{feff}').trim().is_empty() {
        let problem = Problem::error(code::EMPTY_FILE, format!("{} is empty", path.display()));
        return Err(Box::new(problem.help("a configuration begins with `version = 1`")));
    }
    Ok(text)
}

fn not_utf8(path: &Path, error: &std::string::FromUtf8Error) -> Box<Problem> {
    let offset = error.utf8_error().valid_up_to();
    let bytes = error.as_bytes();
    let line = bytes.iter().take(offset).filter(|byte| **byte == b'\n').count() + 1;
    let found = bytes.get(offset).copied().unwrap_or_default();
    let message = format!("{} is not UTF-8: byte 0x{found:02x} at offset {offset}, line {line}", path.display());
    let utf16 = bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]);
    let help = if utf16 { "it is UTF-16: save it as UTF-8" } else { "save it as UTF-8" };
    Box::new(Problem::error(code::NOT_UTF8, message).help(help))
}

fn cannot_open(path: &Path, error: &io::Error) -> Box<Problem> {
    if error.kind() == io::ErrorKind::NotFound {
        let message = match std::env::current_dir() {
            Ok(here) if path.is_relative() => {
                format!("{} does not exist in {}, where this process runs", path.display(), here.display())
            }
            _ => format!("{} does not exist", path.display()),
        };
        let problem = Problem::error(code::NOT_FOUND, message);
        // Without a hint, the way out depends on who named the file: `load` knows.
        return Box::new(match mistaken_path(&path.to_string_lossy()) {
            Some(help) => problem.help(help),
            None => problem,
        });
    }
    unreadable(path, error)
}

/// What a path that leads nowhere shows by itself.
fn mistaken_path(path: &str) -> Option<&'static str> {
    let quoted = |quote: char| path.len() > 1 && path.starts_with(quote) && path.ends_with(quote);
    let several =
        |mark: &str| path.split(mark).filter(|part| part.ends_with(".toml") || part.ends_with(".json")).count() > 1;
    Some(match () {
        () if path.starts_with('~') => "only a shell knows ~: write the whole path, beginning with /",
        () if path.contains('$') => {
            "only a shell puts in variables such as $HOME: write the whole path, beginning with /"
        }
        () if path.starts_with("file:") => "write the path alone, without file://",
        () if quoted('"') || quoted('\'') => "take the quotes out of the variable: they are part of the path there",
        () if several(":") || several(",") || several(";") => "name one file: several cannot be joined",
        () if path.trim() != path || invisible_characters::find(path).is_some() => {
            "the path has a blank at one of its ends, or a character that cannot be seen: write it anew"
        }
        () => return None,
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Box<Problem> {
    let problem = Problem::error(code::UNREADABLE, format!("{} cannot be read: {error}", path.display()));
    Box::new(problem.help("let the user that runs this process read it"))
}

/// Links that one path may lead along, as for the kernel.
const MOST_LINKS: usize = 40;
/// How long the program waits for whoever writes to a pipe.
const PATIENCE: Duration = Duration::from_secs(5);
/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
