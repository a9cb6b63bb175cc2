//! `HostSide`: the `tracer_host` that a plugin is given, and what it wrote to its log.

use std::ffi::c_void;
use std::io;
use std::mem::offset_of;
use std::ptr;
use std::sync::{Arc, Mutex, PoisonError};

use tracer_plugin_api::abi::{TRACER_ABI_MAJOR, TRACER_ABI_MINOR, tracer_host, tracer_str};

use crate::lent::Lent;

/// How much of a host it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum HostKind {
    /// As large as the header's, with all functions.
    #[default]
    Whole,
    /// The functions that may be NULL are.
    WithoutFunctions,
    /// Of a later minor version: longer, with what this plugin cannot know behind its end.
    Newer,
}

/// Lies on a page of its own, which can be taken away after `destroy`.
pub(crate) struct HostSide {
    host: Lent,
    log: Arc<Log>,
}

/// What a plugin logged.
#[derive(Default)]
pub(crate) struct Log {
    lines: Mutex<Vec<Line>>,
}

/// Level, target and message, as they came.
pub(crate) type Line = (u32, Vec<u8>, Vec<u8>);

impl HostSide {
    pub(crate) fn new(kind: HostKind) -> io::Result<Self> {
        let log = Arc::new(Log::default());
        let has_functions = kind != HostKind::WithoutFunctions;
        let newer = if kind == HostKind::Newer { NEWER } else { 0 };
        let host = tracer_host {
            struct_size: (size_of::<tracer_host>() + newer) as u32,
            abi_major: TRACER_ABI_MAJOR,
            abi_minor: TRACER_ABI_MINOR + u16::from(newer > 0),
            name: tracer_str::new("tracer-resolver"),
            version: tracer_str::new(env!("CARGO_PKG_VERSION")),
            // Never dropped: a plugin that logs after `destroy` is to fault on the page, not in here.
            ctx: Arc::into_raw(Arc::clone(&log)).cast_mut().cast(),
            log: has_functions.then_some(write),
            get_extension: has_functions.then_some(extension),
            is_logged: has_functions.then_some(is_logged),
            is_export_thread: has_functions.then_some(is_export_thread),
        };
        // SAFETY: the struct has no padding (frozen in `abi`), so all its bytes are initialized.
        let bytes = unsafe { std::slice::from_raw_parts(ptr::from_ref(&host).cast::<u8>(), size_of::<tracer_host>()) };
        let mut bytes = bytes.to_vec();
        bytes.resize(bytes.len() + newer, 0xa5);
        Ok(Self { host: Lent::sealed(&bytes)?, log })
    }

    pub(crate) fn pointer(&self) -> *const tracer_host {
        self.host.address().cast_const().cast()
    }

    pub(crate) fn log(&self) -> &Log {
        &self.log
    }

    /// `destroy` has returned: it is not used any more.
    pub(crate) fn take_away(&self) -> io::Result<()> {
        self.host.take_away()
    }
}

impl Log {
    pub(crate) fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Runs on: any thread of the plugin's.
unsafe extern "C" fn write(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
    // SAFETY: `ctx` is the log that `HostSide::new` leaked; the texts are lent until we return.
    let (log, target, message) = unsafe { (&*ctx.cast::<Log>(), target.as_bytes(), message.as_bytes()) };
    let mut lines = log.lines.lock().unwrap_or_else(PoisonError::into_inner);
    // A plugin that logs without end is not to fill the memory.
    if lines.len() < MOST_LINES {
        lines.push((level, target.to_vec(), message.to_vec()));
    }
}

/// All is written.
unsafe extern "C" fn is_logged(_ctx: *mut c_void, _level: u32) -> i32 {
    1
}

/// Every thread of a check may export.
unsafe extern "C" fn is_export_thread(_ctx: *mut c_void) -> i32 {
    1
}

/// This host has no extensions.
unsafe extern "C" fn extension(_ctx: *mut c_void, _id: tracer_str) -> *const c_void {
    ptr::null()
}

const MOST_LINES: usize = 10_000;
/// What a struct of a later minor version has more.
pub(crate) const NEWER: usize = 64;
const _: () = assert!(offset_of!(tracer_host, is_export_thread) + 8 == size_of::<tracer_host>());
