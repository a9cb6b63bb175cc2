//! The environment: which configuration is used, and which backends are the user's own.

use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

/// What the environment said before anything was started.
pub(crate) struct Environment {
    /// The file that `INTERCEPTORS_CONFIG_FILE` names now.
    file: OsString,
    /// Whether the user named it.
    own_file: bool,
}

/// Makes `INTERCEPTORS_CONFIG_FILE` name the shop's `tracing.toml`, if it names nothing yet.
///
/// # Safety
///
/// No other thread may exist: the environment of a process is not made for two.
pub(crate) unsafe fn point_at_the_shipped_file() -> Environment {
    if let Some(file) = std::env::var_os(VARIABLE).filter(|file| !file.is_empty()) {
        return Environment { file, own_file: true };
    }
    let file = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/shop/tracing.toml")).into_os_string();
    // SAFETY: the caller vouches that this is the only thread.
    unsafe { std::env::set_var(VARIABLE, &file) };
    Environment { file, own_file: false }
}

impl Environment {
    /// Where a backend of the user's own is, if this variable says so.
    pub(crate) fn endpoint(&self, variable: &str) -> Option<String> {
        std::env::var(variable).ok().filter(|endpoint| !endpoint.is_empty())
    }
}

impl fmt::Display for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = PathBuf::from(&self.file);
        let here = std::env::current_dir().ok();
        let shown = here.as_ref().and_then(|here| file.strip_prefix(here).ok()).unwrap_or(&file).display();
        let whose = if self.own_file { "yours" } else { "the shop's own" };
        write!(f, "{VARIABLE}={shown} ({whose})")
    }
}

const VARIABLE: &str = "INTERCEPTORS_CONFIG_FILE";
