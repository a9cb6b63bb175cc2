//! From the table to the last log line: what is allowed when.

use std::ffi::c_void;
use std::mem::size_of;
use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use tracer_plugin_api::abi::*;
use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, Extension, Host, LogLevel, plugin_table};

use crate::moody::*;

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
    assert_eq!((PLUGIN.accepted_signals, PLUGIN.accepted_encodings), (0b10, 0b10));
    // SAFETY: pure.
    assert!(unsafe { PLUGIN.get_extension.unwrap()(tracer_str::new("any/1")) }.is_null());
}

/// What a host finds under the id, as it looks for it.
fn after_fork_of(table: &tracer_plugin) -> Option<&'static tracer_after_fork> {
    // SAFETY: pure; under this id such a struct, static.
    unsafe { table.get_extension.unwrap()(tracer_str::new(TRACER_EXT_AFTER_FORK)).cast::<tracer_after_fork>().as_ref() }
}

#[test]
fn a_backend_that_forgets_its_parent_in_a_forked_child_is_called_for_it_and_others_have_no_such_extension() {
    static FORGOTTEN: AtomicBool = AtomicBool::new(false);
    struct Forgetful;
    struct Panicking;
    macro_rules! backend {
        ($it:ident, $name:literal, $after_fork:expr) => {
            impl Backend for $it {
                const TYPE_NAME: &'static str = $name;
                const VERSION: &'static str = "1";
                const CONFIG_SCHEMA: &'static str = "{}";
                const AFTER_FORK: Option<fn()> = Some($after_fork);
                fn validate(_config_json: &str) -> Result<(), BackendError> {
                    Ok(())
                }
                fn create(_args: &CreateArgs<'_>) -> Result<Self, BackendError> {
                    Ok(Self)
                }
                fn export(&self, _batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
                    Ok(())
                }
                fn extension(_id: &str) -> Option<Extension> {
                    panic!("not asked for that one")
                }
            }
        };
    }
    backend!(Forgetful, "forgetful", || FORGOTTEN.store(true, Ordering::SeqCst));
    backend!(Panicking, "panicking", || panic!("in a child"));
    static FORGETFUL: tracer_plugin = plugin_table::<Forgetful>();
    static PANICKING: tracer_plugin = plugin_table::<Panicking>();

    assert!(after_fork_of(&PLUGIN).is_none());
    let [forgetful, panicking] = [&FORGETFUL, &PANICKING].map(|table| after_fork_of(table).unwrap());
    assert_eq!(forgetful.struct_size as usize, size_of::<tracer_after_fork>());
    assert_eq!(after_fork_of(&FORGETFUL).map(ptr::from_ref), Some(ptr::from_ref(forgetful)), "always the same");
    // SAFETY: what a host calls in a child.
    unsafe {
        forgetful.after_fork.unwrap()();
        panicking.after_fork.unwrap()();
    }
    assert!(FORGOTTEN.load(Ordering::SeqCst));
}
