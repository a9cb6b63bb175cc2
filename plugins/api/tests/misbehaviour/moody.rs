//! A backend that does what its configuration says, and a host that keeps what is logged.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tracer_plugin_api::abi::*;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Host, LogLevel, Stats, plugin_table};

pub(crate) static PLUGIN: tracer_plugin = plugin_table::<Moody>();

/// Does what its configuration's text says.
struct Moody {
    mood: String,
    host: Host,
    exports: AtomicU32,
}

impl Backend for Moody {
    const TYPE_NAME: &'static str = "moody";
    const VERSION: &'static str = "1.2.3";
    const CONFIG_SCHEMA: &'static str = r#"{"type": "object"}"#;
    const CONCURRENT_EXPORT: bool = true;
    const NETWORK: bool = false;

    fn validate(config_json: &str) -> Result<(), BackendError> {
        match config_json {
            "panic" => panic!("at validate"),
            "{}" => Ok(()),
            _ => Err(BackendError::config("/mood", format!("no such mood: {config_json}"))),
        }
    }

    fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
        args.host.log(LogLevel::Info, "moody", &format!("{} x{}", args.backend_name, args.max_concurrency));
        match args.config_json {
            "panic at create" => panic!("at create"),
            "refuse" => return Err(BackendError::config("", "not today")),
            "keep the host" => *KEPT_HOST.lock().unwrap() = Some(args.host.clone()),
            "keep the host, then panic" => {
                *KEPT_HOST.lock().unwrap() = Some(args.host.clone());
                panic!("having kept it");
            }
            _ => {}
        }
        Ok(Self { mood: args.config_json.to_owned(), host: args.host.clone(), exports: AtomicU32::new(0) })
    }

    fn export(&self, batch: &Batch<'_>, timeout: Duration) -> Result<(), BackendError> {
        self.exports.fetch_add(1, Ordering::Relaxed);
        match self.mood.as_str() {
            "panic" => panic!("at export {}", batch.batch_id),
            "retry" => Err(BackendError::retryable("busy").with_retry_after(Duration::from_micros(1_500))),
            "partial" => Err(BackendError::partial(batch.item_count, "too old")),
            "long" => Err(BackendError::permanent("é".repeat(1000))),
            "time" => Err(BackendError::timeout(format!("{timeout:?}"))),
            "echo" => Err(BackendError::internal(format!("{}/{}/{}", batch.body.len(), batch.attempt, batch.batch_id))),
            _ => Ok(()),
        }
    }

    fn flush(&self, _timeout: Duration) -> Result<(), BackendError> {
        if self.mood == "panic at flush" { panic!("at flush") } else { Ok(()) }
    }

    fn shutdown(&self, _timeout: Duration) -> Result<(), BackendError> {
        if self.mood == "panic at shutdown" { panic!("at shutdown") } else { Ok(()) }
    }

    fn stats(&self) -> Option<Stats> {
        if self.mood == "panic at stats" {
            panic!("at stats");
        }
        if self.mood == "uncounted" {
            return None;
        }
        Some(Stats { batches_sent: self.exports.load(Ordering::Relaxed).into(), reconnects: 5, ..Stats::default() })
    }
}

impl Drop for Moody {
    fn drop(&mut self) {
        self.host.log(LogLevel::Debug, "moody", "dropped");
        if self.mood == "panic when dropped" {
            panic!("at drop");
        }
    }
}

pub(crate) static KEPT_HOST: Mutex<Option<Host>> = Mutex::new(None);

/// An instance of [`Moody`] and the host it talks to.
pub(crate) struct Instance {
    pub(crate) raw: *mut tracer_instance,
    lines: Box<Lines>,
    _host: Box<tracer_host>,
}

pub(crate) type Lines = Mutex<Vec<String>>;

impl Instance {
    pub(crate) fn create(mood: &str) -> Self {
        let lines = Box::new(Lines::default());
        let host = Box::new(host_that_logs_to(&lines));
        let mut raw = ptr::null_mut();
        let args = tracer_create_args { host: &*host, ..create_args(mood) };
        // SAFETY: `host` lives in the instance; the rest outlives the call.
        assert_eq!(unsafe { PLUGIN.create.unwrap()(&args, &mut raw, ptr::null_mut()) }, TRACER_OK);
        Self { raw, lines, _host: host }
    }

    pub(crate) fn export(&self, batch: &tracer_batch, error: *mut tracer_error) -> tracer_code {
        // SAFETY: created, not destroyed; the rest outlives the call. As in the three below.
        unsafe { PLUGIN.export_batch.unwrap()(self.raw, batch, 1234, error) }
    }

    pub(crate) fn export_42(&self, error: *mut tracer_error) -> tracer_code {
        self.export(&batch(42), error)
    }

    pub(crate) fn flush(&self, error: *mut tracer_error) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.flush.unwrap()(self.raw, &tracer_call::within(1234), error) }
    }

    pub(crate) fn shutdown(&self, error: *mut tracer_error) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.shutdown.unwrap()(self.raw, &tracer_call::within(1234), error) }
    }

    pub(crate) fn stats(&self, stats: &mut tracer_stats) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.stats.unwrap()(self.raw, stats) }
    }

    /// What it has logged in its life.
    pub(crate) fn destroy(self) -> Vec<String> {
        self.destroy_but_keep_lines().lock().unwrap().clone()
    }

    pub(crate) fn destroy_but_keep_lines(self) -> Box<Lines> {
        // SAFETY: created; nothing runs on it, and nobody can use it after.
        unsafe { PLUGIN.destroy.unwrap()(self.raw) };
        self.lines
    }
}

/// The code of a create that must fail and leave `out` alone, and what was logged.
pub(crate) fn try_create(mood: &str, error: &mut tracer_error) -> (Result<(), tracer_code>, Vec<String>) {
    let lines = Lines::default();
    let host = host_that_logs_to(&lines);
    let mut raw = ptr::dangling_mut();
    let args = tracer_create_args { host: &host, ..create_args(mood) };
    // SAFETY: everything outlives the call; an instance would be leaked.
    let code = unsafe { PLUGIN.create.unwrap()(&args, &mut raw, error) };
    assert_eq!(raw, ptr::dangling_mut());
    (if code == TRACER_OK { Ok(()) } else { Err(code) }, lines.into_inner().unwrap())
}

pub(crate) fn create_args(mood: &str) -> tracer_create_args {
    tracer_create_args {
        struct_size: size_of::<tracer_create_args>() as u32,
        max_concurrency: 2,
        host: ptr::null(),
        backend_name: tracer_str::new("b"),
        config_json: tracer_str::new(mood),
        timeout_ms: 1000,
        reserved: 0,
    }
}

pub(crate) fn batch(batch_id: u64) -> tracer_batch {
    tracer_batch { attempt: 2, ..tracer_batch::first_try(TRACER_SIGNAL_TRACES, b"otlp", 3, batch_id) }
}

pub(crate) fn silent_host() -> tracer_host {
    tracer_host {
        struct_size: size_of::<tracer_host>() as u32,
        abi_major: TRACER_ABI_MAJOR,
        abi_minor: TRACER_ABI_MINOR,
        name: tracer_str::new("test"),
        version: tracer_str::new("0"),
        ctx: ptr::null_mut(),
        log: None,
        get_extension: None,
        is_logged: None,
        is_export_thread: None,
    }
}

pub(crate) fn host_that_logs_to(lines: &Lines) -> tracer_host {
    unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
        // SAFETY: `ctx` is the list below; the texts are lent until we return.
        let (lines, target, message) = unsafe { (&*ctx.cast::<Lines>(), target.as_bytes(), message.as_bytes()) };
        let line = format!("{level} {}: {}", String::from_utf8_lossy(target), String::from_utf8_lossy(message));
        lines.lock().unwrap().push(line);
    }
    tracer_host { ctx: ptr::from_ref(lines).cast_mut().cast(), log: Some(log), ..silent_host() }
}

pub(crate) fn text(fixed: &[u8]) -> &str {
    let end = fixed.iter().position(|byte| *byte == 0).unwrap_or_else(|| panic!("not terminated"));
    std::str::from_utf8(fixed.split_at(end).0).unwrap()
}
