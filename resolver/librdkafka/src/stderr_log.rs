//! Where this library speaks: stderr, a message at a time, as much as `OTEL_LOG_LEVEL` says.
//!
//! The levels are `none`, `error`, `warn` (the default), `info` and `debug`.

use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

use log::{Level, LevelFilter, Log, Metadata, Record};

/// Begins to speak, at the first call. Not done at load: most processes of a preloaded environment are no Kafka clients.
pub(crate) fn start() {
    static STARTED: Once = Once::new();
    STARTED.call_once(|| {
        let asked = std::env::var("OTEL_LOG_LEVEL").unwrap_or_default();
        let level = level(&asked);
        // Fails where the program is Rust, links this crate and has a logger: then that is the place to speak.
        if log::set_logger(&STDERR).is_err() {
            return;
        }
        SILENT.store(level == Some(LevelFilter::Off), Ordering::Relaxed);
        // Not `Off`: the engine takes that for the absence of a logger.
        log::set_max_level(level.unwrap_or(DEFAULT).max(LevelFilter::Error));
        if level.is_none() && !asked.is_empty() {
            log::warn!(
                "OTEL_LOG_LEVEL={asked:?} is not a level; known: none, error, warn, info, debug. It is warn now"
            );
        }
    });
}

struct Stderr;

static STDERR: Stderr = Stderr;
static SILENT: AtomicBool = AtomicBool::new(false);
const DEFAULT: LevelFilter = LevelFilter::Warn;

impl Log for Stderr {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.level() <= log::max_level() && !SILENT.load(Ordering::Relaxed) && is_ours(metadata.target())
    }

    fn log(&self, record: &Record<'_>) {
        if self.enabled(record.metadata()) {
            write(&message(record.level(), &record.args().to_string()));
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

fn message(level: Level, text: &str) -> String {
    format!("tracer-resolver: {level}: {}\n", text.trim_end())
}

/// In one call, so that the lines of several threads and processes do not mix. No lock is taken: one that another thread
/// holds at the moment of a fork would stay held in the child. A reader of stderr that has gone away must not end the
/// application, so its signal is not let through.
pub(crate) fn write(message: &str) {
    let mut rest = message.as_bytes();
    // SAFETY: sets that live here; masking and waiting concern this thread only, and the mask is put back. `write` is
    // given a buffer and its length.
    unsafe {
        let (mut pipe, mut before, mut pending) = (std::mem::zeroed(), std::mem::zeroed(), std::mem::zeroed());
        libc::sigemptyset(&raw mut pipe);
        libc::sigaddset(&raw mut pipe, libc::SIGPIPE);
        libc::sigpending(&raw mut pending);
        let was_pending = libc::sigismember(&raw const pending, libc::SIGPIPE) == 1;
        libc::pthread_sigmask(libc::SIG_BLOCK, &raw const pipe, &raw mut before);
        while !rest.is_empty() {
            let written = libc::write(libc::STDERR_FILENO, rest.as_ptr().cast(), rest.len());
            match usize::try_from(written) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(_) if *libc::__errno_location() == libc::EINTR => {}
                Err(_) => {
                    if *libc::__errno_location() == libc::EPIPE && !was_pending {
                        let no_wait = libc::timespec { tv_sec: 0, tv_nsec: 0 };
                        libc::sigtimedwait(&raw const pipe, std::ptr::null_mut(), &raw const no_wait);
                    }
                    break; // There is nobody left to tell.
                }
            }
        }
        libc::pthread_sigmask(libc::SIG_SETMASK, &raw const before, std::ptr::null_mut());
    }
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
    fn a_message_is_one_line_with_its_level() {
        assert_eq!(message(Level::Error, "it is off\n"), "tracer-resolver: ERROR: it is off\n");
    }
}
