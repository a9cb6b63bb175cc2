//! What `export_plugin!` promises when a backend or a host misbehaves: nothing gets through the door.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may fail loudly")]

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tracer_plugin_api::abi::*;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Host, LogLevel, Stats, plugin_table};

static PLUGIN: tracer_plugin = plugin_table::<Moody>();

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
            "partial" => Err(BackendError::partial(batch.span_count, "too old")),
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

    fn stats(&self) -> Stats {
        if self.mood == "panic at stats" {
            panic!("at stats");
        }
        Stats { batches_sent: self.exports.load(Ordering::Relaxed).into(), reconnects: 5, ..Stats::default() }
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

static KEPT_HOST: Mutex<Option<Host>> = Mutex::new(None);

#[test]
fn a_panic_in_export_becomes_a_code_and_poisons_the_instance() {
    let instance = Instance::create("panic");
    let mut error = tracer_error::new();
    assert_eq!(instance.export(&batch(41), &mut error), TRACER_ERR_PANIC);
    assert_eq!((error.code, text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at export 41"));

    let earlier = "an earlier call panicked: at export 41";
    for call in [Instance::export_42, Instance::flush, Instance::shutdown] {
        let mut error = tracer_error::new();
        assert_eq!(call(&instance, &mut error), TRACER_ERR_PANIC);
        assert_eq!((error.code, text(&error.message)), (TRACER_ERR_PANIC, earlier));
    }
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_ERR_PANIC);
    assert_eq!(instance.destroy(), ["3 moody: b x2", "4 moody: dropped"]);
}

#[test]
fn a_panic_in_any_other_call_is_contained_too() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(tracer_str::new("panic"), &mut error) };
    assert_eq!((code, text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at validate"));

    let (result, lines) = try_create("panic at create", &mut error);
    assert_eq!((result.unwrap_err(), text(&error.message)), (TRACER_ERR_PANIC, "the plugin panicked: at create"));
    assert_eq!(lines, ["3 moody: b x2"]);

    let instance = Instance::create("panic at flush");
    assert_eq!(instance.flush(&mut error), TRACER_ERR_PANIC);
    assert_eq!(instance.flush(&mut error), TRACER_ERR_PANIC);
    instance.destroy();

    let instance = Instance::create("panic at shutdown");
    assert_eq!(instance.shutdown(&mut error), TRACER_ERR_PANIC);
    instance.destroy();

    let instance = Instance::create("panic at stats");
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_ERR_PANIC);
    assert_eq!(instance.export_42(&mut error), TRACER_ERR_PANIC);
    instance.destroy();
}

#[test]
fn a_panic_while_dropping_is_logged_and_contained() {
    let instance = Instance::create("panic when dropped");
    assert_eq!(
        instance.destroy(),
        ["3 moody: b x2", "4 moody: dropped", "1 moody: the plugin panicked while it was destroyed: at drop"]
    );
}

#[test]
fn an_error_carries_every_field_over() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(tracer_str::new("sad"), &mut error) };
    assert_eq!((code, error.code), (TRACER_ERR_CONFIG, TRACER_ERR_CONFIG));
    assert_eq!((text(&error.field), text(&error.message)), ("/mood", "no such mood: sad"));

    for (mood, code, retry_after_ms, rejected, message) in [
        ("retry", TRACER_ERR_RETRYABLE, 2, 0, "busy"),
        ("partial", TRACER_ERR_PARTIAL, 0, 3, "too old"),
        ("time", TRACER_ERR_TIMEOUT, 0, 0, "1.234s"),
        ("echo", TRACER_ERR_INTERNAL, 0, 0, "4/2/42"),
    ] {
        let instance = Instance::create(mood);
        let mut error = tracer_error::new();
        assert_eq!((instance.export_42(&mut error), error.code), (code, code), "{mood}");
        assert_eq!((error.retry_after_ms, error.rejected_spans), (retry_after_ms, rejected), "{mood}");
        assert_eq!((text(&error.field), text(&error.message)), ("", message));
        instance.destroy();
    }
}

#[test]
fn a_long_message_is_cut_between_characters_and_overruns_nothing() {
    #[repr(C)]
    struct Fenced {
        error: tracer_error,
        fence: [u8; 64],
    }
    let instance = Instance::create("long");
    let mut fenced = Fenced { error: tracer_error::new(), fence: [0xa5; 64] };
    assert_eq!(instance.export_42(&mut fenced.error), TRACER_ERR_PERMANENT);
    assert_eq!(text(&fenced.error.message), "é".repeat(191));
    assert_eq!(fenced.fence, [0xa5; 64]);
    instance.destroy();
}

#[test]
fn an_error_struct_shorter_than_ours_gets_what_fits() {
    let instance = Instance::create("retry");
    let mut error = tracer_error { struct_size: 12, rejected_spans: 99, ..tracer_error::new() };
    error.message[0] = b'?';
    assert_eq!(instance.export_42(&mut error), TRACER_ERR_RETRYABLE);
    assert_eq!((error.code, error.retry_after_ms, error.rejected_spans), (TRACER_ERR_RETRYABLE, 2, 99));
    assert_eq!(error.message[0], b'?');
    instance.destroy();
}

#[test]
fn no_error_struct_at_all_is_fine() {
    let instance = Instance::create("long");
    assert_eq!(instance.export_42(ptr::null_mut()), TRACER_ERR_PERMANENT);
    instance.destroy();
}

#[test]
fn null_pointers_from_the_host_are_errors_of_the_hosts() {
    let mut error = tracer_error::new();
    let mut out = ptr::null_mut();
    // SAFETY: nulls are what is tested; everything else outlives its call.
    unsafe {
        assert_eq!(PLUGIN.create.unwrap()(ptr::null(), &mut out, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.export_batch.unwrap()(ptr::null_mut(), &batch(1), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.flush.unwrap()(ptr::null_mut(), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.shutdown.unwrap()(ptr::null_mut(), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.stats.unwrap()(ptr::null(), &mut tracer_stats::new()), TRACER_ERR_INTERNAL);
        PLUGIN.destroy.unwrap()(ptr::null_mut());
    }
    assert_eq!(text(&error.message), "the host broke the contract: the instance is a null pointer");

    let instance = Instance::create("{}");
    // SAFETY: as above.
    unsafe {
        assert_eq!(PLUGIN.export_batch.unwrap()(instance.raw, ptr::null(), 1, &mut error), TRACER_ERR_INTERNAL);
        assert_eq!(PLUGIN.stats.unwrap()(instance.raw, ptr::null_mut()), TRACER_ERR_INTERNAL);
    }
    instance.destroy();
}

#[test]
fn a_host_without_functions_or_without_itself_is_tolerated() {
    let mut error = tracer_error::new();
    for host in [ptr::null(), ptr::from_ref(&silent_host())] {
        let mut out = ptr::null_mut();
        let args = tracer_create_args { host, ..create_args("{}") };
        // SAFETY: everything outlives its call.
        unsafe {
            assert_eq!(PLUGIN.create.unwrap()(&args, &mut out, &mut error), TRACER_OK);
            PLUGIN.destroy.unwrap()(out);
        }
    }
}

#[test]
fn an_absent_configuration_is_an_empty_object() {
    let mut error = tracer_error::new();
    // SAFETY: both arguments outlive the call; null with length 0 is empty text.
    let code = unsafe { PLUGIN.validate.unwrap()(tracer_str { ptr: ptr::null(), len: 0 }, &mut error) };
    assert_eq!(code, TRACER_OK, "{}", text(&error.message));
}

#[test]
fn a_configuration_that_is_not_utf8_is_an_error_of_the_configuration() {
    let mut error = tracer_error::new();
    let bytes = [0xff, 0xfe];
    // SAFETY: both arguments outlive the call.
    let code = unsafe { PLUGIN.validate.unwrap()(tracer_str { ptr: bytes.as_ptr(), len: 2 }, &mut error) };
    assert_eq!((code, text(&error.message)), (TRACER_ERR_CONFIG, "the configuration is not UTF-8"));
}

#[test]
fn fields_beyond_struct_size_are_not_read() {
    let mut error = tracer_error::new();
    let mut out = ptr::null_mut();
    // The texts lie beyond struct_size and would crash if they were followed.
    let wild = tracer_str { ptr: ptr::without_provenance(1), len: usize::MAX / 2 };
    let args = tracer_create_args { struct_size: 16, backend_name: wild, config_json: wild, ..create_args("") };
    // SAFETY: `args` is longer than it says; the rest outlives the call.
    assert_eq!(unsafe { PLUGIN.create.unwrap()(&args, &mut out, &mut error) }, TRACER_OK);

    for struct_size in [0, 4, 8, 23] {
        let body = tracer_bytes { ptr: wild.ptr, len: wild.len };
        let batch = tracer_batch { struct_size, body, ..batch(1) };
        // SAFETY: `batch` is longer than it says.
        let code = unsafe { PLUGIN.export_batch.unwrap()(out, &batch, 1, &mut error) };
        assert_eq!(code, TRACER_ERR_INTERNAL);
        assert_eq!(text(&error.message), "the host broke the contract: the batch is too short to have a body");
    }
    // SAFETY: made above, not used any more.
    unsafe { PLUGIN.destroy.unwrap()(out) };

    let instance = Instance::create("echo");
    let short = tracer_batch { struct_size: 24, attempt: 9, batch_id: 9, ..batch(9) };
    assert_eq!(instance.export(&short, &mut error), TRACER_ERR_INTERNAL);
    assert_eq!(text(&error.message), "4/1/0");
    instance.destroy();
}

#[test]
fn counters_are_written_up_to_struct_size() {
    let instance = Instance::create("{}");
    instance.export_42(ptr::null_mut());
    let mut stats = tracer_stats { struct_size: 48, reconnects: 99, ..tracer_stats::new() };
    assert_eq!(instance.stats(&mut stats), TRACER_OK);
    assert_eq!((stats.batches_sent, stats.reconnects), (1, 99));
    stats.struct_size = 56;
    assert_eq!((instance.stats(&mut stats), stats.reconnects), (TRACER_OK, 5));
    instance.destroy();
}

#[test]
fn an_unknown_encoding_is_unsupported_and_an_empty_body_is_not_exported() {
    let instance = Instance::create("{}");
    let mut error = tracer_error::new();
    let other = tracer_batch { encoding: 2, ..batch(1) };
    assert_eq!(instance.export(&other, &mut error), TRACER_ERR_UNSUPPORTED);
    let empty = tracer_batch { body: tracer_bytes { ptr: ptr::null(), len: 3 }, ..batch(1) };
    assert_eq!(instance.export(&empty, &mut error), TRACER_ERR_INTERNAL);
    let mut stats = tracer_stats::new();
    instance.stats(&mut stats);
    assert_eq!(stats.batches_sent, 0);
    instance.destroy();
}

#[test]
fn after_shutdown_only_counters_are_served() {
    let instance = Instance::create("{}");
    let mut error = tracer_error::new();
    assert_eq!(instance.shutdown(&mut error), TRACER_OK);
    assert_eq!(instance.export_42(&mut error), TRACER_ERR_SHUTDOWN);
    assert_eq!(instance.flush(&mut error), TRACER_ERR_SHUTDOWN);
    assert_eq!(instance.shutdown(&mut error), TRACER_ERR_SHUTDOWN);
    assert_eq!(instance.stats(&mut tracer_stats::new()), TRACER_OK);
    instance.destroy();
}

/// One test, since all three use the one place where the backend leaves its host.
#[test]
fn a_host_kept_beyond_the_instance_reaches_nobody() {
    let kept = || KEPT_HOST.lock().unwrap().take().unwrap();

    let instance = Instance::create("keep the host");
    let host = kept();
    host.log(LogLevel::Warn, "kept", "still here");
    let lines = instance.destroy_but_keep_lines();
    host.log(LogLevel::Warn, "kept", "too late");
    assert_eq!(*lines.lock().unwrap(), ["3 moody: b x2", "2 kept: still here", "4 moody: dropped"]);
    assert_eq!(format!("{host:?}"), "Host { attached: false }");

    let (result, _) = try_create("keep the host, then panic", &mut tracer_error::new());
    assert_eq!(result.unwrap_err(), TRACER_ERR_PANIC);
    assert_eq!(format!("{:?}", kept()), "Host { attached: false }");
}

/// The line is being written while the host is told goodbye: destroy must wait, or the host's memory is used after it.
#[test]
fn destroy_waits_for_a_line_that_is_being_logged() {
    struct Gate {
        entered: mpsc::Sender<()>,
        open: Mutex<mpsc::Receiver<()>>,
    }
    unsafe extern "C" fn log(ctx: *mut c_void, level: u32, _target: tracer_str, _message: tracer_str) {
        // SAFETY: `ctx` is the gate below.
        let gate = unsafe { &*ctx.cast::<Gate>() };
        if level == TRACER_LOG_TRACE {
            gate.entered.send(()).unwrap();
            gate.open.lock().unwrap().recv().unwrap();
        }
    }
    static HOST: Mutex<Option<Host>> = Mutex::new(None);
    struct Keeper;
    impl Backend for Keeper {
        const TYPE_NAME: &'static str = "keeper";
        const VERSION: &'static str = "1";
        const CONFIG_SCHEMA: &'static str = "{}";
        fn validate(_config_json: &str) -> Result<(), BackendError> {
            Ok(())
        }
        fn create(args: &CreateArgs<'_>) -> Result<Self, BackendError> {
            *HOST.lock().unwrap() = Some(args.host.clone());
            Ok(Self)
        }
        fn export(&self, _batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
            Ok(())
        }
    }
    static KEEPER: tracer_plugin = plugin_table::<Keeper>();

    let (entered, has_entered) = mpsc::channel();
    let (opener, open) = mpsc::channel();
    let gate = Gate { entered, open: Mutex::new(open) };
    let host = tracer_host { ctx: ptr::from_ref(&gate).cast_mut().cast(), log: Some(log), ..silent_host() };
    let mut raw = ptr::null_mut();
    let args = tracer_create_args { host: &host, ..create_args("{}") };
    // SAFETY: everything outlives the instance, which is destroyed below.
    assert_eq!(unsafe { KEEPER.create.unwrap()(&args, &mut raw, ptr::null_mut()) }, TRACER_OK);
    let kept = HOST.lock().unwrap().take().unwrap();
    let logging = thread::spawn(move || kept.log(LogLevel::Trace, "kept", "slow"));
    has_entered.recv().unwrap();

    let opened = Arc::new(AtomicBool::new(false));
    let opening = thread::spawn({
        let opened = Arc::clone(&opened);
        move || {
            thread::sleep(Duration::from_millis(100));
            opened.store(true, Ordering::SeqCst);
            opener.send(()).unwrap();
        }
    });
    // SAFETY: created above; no call runs on it.
    unsafe { KEEPER.destroy.unwrap()(raw) };
    assert!(opened.load(Ordering::SeqCst), "destroy returned while the host was in use");
    opening.join().unwrap();
    logging.join().unwrap();
}

#[test]
fn a_create_that_fails_leaves_no_instance() {
    let mut error = tracer_error::new();
    let (result, _) = try_create("refuse", &mut error);
    assert_eq!(result.unwrap_err(), TRACER_ERR_CONFIG);
    assert_eq!((text(&error.field), text(&error.message)), ("", "not today"));
}

#[test]
fn the_table_says_what_the_backend_is() {
    // SAFETY: static texts.
    let (name, version, schema, build) = unsafe {
        (
            PLUGIN.type_name.as_bytes(),
            PLUGIN.version.as_bytes(),
            PLUGIN.config_schema.as_bytes(),
            PLUGIN.build_info.as_bytes(),
        )
    };
    assert_eq!((name, version, schema), (&b"moody"[..], &b"1.2.3"[..], &br#"{"type": "object"}"#[..]));
    assert!(build.starts_with(b"Rust, tracer-plugin-api "));
    assert_eq!(PLUGIN.struct_size as usize, size_of::<tracer_plugin>());
    assert_eq!((PLUGIN.abi_major, PLUGIN.abi_minor), (TRACER_ABI_MAJOR, TRACER_ABI_MINOR));
    assert_eq!(PLUGIN.capabilities, TRACER_CAP_CONCURRENT_EXPORT);
    assert_eq!(PLUGIN.accepted_encodings, 0b10);
    // SAFETY: pure.
    assert!(unsafe { PLUGIN.get_extension.unwrap()(tracer_str::new("any/1")) }.is_null());
}

/// An instance of [`Moody`] and the host it talks to.
struct Instance {
    raw: *mut tracer_instance,
    lines: Box<Lines>,
    _host: Box<tracer_host>,
}

type Lines = Mutex<Vec<String>>;

impl Instance {
    fn create(mood: &str) -> Self {
        let lines = Box::new(Lines::default());
        let host = Box::new(host_that_logs_to(&lines));
        let mut raw = ptr::null_mut();
        let args = tracer_create_args { host: &*host, ..create_args(mood) };
        // SAFETY: `host` lives in the instance; the rest outlives the call.
        assert_eq!(unsafe { PLUGIN.create.unwrap()(&args, &mut raw, ptr::null_mut()) }, TRACER_OK);
        Self { raw, lines, _host: host }
    }

    fn export(&self, batch: &tracer_batch, error: *mut tracer_error) -> tracer_code {
        // SAFETY: created, not destroyed; the rest outlives the call. As in the three below.
        unsafe { PLUGIN.export_batch.unwrap()(self.raw, batch, 1234, error) }
    }

    fn export_42(&self, error: *mut tracer_error) -> tracer_code {
        self.export(&batch(42), error)
    }

    fn flush(&self, error: *mut tracer_error) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.flush.unwrap()(self.raw, 1234, error) }
    }

    fn shutdown(&self, error: *mut tracer_error) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.shutdown.unwrap()(self.raw, 1234, error) }
    }

    fn stats(&self, stats: &mut tracer_stats) -> tracer_code {
        // SAFETY: as above.
        unsafe { PLUGIN.stats.unwrap()(self.raw, stats) }
    }

    /// What it has logged in its life.
    fn destroy(self) -> Vec<String> {
        self.destroy_but_keep_lines().lock().unwrap().clone()
    }

    fn destroy_but_keep_lines(self) -> Box<Lines> {
        // SAFETY: created; nothing runs on it, and nobody can use it after.
        unsafe { PLUGIN.destroy.unwrap()(self.raw) };
        self.lines
    }
}

/// The code of a create that must fail and leave `out` alone, and what was logged.
fn try_create(mood: &str, error: &mut tracer_error) -> (Result<(), tracer_code>, Vec<String>) {
    let lines = Lines::default();
    let host = host_that_logs_to(&lines);
    let mut raw = ptr::dangling_mut();
    let args = tracer_create_args { host: &host, ..create_args(mood) };
    // SAFETY: everything outlives the call; an instance would be leaked.
    let code = unsafe { PLUGIN.create.unwrap()(&args, &mut raw, error) };
    assert_eq!(raw, ptr::dangling_mut());
    (if code == TRACER_OK { Ok(()) } else { Err(code) }, lines.into_inner().unwrap())
}

fn create_args(mood: &str) -> tracer_create_args {
    tracer_create_args {
        struct_size: size_of::<tracer_create_args>() as u32,
        max_concurrency: 2,
        host: ptr::null(),
        backend_name: tracer_str::new("b"),
        config_json: tracer_str::new(mood),
    }
}

fn batch(batch_id: u64) -> tracer_batch {
    tracer_batch {
        struct_size: size_of::<tracer_batch>() as u32,
        encoding: TRACER_ENCODING_OTLP_PROTOBUF,
        body: tracer_bytes::new(b"otlp"),
        span_count: 3,
        attempt: 2,
        batch_id,
    }
}

fn silent_host() -> tracer_host {
    tracer_host {
        struct_size: size_of::<tracer_host>() as u32,
        abi_major: TRACER_ABI_MAJOR,
        abi_minor: TRACER_ABI_MINOR,
        name: tracer_str::new("test"),
        version: tracer_str::new("0"),
        ctx: ptr::null_mut(),
        log: None,
        get_extension: None,
    }
}

fn host_that_logs_to(lines: &Lines) -> tracer_host {
    unsafe extern "C" fn log(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
        // SAFETY: `ctx` is the list below; the texts are lent until we return.
        let (lines, target, message) = unsafe { (&*ctx.cast::<Lines>(), target.as_bytes(), message.as_bytes()) };
        let line = format!("{level} {}: {}", String::from_utf8_lossy(target), String::from_utf8_lossy(message));
        lines.lock().unwrap().push(line);
    }
    tracer_host { ctx: ptr::from_ref(lines).cast_mut().cast(), log: Some(log), ..silent_host() }
}

fn text(fixed: &[u8]) -> &str {
    let end = fixed.iter().position(|byte| *byte == 0).unwrap_or_else(|| panic!("not terminated"));
    std::str::from_utf8(fixed.split_at(end).0).unwrap()
}
