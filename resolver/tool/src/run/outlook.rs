//! What will become of a program when it is run with the library: found out without running it.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use super::executed;
use super::linked_in::LinkedIn;
use super::reach::Reach;

/// See the module.
#[derive(Debug)]
pub(crate) struct Outlook {
    /// What the kernel executes, in that order; the last is what runs in the end. Empty: there is no such program.
    pub(crate) files: Vec<PathBuf>,
    /// What `LD_PRELOAD` does to them.
    pub(crate) reach: Reach,
    /// What of librdkafka is in the last of them.
    pub(crate) linked_in: LinkedIn,
}

impl Outlook {
    /// Looks at files, and asks the program's dynamic linker; runs nothing of the program.
    pub(crate) fn of(program: &OsStr, library: &Path) -> Self {
        let files = executed::files(program);
        let reach = Reach::of(&files, library);
        let linked_in = files.last().map_or(LinkedIn::Nothing, |file| LinkedIn::of(file));
        Self { files, reach, linked_in }
    }
}
