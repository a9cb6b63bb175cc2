//! `include/tracer_plugin.h` in Rust, item by item and under the same names.
//!
//! The header is the specification: ownership, threads and states are said there, once. What stands here is layout,
//! frozen by the asserts at the end, and the few conversions that both the host and the plugin side need. A plugin
//! author needs none of it: see [`Backend`](crate::Backend).

#![expect(non_camel_case_types, reason = "the names of the C header, so that one search finds both sides")]

use std::ffi::c_void;
use std::marker::{PhantomData, PhantomPinned};
use std::mem::size_of;

/// The major version: part of the symbol's name.
pub const TRACER_ABI_MAJOR: u16 = 1;
/// The minor version: only appends.
pub const TRACER_ABI_MINOR: u16 = 0;
/// The symbol to look up.
pub const TRACER_PLUGIN_SYMBOL: &str = "tracer_plugin_v1";

/// What became of a call; one of the `TRACER_OK`, `TRACER_ERR_*` below.
pub type tracer_code = i32;
/// Done.
pub const TRACER_OK: tracer_code = 0;
/// The configuration is wrong; `field` says where.
pub const TRACER_ERR_CONFIG: tracer_code = 1;
/// Nothing was stored and trying again may help.
pub const TRACER_ERR_RETRYABLE: tracer_code = 2;
/// Trying again with these bytes cannot help.
pub const TRACER_ERR_PERMANENT: tracer_code = 3;
/// The batch was taken but for `rejected_items`.
pub const TRACER_ERR_PARTIAL: tracer_code = 4;
/// Not finished within the time-out; whether anything was stored is unknown.
pub const TRACER_ERR_TIMEOUT: tracer_code = 5;
/// The instance is shut down.
pub const TRACER_ERR_SHUTDOWN: tracer_code = 6;
/// A panic was caught at the plugin's boundary: the instance is poisoned.
pub const TRACER_ERR_PANIC: tracer_code = 7;
/// The call, the encoding or the ABI version is not supported.
pub const TRACER_ERR_UNSUPPORTED: tracer_code = 8;
/// A defect of one of the two sides; also what an unknown code means.
pub const TRACER_ERR_INTERNAL: tracer_code = 9;
/// The backend refuses the credentials.
pub const TRACER_ERR_CREDENTIALS: tracer_code = 10;

/// What the header calls a code, without what all have: `RETRYABLE`. `None` for a number that is no code of its.
pub fn code_name(code: tracer_code) -> Option<&'static str> {
    let names = [
        "OK",
        "CONFIG",
        "RETRYABLE",
        "PERMANENT",
        "PARTIAL",
        "TIMEOUT",
        "SHUTDOWN",
        "PANIC",
        "UNSUPPORTED",
        "INTERNAL",
        "CREDENTIALS",
    ];
    usize::try_from(code).ok().and_then(|code| names.get(code)).copied()
}

/// Items are spans.
pub const TRACER_SIGNAL_TRACES: u32 = 1;
/// Items are data points.
pub const TRACER_SIGNAL_METRICS: u32 = 2;
/// Items are log records. Reserved.
pub const TRACER_SIGNAL_LOGS: u32 = 3;

/// OTLP protobuf, uncompressed: the `Export…ServiceRequest` of the batch's signal.
pub const TRACER_ENCODING_OTLP_PROTOBUF: u32 = 1;

/// The host means to make no further try of the batch.
pub const TRACER_BATCH_LAST_TRY: u32 = 1 << 0;
/// The process, or tracing, is about to end.
pub const TRACER_BATCH_SHUTTING_DOWN: u32 = 1 << 1;

/// `export_batch` may be called up to `max_concurrency` times at once.
pub const TRACER_CAP_CONCURRENT_EXPORT: u64 = 1 << 0;
/// The plugin talks to other machines.
pub const TRACER_CAP_NETWORK: u64 = 1 << 1;
/// The host does not use the plugin in a forked child of the process that loaded it.
pub const TRACER_CAP_NOT_IN_FORKED_CHILDREN: u64 = 1 << 2;
/// A host refuses a plugin that sets a bit of this mask which it does not know.
pub const TRACER_CAP_MUST_UNDERSTAND: u64 = 0xffff_ffff << 32;
/// Reserved: the plugin keeps and retries by itself what it was given.
pub const TRACER_CAP_OWNS_RETRY: u64 = 1 << 32;
/// Reserved: `export_batch` returns before the backend has answered.
pub const TRACER_CAP_ASYNC_EXPORT: u64 = 1 << 33;

/// Id of a plugin's [`tracer_after_fork`].
pub const TRACER_EXT_AFTER_FORK: &str = "tracer_plugin.after-fork/1";

/// For what needs a person.
pub const TRACER_LOG_ERROR: u32 = 1;
/// For what may need one.
pub const TRACER_LOG_WARN: u32 = 2;
/// For what happens once in a while.
pub const TRACER_LOG_INFO: u32 = 3;
/// For finding a fault.
pub const TRACER_LOG_DEBUG: u32 = 4;
/// For finding it at any price.
pub const TRACER_LOG_TRACE: u32 = 5;

/// Borrowed UTF-8 text.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_str {
    /// Null only if `len` is 0.
    pub ptr: *const u8,
    /// In bytes.
    pub len: usize,
}

/// Borrowed bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_bytes {
    /// Null only if `len` is 0.
    pub ptr: *const u8,
    /// How many.
    pub len: usize,
}

/// One backend at work; the plugin's own.
#[repr(C)]
pub struct tracer_instance {
    _private: [u8; 0],
    _not_send_not_unpin: PhantomData<(*mut u8, PhantomPinned)>,
}

/// Why a call failed; owned by the caller.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_error {
    /// Set by the caller; nothing at or beyond it is written.
    pub struct_size: u32,
    /// The code returned, again.
    pub code: tracer_code,
    /// Milliseconds; 0 is none.
    pub retry_after_ms: u32,
    /// With [`TRACER_ERR_PARTIAL`].
    pub rejected_items: u32,
    /// Comes back with the next try; a number of the plugin's.
    pub retry_cookie: u64,
    /// A JSON pointer into the configuration; NUL-terminated.
    pub field: [u8; 128],
    /// One line for an operator; NUL-terminated.
    pub message: [u8; 384],
}

/// One batch; owned by the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_batch {
    /// Set by the host.
    pub struct_size: u32,
    /// One of the `TRACER_SIGNAL_*`.
    pub signal: u32,
    /// [`TRACER_ENCODING_OTLP_PROTOBUF`].
    pub encoding: u32,
    /// Items of that signal; at least 1.
    pub item_count: u32,
    /// Never empty.
    pub body: tracer_bytes,
    /// The same on every retry.
    pub batch_id: u64,
    /// 1 for the first try.
    pub attempt: u32,
    /// `TRACER_BATCH_*`.
    pub flags: u32,
    /// What the try before left; 0 on the first.
    pub retry_cookie: u64,
    /// Nanoseconds since 1970; 0 is not known.
    pub oldest_start_unix_ns: u64,
    /// Nanoseconds since 1970.
    pub first_attempt_unix_ns: u64,
    /// `service_count` of them; null only if that is 0.
    pub service_names: *const tracer_str,
    /// 0 is not known.
    pub service_count: u32,
    /// 0 is not known.
    pub resource_count: u32,
}

/// What `validate` is asked; owned by the host, borrowed until it returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_validate_args {
    /// Set by the host.
    pub struct_size: u32,
    /// How long the host waits.
    pub timeout_ms: u32,
    /// A JSON object; empty text is `{}`.
    pub config_json: tracer_str,
}

/// What `flush` and `shutdown` are given; owned by the host, borrowed until they return.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_call {
    /// Set by the host.
    pub struct_size: u32,
    /// 0 is without waiting.
    pub timeout_ms: u32,
}

/// Counters since `create`; owned by the host.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_stats {
    /// Set by the host; nothing at or beyond it is written.
    pub struct_size: u32,
    /// Batches being exported at this moment.
    pub in_flight: u32,
    /// Items the backend has taken.
    pub items_sent: u64,
    /// Items the backend refused.
    pub items_rejected: u64,
    /// Exports that returned OK or PARTIAL.
    pub batches_sent: u64,
    /// Exports that returned anything else.
    pub batches_failed: u64,
    /// Bytes on the wire.
    pub bytes_sent: u64,
    /// Connections opened after the first one.
    pub reconnects: u64,
}

/// What the host gives a plugin; owned by the host, valid until `destroy` returns.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tracer_host {
    /// Set by the host.
    pub struct_size: u32,
    /// 1.
    pub abi_major: u16,
    /// Of the host's header.
    pub abi_minor: u16,
    /// `tracer-resolver`.
    pub name: tracer_str,
    /// Of the host.
    pub version: tracer_str,
    /// The first argument of the functions below.
    pub ctx: *mut c_void,
    /// Writes one line to the application's log; any thread, never blocks.
    pub log: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str)>,
    /// Looks up an extension of the host; any thread.
    pub get_extension: Option<unsafe extern "C" fn(ctx: *mut c_void, id: tracer_str) -> *const c_void>,
    /// Whether a line of this level would be written: 1 or 0; any thread, never blocks.
    pub is_logged: Option<unsafe extern "C" fn(ctx: *mut c_void, level: u32) -> i32>,
    /// Whether the calling thread is an export thread of the host's: 1 or 0; never blocks.
    pub is_export_thread: Option<unsafe extern "C" fn(ctx: *mut c_void) -> i32>,
}

/// What an instance is made of; owned by the host, borrowed until `create` returns.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_create_args {
    /// Set by the host.
    pub struct_size: u32,
    /// The most exports at once; at least 1.
    pub max_concurrency: u32,
    /// Valid until `destroy` returns.
    pub host: *const tracer_host,
    /// The name of the backend in the configuration.
    pub backend_name: tracer_str,
    /// A JSON object; empty text is `{}`.
    pub config_json: tracer_str,
    /// How long the host waits.
    pub timeout_ms: u32,
    /// 0.
    pub reserved: u32,
}

/// The plugin: static, constant, the same for as long as the process lives.
///
/// Every function is an `Option` so that a null in a foreign table is a value to be refused and not undefined
/// behaviour.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct tracer_plugin {
    /// Set by the plugin; fields at or beyond it are not there.
    pub struct_size: u32,
    /// Of the plugin's header.
    pub abi_major: u16,
    /// Of the plugin's header.
    pub abi_minor: u16,
    /// `TRACER_CAP_*`.
    pub capabilities: u64,
    /// Bit n: signal n.
    pub accepted_signals: u32,
    /// Bit n: encoding n.
    pub accepted_encodings: u32,
    /// What `plugin = "…"` must say.
    pub type_name: tracer_str,
    /// Of the plugin.
    pub version: tracer_str,
    /// For support; may be empty.
    pub build_info: tracer_str,
    /// JSON Schema 2020-12 of the backend's `config`.
    pub config_schema: tracer_str,
    /// Whether a configuration would do. Pure; any thread.
    pub validate:
        Option<unsafe extern "C" fn(args: *const tracer_validate_args, error: *mut tracer_error) -> tracer_code>,
    /// Makes an instance; `*out` is set only with [`TRACER_OK`].
    pub create: Option<CreateCall>,
    /// Ships one batch. An export thread of the host's.
    pub export_batch: Option<
        unsafe extern "C" fn(
            instance: *mut tracer_instance,
            batch: *const tracer_batch,
            timeout_ms: u32,
            error: *mut tracer_error,
        ) -> tracer_code,
    >,
    /// Pushes out what the plugin holds back. An export thread of the host's.
    pub flush: Option<TimedCall>,
    /// Ends the work; once.
    pub shutdown: Option<TimedCall>,
    /// Frees the instance; the last call.
    pub destroy: Option<unsafe extern "C" fn(instance: *mut tracer_instance)>,
    /// Fills in the counters. Any thread; never blocks.
    pub stats: Option<unsafe extern "C" fn(instance: *const tracer_instance, out: *mut tracer_stats) -> tracer_code>,
    /// Looks up an extension of the plugin. Any thread.
    pub get_extension: Option<unsafe extern "C" fn(id: tracer_str) -> *const c_void>,
    /// Reserved: null in a plugin of 1.0, and never called by a host of 1.0.
    pub reconfigure: Option<ReconfigureCall>,
}

/// What a plugin does in a forked child before it is asked for an instance there. Static, of the plugin's.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct tracer_after_fork {
    /// Of the plugin's header.
    pub struct_size: u32,
    /// 0.
    pub reserved: u32,
    /// Forgets what is the parent's.
    pub after_fork: Option<unsafe extern "C" fn()>,
}

const _: () = assert!(size_of::<tracer_after_fork>() == 16);

/// The shape of `create`.
pub type CreateCall = unsafe extern "C" fn(
    args: *const tracer_create_args,
    out: *mut *mut tracer_instance,
    error: *mut tracer_error,
) -> tracer_code;

/// The shape of `flush` and `shutdown`.
pub type TimedCall = unsafe extern "C" fn(
    instance: *mut tracer_instance,
    call: *const tracer_call,
    error: *mut tracer_error,
) -> tracer_code;

/// The shape of `reconfigure`.
pub type ReconfigureCall = unsafe extern "C" fn(
    instance: *mut tracer_instance,
    args: *const tracer_create_args,
    error: *mut tracer_error,
) -> tracer_code;

/// The shape of the one exported symbol, `tracer_plugin_v1`.
pub type tracer_plugin_entry = unsafe extern "C" fn(host_minor: u32) -> *const tracer_plugin;

// SAFETY: the header makes the table constant for as long as the process lives, and all that it points to.
unsafe impl Send for tracer_plugin {}
// SAFETY: as above: nobody ever writes to it.
unsafe impl Sync for tracer_plugin {}

impl tracer_str {
    /// The empty text.
    pub const EMPTY: Self = Self::new("");

    /// Borrows `text`: the result must not be used after `text` is gone.
    pub const fn new(text: &str) -> Self {
        Self { ptr: text.as_ptr(), len: text.len() }
    }

    /// The bytes, which a faulty other side may have made something else than UTF-8. A null pointer is empty.
    ///
    /// # Safety
    ///
    /// `ptr` is null or points to `len` readable bytes that live and do not change for `'a`.
    pub unsafe fn as_bytes<'a>(self) -> &'a [u8] {
        // SAFETY: the caller vouches for both fields.
        unsafe { tracer_bytes { ptr: self.ptr, len: self.len }.as_slice() }
    }
}

impl tracer_bytes {
    /// Borrows `bytes`: the result must not be used after `bytes` is gone.
    pub const fn new(bytes: &[u8]) -> Self {
        Self { ptr: bytes.as_ptr(), len: bytes.len() }
    }

    /// The bytes. A null pointer is empty, whatever `len` says.
    ///
    /// # Safety
    ///
    /// `ptr` is null or points to `len` readable bytes that live and do not change for `'a`.
    pub unsafe fn as_slice<'a>(self) -> &'a [u8] {
        if self.ptr.is_null() || self.len == 0 {
            return &[];
        }
        // SAFETY: not null, and the caller vouches for the length and the lifetime.
        unsafe { std::slice::from_raw_parts(self.ptr, self.len) }
    }
}

impl tracer_batch {
    /// A first try with what every batch has; the rest is not known, or no. `body` must outlive every use.
    pub const fn first_try(signal: u32, body: &[u8], item_count: u32, batch_id: u64) -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            signal,
            encoding: TRACER_ENCODING_OTLP_PROTOBUF,
            item_count,
            body: tracer_bytes::new(body),
            batch_id,
            attempt: 1,
            flags: 0,
            retry_cookie: 0,
            oldest_start_unix_ns: 0,
            first_attempt_unix_ns: 0,
            service_names: std::ptr::null(),
            service_count: 0,
            resource_count: 0,
        }
    }
}

impl tracer_validate_args {
    /// With its size set. `config_json` must outlive every use.
    pub const fn new(config_json: tracer_str, timeout_ms: u32) -> Self {
        Self { struct_size: size_of::<Self>() as u32, timeout_ms, config_json }
    }
}

impl tracer_call {
    /// With its size set.
    pub const fn within(timeout_ms: u32) -> Self {
        Self { struct_size: size_of::<Self>() as u32, timeout_ms }
    }
}

impl tracer_error {
    /// Zeroed, with its size set: what a caller hands to a function.
    pub const fn new() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            code: TRACER_OK,
            retry_after_ms: 0,
            rejected_items: 0,
            retry_cookie: 0,
            field: [0; 128],
            message: [0; 384],
        }
    }
}

impl Default for tracer_error {
    fn default() -> Self {
        Self::new()
    }
}

impl tracer_stats {
    /// Zeroed, with its size set: what a caller hands to `stats`.
    pub const fn new() -> Self {
        Self {
            struct_size: size_of::<Self>() as u32,
            in_flight: 0,
            items_sent: 0,
            items_rejected: 0,
            batches_sent: 0,
            batches_failed: 0,
            bytes_sent: 0,
            reconnects: 0,
        }
    }
}

impl Default for tracer_stats {
    fn default() -> Self {
        Self::new()
    }
}

/// How large a struct must say it is for `$field` to be there: `TRACER_HAS` of the header, for the other side's
/// `struct_size`.
///
/// ```
/// use tracer_plugin_api::abi::{tracer_batch, tracer_error};
/// use tracer_plugin_api::end_of_field;
/// assert_eq!(end_of_field!(tracer_batch, batch_id), 40);
/// assert_eq!(end_of_field!(tracer_error, field), 152);
/// ```
#[macro_export]
macro_rules! end_of_field {
    ($struct:ty, $field:ident) => {{
        const fn size_behind<S, F>(_: fn(&S) -> &F) -> usize {
            ::std::mem::size_of::<F>()
        }
        ::std::mem::offset_of!($struct, $field) + size_behind(|it: &$struct| &it.$field)
    }};
}

/// The layout is frozen: the same figures as in the header. Of 64 bits only, as the header is.
mod layout {
    use super::*;
    use std::mem::offset_of;

    const _: () = assert!(size_of::<*const u8>() == 8, "the plugin contract is for targets of 64 bits only");

    macro_rules! frozen {
        ($struct:ty, $size:literal: $($field:ident $offset:literal),+) => {
            const _: () = assert!(size_of::<$struct>() == $size);
            $(const _: () = assert!(offset_of!($struct, $field) == $offset);)+
        };
    }

    frozen!(tracer_str, 16: ptr 0, len 8);
    frozen!(tracer_bytes, 16: ptr 0, len 8);
    frozen!(tracer_error, 536: struct_size 0, code 4, retry_after_ms 8, rejected_items 12, retry_cookie 16, field 24,
        message 152);
    frozen!(tracer_batch, 88: struct_size 0, signal 4, encoding 8, item_count 12, body 16, batch_id 32, attempt 40,
        flags 44, retry_cookie 48, oldest_start_unix_ns 56, first_attempt_unix_ns 64, service_names 72,
        service_count 80, resource_count 84);
    frozen!(tracer_validate_args, 24: struct_size 0, timeout_ms 4, config_json 8);
    frozen!(tracer_call, 8: struct_size 0, timeout_ms 4);
    frozen!(tracer_stats, 56: struct_size 0, in_flight 4, items_sent 8, items_rejected 16, batches_sent 24,
        batches_failed 32, bytes_sent 40, reconnects 48);
    frozen!(tracer_host, 80: struct_size 0, abi_major 4, abi_minor 6, name 8, version 24, ctx 40, log 48,
        get_extension 56, is_logged 64, is_export_thread 72);
    frozen!(tracer_create_args, 56: struct_size 0, max_concurrency 4, host 8, backend_name 16, config_json 32,
        timeout_ms 48, reserved 52);
    frozen!(tracer_after_fork, 16: struct_size 0, reserved 4, after_fork 8);
    frozen!(tracer_plugin, 160: struct_size 0, abi_major 4, abi_minor 6, capabilities 8, accepted_signals 16,
        accepted_encodings 20, type_name 24, version 40, build_info 56, config_schema 72, validate 88, create 96,
        export_batch 104, flush 112, shutdown 120, destroy 128, stats 136, get_extension 144, reconfigure 152);
}
