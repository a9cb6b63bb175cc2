//! Runs the system's C and C++ compilers on sources that see this crate's header and nothing else of ours.

use std::path::{Path, PathBuf};
use std::process::Command;

/// A language the header promises to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    C99,
    Cpp11,
}

impl Language {
    /// Its compiler, or `None`, with the reason printed, if the machine has none. A C compiler is always required.
    fn compiler(self) -> Option<&'static str> {
        let (compiler, required) = match self {
            Self::C99 => ("cc", true),
            Self::Cpp11 => ("c++", false),
        };
        match Command::new(compiler).arg("--version").output() {
            Ok(_) => Some(compiler),
            Err(why) if required => panic!("{compiler} is needed by these tests: {why}"),
            Err(why) => {
                eprintln!("SKIPPED: there is no {compiler} on this machine ({why})");
                None
            }
        }
    }
}

/// Compiles `source` with every warning an error; what came out of the compiler if it refuses.
pub(crate) fn compile(language: Language, source: &Path, output: &Path, flags: &[&str]) -> Option<Result<(), String>> {
    compile_with(TODAY, language, source, output, flags)
}

/// The folder of today's header.
pub(crate) const TODAY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/include");

/// The same with the header that lies in this folder.
pub(crate) fn compile_with(
    include: &str,
    language: Language,
    source: &Path,
    output: &Path,
    flags: &[&str],
) -> Option<Result<(), String>> {
    let standard = match language {
        Language::C99 => "-std=c99",
        Language::Cpp11 => "-std=c++11",
    };
    let result = Command::new(language.compiler()?)
        .args([standard, "-Wall", "-Wextra", "-pedantic", "-Werror", "-I"])
        .arg(include)
        .args(flags)
        .arg(source)
        .arg("-o")
        .arg(output)
        .output()
        .unwrap();
    Some(if result.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&result.stderr).into_owned()) })
}

/// A file of this name, for this test program alone.
pub(crate) fn scratch(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(concat!("api-", env!("CARGO_CRATE_NAME")));
    std::fs::create_dir_all(&folder).unwrap();
    folder.join(name)
}
