//! How the library speaks: through the `log` crate, and where the application has no logger, errors and warnings to
//! stderr. Tracing is never silently off.

#![forbid(unsafe_code)]

use super::stderr::write_to_stderr;

/// Something of ours does not work; the application goes on.
pub(crate) fn error(message: &str) {
    say(TARGET, log::Level::Error, message);
}

/// Something deserves a look.
pub(crate) fn warn(message: &str) {
    say(TARGET, log::Level::Warn, message);
}

/// What was set up.
pub(crate) fn info(message: &str) {
    say(TARGET, log::Level::Info, message);
}

/// The same at any level, for a part of the library that has a target of its own.
pub(crate) fn say(target: &str, level: log::Level, message: &str) {
    if goes_to_stderr(level) {
        write_to_stderr(&format!("tracer-resolver: {level}: {message}\n"));
    }
    log::log!(target: target, level, "{message}");
}

/// Whether anybody hears what is said at this level: for whoever would make a line in vain.
pub(crate) fn is_heard(level: log::Level) -> bool {
    level <= log::max_level() || goes_to_stderr(level)
}

/// Errors and warnings do, where the application has no logger.
fn goes_to_stderr(level: log::Level) -> bool {
    log::max_level() == log::LevelFilter::Off && level <= log::Level::Warn
}

/// The target of what no part of the library has one of its own for.
pub(crate) const TARGET: &str = "tracer_resolver";
