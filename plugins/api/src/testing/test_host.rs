//! A host that keeps what is logged.

use std::ffi::c_void;
use std::ptr;
use std::sync::{Mutex, PoisonError};

use crate::abi::{TRACER_ABI_MAJOR, TRACER_ABI_MINOR, tracer_host, tracer_str};
use crate::{Host, LogLevel};

/// One line of a backend's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// How much it matters.
    pub level: LogLevel,
    /// The part of the plugin that speaks.
    pub target: String,
    /// What it says.
    pub message: String,
}

/// A host that keeps what is logged. Every level is logged; every thread is one that exports.
pub struct TestHost {
    // Boxed: both are pointed at, and must not move with this.
    table: Box<tracer_host>,
    lines: Box<Lines>,
    link: Host,
}

type Lines = Mutex<Vec<LogLine>>;

impl TestHost {
    /// For one backend.
    #[expect(clippy::new_without_default, reason = "a host is asked for, and not a default")]
    pub fn new() -> Self {
        let lines: Box<Lines> = Box::default();
        let table = Box::new(tracer_host {
            struct_size: size_of::<tracer_host>() as u32,
            abi_major: TRACER_ABI_MAJOR,
            abi_minor: TRACER_ABI_MINOR,
            name: tracer_str::new("tracer-plugin-api testing"),
            version: tracer_str::new(env!("CARGO_PKG_VERSION")),
            ctx: ptr::from_ref::<Lines>(&lines).cast_mut().cast(),
            log: Some(log),
            get_extension: None,
            is_logged: Some(yes_to_level),
            is_export_thread: Some(yes),
        });
        // SAFETY: the table lives in the box, and `drop` cuts the link before it goes.
        let link = unsafe { Host::attached(&*table) };
        Self { table, lines, link }
    }

    /// For [`CreateArgs::host`](crate::CreateArgs). Once this value is dropped its clones reach nobody.
    pub fn host(&self) -> Host {
        self.link.clone()
    }

    /// What was logged so far.
    pub fn lines(&self) -> Vec<LogLine> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn table(&self) -> *const tracer_host {
        &*self.table
    }
}

impl Drop for TestHost {
    fn drop(&mut self) {
        self.link.detach();
    }
}

unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
    let levels = [LogLevel::Error, LogLevel::Warn, LogLevel::Info, LogLevel::Debug, LogLevel::Trace];
    let level = levels.get((level as usize).wrapping_sub(1)).copied().unwrap_or(LogLevel::Trace);
    // SAFETY: `ctx` is the list of the host that was called; both texts are lent until we return.
    let (lines, target, message) = unsafe { (&*ctx.cast::<Lines>(), target.as_bytes(), message.as_bytes()) };
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let line = LogLine { level, target: text(target), message: text(message) };
    lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
}

unsafe extern "C" fn yes_to_level(_ctx: *mut c_void, _level: u32) -> i32 {
    1
}

unsafe extern "C" fn yes(_ctx: *mut c_void) -> i32 {
    1
}
