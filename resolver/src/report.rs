//! How the library speaks: through the `log` crate, and where the application has no logger, errors and warnings to
//! stderr. Tracing is never silently off.

#![forbid(unsafe_code)]

/// Something of ours does not work; the application goes on.
pub(crate) fn error(message: &str) {
    say(log::Level::Error, message);
}

/// Something deserves a look.
pub(crate) fn warn(message: &str) {
    say(log::Level::Warn, message);
}

/// What was set up.
pub(crate) fn info(message: &str) {
    say(log::Level::Info, message);
}

fn say(level: log::Level, message: &str) {
    if log::max_level() == log::LevelFilter::Off && level <= log::Level::Warn {
        use std::io::Write as _;
        // A closed stderr is the application's choice; there is nobody left to tell.
        let _ = writeln!(std::io::stderr().lock(), "tracer-resolver: {level}: {message}");
    }
    log::log!(target: "tracer_resolver", level, "{message}");
}
