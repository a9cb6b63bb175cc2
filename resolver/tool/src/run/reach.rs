//! Whether a library that is preloaded comes into a program, or would keep it from starting.

#![forbid(unsafe_code)]

use std::path::{Path, PathBuf};

use super::loader::{CLibrary, Loader};
use super::trial;

/// What `LD_PRELOAD` does to a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Reach {
    /// The library is loaded, as far as that can be seen.
    Loaded,
    /// Nothing: the program loads no library. What it starts may.
    Nowhere,
    /// The program would not start, or would complain: why.
    Breaks(String),
}

impl Reach {
    /// Of every file that is executed: one that breaks is enough, and the last one is what matters else.
    pub(super) fn of(files: &[PathBuf], library: &Path) -> Self {
        let mut reach = Self::Loaded;
        for file in files {
            reach = of_file(file, library);
            if let Self::Breaks(_) = reach {
                break;
            }
        }
        reach
    }
}

fn of_file(file: &Path, library: &Path) -> Reach {
    match Loader::of(file) {
        Loader::Ours(linker) => trial::refusal(&linker, file, library).map_or(Reach::Loaded, Reach::Breaks),
        Loader::Foreign(linker) => {
            Reach::Breaks(format!("its dynamic linker is {}, {}", linker.display(), CLibrary::MADE_FOR))
        }
        Loader::OtherMachine { program, ours } => {
            Reach::Breaks(format!("it is made for {program}, and the library for {ours}"))
        }
        Loader::Static => Reach::Nowhere,
        Loader::Unknown => Reach::Loaded,
    }
}
