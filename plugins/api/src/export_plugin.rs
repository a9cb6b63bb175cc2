//! From a [`Backend`] to the table of C functions, and the one symbol that hands it out.
//!
//! Each function does three things: turn raw pointers into safe values, go through the [panic guard](crate::panic_guard), make one
//! safe call. Arguments that break the header's promises come back as `TRACER_ERR_INTERNAL`, not as a crash.

use std::borrow::Cow;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::mem::size_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::abi::{
    self, tracer_after_fork, tracer_batch, tracer_call, tracer_code, tracer_create_args, tracer_error, tracer_instance,
    tracer_plugin, tracer_stats, tracer_str, tracer_validate_args,
};
use crate::foreign::{fill_stats, read_field};
use crate::panic_guard::{self, Poison};
use crate::{Backend, BackendError, Batch, CreateArgs, Host, LogLevel, ServiceNames, Signal};

/// Makes a `cdylib` a plugin: emits its one exported symbol, `tracer_plugin_v1`, and the static table behind it.
///
/// ```
/// use std::time::Duration;
/// use tracer_plugin_api::{Backend, BackendError, Batch, CreateArgs, export_plugin};
///
/// struct Null;
///
/// impl Backend for Null {
///     const TYPE_NAME: &'static str = "null";
///     const VERSION: &'static str = "1.0.0";
///     const CONFIG_SCHEMA: &'static str = r#"{"type": "object", "additionalProperties": false}"#;
///
///     fn validate(_config_json: &str) -> Result<(), BackendError> {
///         Ok(())
///     }
///     fn create(_args: &CreateArgs<'_>) -> Result<Self, BackendError> {
///         Ok(Self)
///     }
///     fn export(&self, _batch: &Batch<'_>, _timeout: Duration) -> Result<(), BackendError> {
///         Ok(())
///     }
/// }
///
/// export_plugin!(Null);
/// # fn main() {}
/// ```
///
/// Once in a crate. The crate may be an `rlib` as well, for its own tests and those of others; but a program links at
/// most one crate with this symbol. To link several plugins into one program, put the macro behind a feature of your
/// crate and register [`plugin_table`] with the host instead.
///
/// Needs `panic = "unwind"`: with `abort` a panic could not be contained, and the macro does not compile.
#[macro_export]
macro_rules! export_plugin {
    ($backend:ty) => {
        #[cfg(panic = "abort")]
        ::core::compile_error!(
            "a tracer plugin must be built with panic = \"unwind\": with \"abort\" a panic in it ends the host's process"
        );

        const _: () = {
            static TABLE: $crate::abi::tracer_plugin = $crate::plugin_table::<$backend>();

            /// The one exported symbol: see `tracer_plugin.h`.
            #[unsafe(no_mangle)]
            pub extern "C" fn tracer_plugin_v1(_host_minor: u32) -> *const $crate::abi::tracer_plugin {
                &TABLE
            }
        };
    };
}

/// The table of C functions for `B`, as [`export_plugin!`](crate::export_plugin) hands it out.
///
/// For hosts that link a plugin instead of loading it: put it in a `static`.
pub const fn plugin_table<B: Backend>() -> tracer_plugin {
    let concurrent = if B::CONCURRENT_EXPORT { abi::TRACER_CAP_CONCURRENT_EXPORT } else { 0 };
    let network = if B::NETWORK { abi::TRACER_CAP_NETWORK } else { 0 };
    let forks = if B::NOT_IN_FORKED_CHILDREN { abi::TRACER_CAP_NOT_IN_FORKED_CHILDREN } else { 0 };
    tracer_plugin {
        struct_size: size_of::<tracer_plugin>() as u32,
        abi_major: abi::TRACER_ABI_MAJOR,
        abi_minor: abi::TRACER_ABI_MINOR,
        capabilities: concurrent | network | forks,
        accepted_signals: signal_bits(B::SIGNALS),
        accepted_encodings: 1 << abi::TRACER_ENCODING_OTLP_PROTOBUF,
        type_name: tracer_str::new(B::TYPE_NAME),
        version: tracer_str::new(B::VERSION),
        build_info: tracer_str::new(BUILD_INFO),
        config_schema: tracer_str::new(B::CONFIG_SCHEMA),
        validate: Some(validate::<B>),
        create: Some(create::<B>),
        export_batch: Some(export_batch::<B>),
        flush: Some(flush::<B>),
        shutdown: Some(shutdown::<B>),
        destroy: Some(destroy::<B>),
        stats: Some(stats::<B>),
        get_extension: Some(get_extension::<B>),
        reconfigure: None,
    }
}

const BUILD_INFO: &str = if cfg!(debug_assertions) {
    concat!("Rust, tracer-plugin-api ", env!("CARGO_PKG_VERSION"), ", debug")
} else {
    concat!("Rust, tracer-plugin-api ", env!("CARGO_PKG_VERSION"))
};

/// What a `tracer_instance` of ours is.
struct Instance<B> {
    backend: B,
    host: Host,
    poison: Poison,
    /// Set when `shutdown` begins; never cleared.
    shut_down: AtomicBool,
}

impl<B> Instance<B> {
    /// # Safety
    ///
    /// `instance` is null or came from `create::<B>` and was not destroyed; it stays so for `'a`.
    unsafe fn from_raw<'a>(instance: *const tracer_instance) -> Option<&'a Self> {
        // SAFETY: `create` made it of an `Instance<B>`; only shared references to it exist until `destroy`.
        unsafe { instance.cast::<Self>().as_ref() }
    }

    fn refuse_after_shutdown(&self) -> Result<(), BackendError> {
        // Relaxed: the host orders shutdown after every export; this only catches one that does not.
        if self.shut_down.load(Ordering::Relaxed) { Err(BackendError::shutdown()) } else { Ok(()) }
    }
}

/// # Safety
///
/// As `tracer_plugin.h` says of validate.
unsafe extern "C" fn validate<B: Backend>(args: *const tracer_validate_args, error: *mut tracer_error) -> tracer_code {
    let validate = || {
        if args.is_null() {
            return Err(broken("validate was called with a null pointer"));
        }
        // SAFETY: not null; the host lends it until we return, and it is as long as it says.
        let config = unsafe { read_field!(args, tracer_validate_args, config_json) }.unwrap_or(tracer_str::EMPTY);
        // SAFETY: lent until we return.
        B::validate(unsafe { config_text(config) }?)
    };
    // SAFETY: `error` is lent until we return.
    unsafe { panic_guard::pass(None, error, validate) }
}

/// # Safety
///
/// As `tracer_plugin.h` says of create.
unsafe extern "C" fn create<B: Backend>(
    args: *const tracer_create_args,
    out: *mut *mut tracer_instance,
    error: *mut tracer_error,
) -> tracer_code {
    let create = || {
        if args.is_null() || out.is_null() {
            return Err(broken("create was called with a null pointer"));
        }
        // SAFETY: not null; the host lends it until we return, and it is as long as it says.
        let (name, config, max_concurrency, host, timeout) = unsafe {
            (
                read_field!(args, tracer_create_args, backend_name).unwrap_or(tracer_str::EMPTY),
                read_field!(args, tracer_create_args, config_json).unwrap_or(tracer_str::EMPTY),
                read_field!(args, tracer_create_args, max_concurrency).unwrap_or(1).max(1),
                read_field!(args, tracer_create_args, host).unwrap_or(std::ptr::null()),
                milliseconds(read_field!(args, tracer_create_args, timeout_ms).unwrap_or(u32::MAX)),
            )
        };
        // SAFETY: the host lives until `destroy`, or until we return if we fail: `Attached` cuts the link then.
        let attached = Attached(Some(unsafe { Host::attached(host) }));
        // SAFETY: lent until we return.
        let (name, config) = unsafe { (text(name), config_text(config)?) };
        let host = attached.host();
        let args = CreateArgs { backend_name: &name, config_json: config, max_concurrency, timeout, host };
        let backend = B::create(&args)?;
        let instance =
            Instance { backend, host: attached.keep(), poison: Poison::default(), shut_down: AtomicBool::new(false) };
        // SAFETY: not null, and the host's to be written. `destroy` takes the box back.
        unsafe { out.write(Box::into_raw(Box::new(instance)).cast()) };
        Ok(())
    };
    // SAFETY: `error` is lent until we return.
    unsafe { panic_guard::pass(None, error, create) }
}

/// # Safety
///
/// As `tracer_plugin.h` says of export_batch.
unsafe extern "C" fn export_batch<B: Backend>(
    instance: *mut tracer_instance,
    batch: *const tracer_batch,
    timeout_ms: u32,
    error: *mut tracer_error,
) -> tracer_code {
    // SAFETY: the host calls it between `create` and `destroy`, and lends `batch` and `error` until we return.
    unsafe {
        on_instance::<B>(instance, error, |instance| {
            instance.refuse_after_shutdown()?;
            instance.backend.export(&safe_batch(batch, B::SIGNALS)?, milliseconds(timeout_ms))
        })
    }
}

/// # Safety
///
/// As `tracer_plugin.h` says of flush.
unsafe extern "C" fn flush<B: Backend>(
    instance: *mut tracer_instance,
    call: *const tracer_call,
    error: *mut tracer_error,
) -> tracer_code {
    // SAFETY: the host calls it between `create` and `destroy`, and lends `error` until we return.
    unsafe {
        on_instance::<B>(instance, error, |instance| {
            instance.refuse_after_shutdown()?;
            instance.backend.flush(time_of(call)?)
        })
    }
}

/// # Safety
///
/// As `tracer_plugin.h` says of shutdown.
unsafe extern "C" fn shutdown<B: Backend>(
    instance: *mut tracer_instance,
    call: *const tracer_call,
    error: *mut tracer_error,
) -> tracer_code {
    // SAFETY: the host calls it between `create` and `destroy`, and lends `error` until we return.
    unsafe {
        on_instance::<B>(instance, error, |instance| {
            instance.refuse_after_shutdown()?;
            let timeout = time_of(call)?;
            instance.shut_down.store(true, Ordering::Relaxed);
            instance.backend.shutdown(timeout)
        })
    }
}

/// # Safety
///
/// As `tracer_plugin.h` says of destroy.
unsafe extern "C" fn destroy<B: Backend>(instance: *mut tracer_instance) {
    if instance.is_null() {
        return;
    }
    // SAFETY: made by `create` of this very box; the host calls nothing on it beside or after this.
    let instance = unsafe { Box::from_raw(instance.cast::<Instance<B>>()) };
    let host = instance.host.clone();
    if let Err(message) = panic_guard::contain_panic(|| drop(instance)) {
        host.log(LogLevel::Error, B::TYPE_NAME, &format!("the plugin panicked while it was destroyed: {message}"));
    }
    host.detach();
}

/// # Safety
///
/// As `tracer_plugin.h` says of stats.
unsafe extern "C" fn stats<B: Backend>(instance: *const tracer_instance, out: *mut tracer_stats) -> tracer_code {
    // SAFETY: the host calls it between `create` and `destroy`, and lends `out` until we return.
    unsafe {
        on_instance::<B>(instance, std::ptr::null_mut(), |instance| {
            if out.is_null() {
                return Err(broken("stats was called with a null pointer"));
            }
            let Some(stats) = instance.backend.stats() else {
                return Err(BackendError::unsupported("this backend does not count"));
            };
            fill_stats(out, &stats);
            Ok(())
        })
    }
}

/// # Safety
///
/// As `tracer_plugin.h` says of get_extension.
unsafe extern "C" fn get_extension<B: Backend>(id: tracer_str) -> *const c_void {
    // SAFETY: the host lends it until we return.
    let id = unsafe { id.as_bytes() };
    if B::AFTER_FORK.is_some() && id == abi::TRACER_EXT_AFTER_FORK.as_bytes() {
        return std::ptr::from_ref(Forks::<B>::TABLE).cast();
    }
    let found = || std::str::from_utf8(id).ok().and_then(B::extension);
    // A panic here is of no instance: whoever asks does without.
    panic_guard::contain_panic(found).ok().flatten().map_or(std::ptr::null(), crate::Extension::as_ptr)
}

/// What `B` does in a forked child, as the header has it.
struct Forks<B>(PhantomData<B>);

impl<B: Backend> Forks<B> {
    const TABLE: &'static tracer_after_fork = &tracer_after_fork {
        struct_size: size_of::<tracer_after_fork>() as u32,
        reserved: 0,
        after_fork: Some(after_fork::<B>),
    };
}

/// # Safety
///
/// As `tracer_plugin.h` says of after_fork.
unsafe extern "C" fn after_fork<B: Backend>() {
    let Some(forget) = B::AFTER_FORK else { return };
    // There is no instance yet, and no error to put it into: the panic hook has said what it was.
    drop(panic_guard::contain_panic(forget));
}

/// One call on an instance, through the panic guard.
///
/// # Safety
///
/// `instance` as [`Instance::from_raw`], `error` as [`panic_guard::pass`].
unsafe fn on_instance<B: Backend>(
    instance: *const tracer_instance,
    error: *mut tracer_error,
    call: impl FnOnce(&Instance<B>) -> Result<(), BackendError>,
) -> tracer_code {
    // SAFETY: handed down from the caller.
    unsafe {
        match Instance::<B>::from_raw(instance) {
            Some(instance) => panic_guard::pass(Some(&instance.poison), error, || call(instance)),
            None => panic_guard::pass(None, error, || Err(broken("the instance is a null pointer"))),
        }
    }
}

/// # Safety
///
/// `batch` is null or as long as it says; it and its body live for `'a`.
unsafe fn safe_batch<'a>(batch: *const tracer_batch, accepted: &[Signal]) -> Result<Batch<'a>, BackendError> {
    if batch.is_null() {
        return Err(broken("export_batch was called without a batch"));
    }
    // SAFETY: not null; the caller vouches for its length.
    let (signal, encoding, body, item_count, attempt, batch_id, flags, retry_cookie) = unsafe {
        (
            read_field!(batch, tracer_batch, signal),
            read_field!(batch, tracer_batch, encoding),
            read_field!(batch, tracer_batch, body),
            read_field!(batch, tracer_batch, item_count).unwrap_or(0),
            read_field!(batch, tracer_batch, attempt).unwrap_or(1),
            read_field!(batch, tracer_batch, batch_id).unwrap_or(0),
            read_field!(batch, tracer_batch, flags).unwrap_or(0),
            read_field!(batch, tracer_batch, retry_cookie).unwrap_or(0),
        )
    };
    // SAFETY: as above.
    let (oldest, first, names, services, resources) = unsafe {
        (
            read_field!(batch, tracer_batch, oldest_start_unix_ns).unwrap_or(0),
            read_field!(batch, tracer_batch, first_attempt_unix_ns).unwrap_or(0),
            read_field!(batch, tracer_batch, service_names).unwrap_or(std::ptr::null()),
            read_field!(batch, tracer_batch, service_count).unwrap_or(0),
            read_field!(batch, tracer_batch, resource_count).unwrap_or(0),
        )
    };
    let (Some(signal), Some(encoding), Some(body)) = (signal, encoding, body) else {
        return Err(broken("the batch is too short to have a body"));
    };
    let Some(signal) = accepted.iter().copied().find(|accepted| accepted.number() == signal) else {
        return Err(BackendError::unsupported(format!("signal {signal} is not supported by this backend")));
    };
    if encoding != abi::TRACER_ENCODING_OTLP_PROTOBUF {
        return Err(BackendError::unsupported(format!(
            "encoding {encoding} is not supported; only 1, OTLP protobuf, is"
        )));
    }
    // SAFETY: the caller vouches for the body.
    let body = unsafe { body.as_slice() };
    if body.is_empty() {
        return Err(broken("the batch is empty"));
    }
    Ok(Batch {
        signal,
        body,
        item_count,
        attempt,
        batch_id,
        retry_cookie,
        is_last_try: flags & abi::TRACER_BATCH_LAST_TRY != 0,
        is_shutting_down: flags & abi::TRACER_BATCH_SHUTTING_DOWN != 0,
        oldest_start: moment(oldest),
        first_attempt: moment(first),
        resource_count: resources,
        // SAFETY: the caller vouches for the batch and all it points to.
        service_names: unsafe { ServiceNames::lent(names, services) },
    })
}

/// # Safety
///
/// `config` is readable and lives for `'a`.
unsafe fn config_text<'a>(config: tracer_str) -> Result<&'a str, BackendError> {
    // SAFETY: handed down from the caller.
    match unsafe { config.as_bytes() } {
        [] => Ok("{}"),
        bytes => std::str::from_utf8(bytes).map_err(|_| BackendError::config("", "the configuration is not UTF-8")),
    }
}

/// # Safety
///
/// `name` is readable and lives for `'a`.
unsafe fn text<'a>(name: tracer_str) -> Cow<'a, str> {
    // SAFETY: handed down from the caller.
    String::from_utf8_lossy(unsafe { name.as_bytes() })
}

/// Bit n: signal n.
const fn signal_bits(signals: &[Signal]) -> u32 {
    // `for` cannot be used in a `const fn`.
    match signals {
        [] => 0,
        [first, rest @ ..] => 1 << first.number() | signal_bits(rest),
    }
}

/// # Safety
///
/// `call` is null or as long as it says.
unsafe fn time_of(call: *const tracer_call) -> Result<Duration, BackendError> {
    if call.is_null() {
        return Err(broken("the call's arguments are a null pointer"));
    }
    // SAFETY: not null; the caller vouches for its length.
    Ok(milliseconds(unsafe { read_field!(call, tracer_call, timeout_ms) }.unwrap_or(0)))
}

/// 0 is not known.
fn moment(unix_ns: u64) -> Option<SystemTime> {
    if unix_ns == 0 { None } else { UNIX_EPOCH.checked_add(Duration::from_nanos(unix_ns)) }
}

fn milliseconds(timeout_ms: u32) -> Duration {
    Duration::from_millis(timeout_ms.into())
}

fn broken(what: &str) -> BackendError {
    BackendError::internal(format!("the host broke the contract: {what}"))
}

/// Cuts the link to the host when `create` ends, by an error or a panic, without an instance that will be destroyed.
struct Attached(Option<Host>);

impl Attached {
    fn host(&self) -> Host {
        self.0.clone().unwrap_or_else(Host::detached)
    }

    fn keep(mut self) -> Host {
        self.0.take().unwrap_or_else(Host::detached)
    }
}

impl Drop for Attached {
    fn drop(&mut self) {
        if let Some(host) = &self.0 {
            host.detach();
        }
    }
}
