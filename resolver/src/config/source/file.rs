//! Opening the configuration file once, and refusing what cannot be trusted to be one.

#![forbid(unsafe_code)]

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::config::report::code;
use crate::config::report::invisible_characters;
use crate::config::report::problem::Problem;

/// The whole text of the file at `path`.
///
/// All checks are made on the opened file, so nothing can be exchanged between check and reading.
pub(crate) fn read(path: &Path) -> Result<String, Box<Problem>> {
    let mut file = open(path).map_err(|error| cannot_open(path, &error))?;
    let metadata = file.metadata().map_err(|error| unreadable(path, &error))?;
    check_kind(path, &metadata)?;
    check_permissions(path, &metadata)?;
    check_size(path, metadata.len())?;
    let mut bytes = Vec::new();
    let limit = MAX_BYTES + 1;
    file.by_ref().take(limit).read_to_end(&mut bytes).map_err(|error| unreadable(path, &error))?;
    // The length of a file that grows, or of one that the kernel makes up, is known only now.
    check_size(path, bytes.len() as u64)?;
    text(path, bytes)
}

/// Does not wait for a writer if `path` is a FIFO, and leaks into no child process: std opens with `O_CLOEXEC`.
fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY).open(path)
}

fn check_kind(path: &Path, metadata: &Metadata) -> Result<(), Box<Problem>> {
    let kind = metadata.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_dir() => "a directory",
        () if kind.is_fifo() => "a pipe",
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
    Err(Box::new(Problem::error(code::WORLD_WRITABLE, message).help(format!("chmod o-w {}", path.display()))))
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

/// The largest file that is read.
const MAX_BYTES: u64 = 1 << 20;
