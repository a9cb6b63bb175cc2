//! Where this library speaks: stderr, a message at a time, as much as `OTEL_LOG_LEVEL` says.
//!
//! The levels are `none`, `error`, `warn` (the default), `info` and `debug`.

#![forbid(unsafe_code)]

use std::panic;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};
use tracer_resolver::write_to_stderr;

/// Begins to speak, at the first call. Not done at load: most processes of a preloaded environment are no Kafka clients.
pub(crate) fn start() {
    if STARTED.load(Ordering::Acquire) {
        return;
    }
    let asked = std::env::var("OTEL_LOG_LEVEL").unwrap_or_default();
    let level = level(&asked);
    if log::set_logger(&STDERR).is_ok() {
        IS_OURS.store(true, Ordering::Relaxed);
    }
    // Not where the program is Rust, links this crate and has a logger: then that is the place to speak.
    if IS_OURS.load(Ordering::Relaxed) {
        // Of this library's own copy of Rust's library: the application's panics are its own.
        panic::set_hook(Box::new(|panic| log::error!("{}", report(&panic.to_string()))));
        SILENT.store(level == Some(LevelFilter::Off), Ordering::Relaxed);
        // Not `Off`: the engine takes that for the absence of a logger.
        log::set_max_level(level.unwrap_or(DEFAULT).max(LevelFilter::Error));
        if level.is_none() && !asked.is_empty() {
            log::warn!(
                "OTEL_LOG_LEVEL={asked:?} is not a level; known: none, error, warn, info, debug. It is warn now"
            );
        }
    }
    // Not by a `Once`: a child that is forked meanwhile would wait for a thread that it has not.
    STARTED.store(true, Ordering::Release);
}

struct Stderr;

static STDERR: Stderr = Stderr;
static STARTED: AtomicBool = AtomicBool::new(false);
/// Everything in this copy of `log` comes here.
static IS_OURS: AtomicBool = AtomicBool::new(false);
static SILENT: AtomicBool = AtomicBool::new(false);
const DEFAULT: LevelFilter = LevelFilter::Warn;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && !SILENT.load(Ordering::Relaxed) && is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            write_to_stderr(&message(record.level(), &record.args().to_string()));
        }
    }

    fn flush(&self) {}
}

/// Ours, and what plugins say through the host. What else is linked in here has nothing to tell the application's users.
fn is_ours(target: &str) -> bool {
    ["tracer_resolver", "tracer_interceptors", "tracer_plugin"].iter().any(|ours| target.starts_with(ours))
}

/// `None`: not a level.
fn level(asked: &str) -> Option<LevelFilter> {
    match asked.trim().to_ascii_lowercase().as_str() {
        "none" | "off" => Some(LevelFilter::Off),
        "error" => Some(LevelFilter::Error),
        "warn" | "warning" => Some(LevelFilter::Warn),
        "info" => Some(LevelFilter::Info),
        "debug" | "verbose" => Some(LevelFilter::Debug),
        "all" | "trace" => Some(LevelFilter::Trace),
        _ => None,
    }
}

/// What is said of a panic, in place of what Rust's library writes, which may wait for a reader.
fn report(panic: &str) -> String {
    format!("a defect of tracer-resolver: {}", panic.replace('\n', " "))
}

fn message(level: Level, text: &str) -> String {
    format!("tracer-resolver: {level}: {}\n", text.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_is_read_as_opentelemetry_writes_it_and_anything_else_is_none() {
        assert_eq!(level("none"), Some(LevelFilter::Off));
        assert_eq!(level(" WARN"), Some(LevelFilter::Warn));
        assert_eq!(level("debug"), Some(LevelFilter::Debug));
        assert_eq!(level("loud"), None);
        assert_eq!(level(""), None);
    }

    #[test]
    fn the_engine_this_library_and_the_plugins_are_heard_and_nobody_else() {
        assert!(is_ours("tracer_resolver::plugin") && is_ours(module_path!()) && is_ours("tracer_plugin::otlp"));
        assert!(!is_ours("jsonschema::compiler") && !is_ours(""));
    }

    #[test]
    fn a_panic_of_ours_is_a_line_like_any_other() {
        const CHILD: &str = "PANICS_IN_A_CHILD";
        if std::env::var_os(CHILD).is_some() {
            start();
            assert!(panic::catch_unwind(|| panic!("in two\nlines")).is_err());
            return;
        }
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.env(CHILD, "1").env_remove("OTEL_LOG_LEVEL").args(["a_panic_of_ours_is_a_line", "--nocapture"]);
        let ended = child.output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert!(ended.status.success() && said.lines().count() == 1, "{said}");
        assert!(said.starts_with("tracer-resolver: ERROR: a defect of tracer-resolver: panicked at "), "{said}");
        assert!(said.ends_with(": in two lines\n"), "{said}");
    }

    #[test]
    fn a_message_is_one_line_with_its_level() {
        assert_eq!(message(Level::Error, "it is off\n"), "tracer-resolver: ERROR: it is off\n");
    }
}
