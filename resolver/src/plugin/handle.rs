//! `Handle`: the plugin's own instance, as long as somebody has it; and its end.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tracer_plugin_api::abi::{
    TRACER_ERR_TIMEOUT, TRACER_OK, tracer_call, tracer_create_args, tracer_error, tracer_instance, tracer_str,
};

use super::PluginLibrary;
use super::calls::{MayThrow as _, inside};
use super::forks::undisturbed;
use super::host_side::HostSide;
use super::host_thread::PATIENCE;
use super::reply::{Function, Reply};
use crate::{diagnostics, quiet_thread};

/// The plugin's own instance. Whoever drops the last reference destroys it, if that is allowed.
pub(super) struct Handle {
    raw: NonNull<tracer_instance>,
    library: Arc<PluginLibrary>,
    /// The plugin may use it until it is destroyed; with one that never is it stays.
    host: ManuallyDrop<Arc<HostSide>>,
    /// Set once the contract allows `destroy`: after a shutdown that was no time-out, or when poisoned.
    may_be_destroyed: AtomicBool,
    /// See the method: whoever drops the last reference has it shut down first.
    is_to_be_ended: AtomicBool,
}

// SAFETY: the contract lets successive calls come from different threads.
unsafe impl Send for Handle {}
// SAFETY: `export_batch` and `flush` come only from the export queue, which makes no more calls at once than
// `concurrency()` says; `stats` may be called from any thread at any time.
unsafe impl Sync for Handle {}

impl Handle {
    /// On a thread of the host's.
    pub(super) fn create(
        library: &Arc<PluginLibrary>,
        host: &Arc<HostSide>,
        backend: &str,
        config_json: &str,
        max_concurrency: u32,
    ) -> Result<Self, Reply> {
        library.is_ready().map_err(Reply::internal)?;
        let args = tracer_create_args {
            struct_size: size_of::<tracer_create_args>() as u32,
            max_concurrency,
            host: host.table(),
            backend_name: tracer_str::new(backend),
            config_json: tracer_str::new(config_json),
            timeout_ms: milliseconds(PATIENCE),
            reserved: 0,
        };
        let mut raw = std::ptr::null_mut();
        let mut error = tracer_error::new();
        let create = library.functions().create.may_throw();
        // SAFETY: `args` and all it points to, `raw` and `error` outlive the call; the host's table is the handle's, if there is
        // one.
        let code =
            undisturbed(|| inside(library.type_name(), "create", || unsafe { create(&args, &mut raw, &mut error) }));
        if code != TRACER_OK {
            return Err(Reply::new(Function::Create, code, &error));
        }
        let Some(raw) = NonNull::new(raw) else {
            return Err(Reply::internal("create returned OK, but no instance"));
        };
        Ok(Self {
            raw,
            library: Arc::clone(library),
            host: ManuallyDrop::new(Arc::clone(host)),
            may_be_destroyed: AtomicBool::new(false),
            is_to_be_ended: AtomicBool::new(false),
        })
    }

    /// What its functions are given. Nobody calls them with it but within the contract: while a reference to this is there, and
    /// after it was shut down or has panicked, never.
    pub(super) fn raw(&self) -> *mut tracer_instance {
        self.raw.as_ptr()
    }

    /// The contract allows `destroy`: it was shut down in time, or has panicked.
    pub(super) fn may_be_destroyed(&self) {
        // Relaxed: read by whoever drops the last `Arc`, which synchronizes. As below.
        self.may_be_destroyed.store(true, Ordering::Relaxed);
    }

    /// Another works in its place, or nobody has a use for it any more: it is to be shut down, and then destroyed.
    pub(super) fn is_to_be_ended(&self) {
        self.is_to_be_ended.store(true, Ordering::Relaxed);
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // Relaxed: the drop of the `Arc` synchronizes with the store.
        if self.may_be_destroyed.load(Ordering::Relaxed) {
            let destroy = self.library.functions().destroy.may_throw();
            // SAFETY: the last reference: no call is running and none will come; the contract's condition for it is what
            // `may_be_destroyed` says.
            inside(self.library.type_name(), "destroy", || unsafe { destroy(self.raw.as_ptr()) });
            // SAFETY: once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.host) };
        } else if self.is_to_be_ended.load(Ordering::Relaxed) {
            // SAFETY: once, and not used afterwards.
            let host = ManuallyDrop::new(unsafe { ManuallyDrop::take(&mut self.host) });
            let ending = Ending { raw: self.raw, library: Arc::clone(&self.library), host };
            // On a thread of its own: this one has batches to export. Without a thread it is leaked.
            let _ = quiet_thread::spawn("tr-plugin".to_owned(), move || ending.end());
        }
    }
}

/// An instance that is to be ended, and that nobody calls any more.
struct Ending {
    raw: NonNull<tracer_instance>,
    library: Arc<PluginLibrary>,
    /// As in [`Handle`].
    host: ManuallyDrop<Arc<HostSide>>,
}

// SAFETY: the contract lets successive calls come from different threads; this is its only reference.
unsafe impl Send for Ending {}

impl Ending {
    /// Shuts it down, and destroys it unless threads of it still run.
    fn end(mut self) {
        let (functions, call) = (self.library.functions(), tracer_call::within(milliseconds(PATIENCE)));
        let (shutdown, destroy) = (functions.shutdown.may_throw(), functions.destroy.may_throw());
        let mut error = tracer_error::new();
        // SAFETY: the only reference, so no other call runs; `call` and `error` outlive this one.
        let code =
            inside(self.library.type_name(), "shutdown", || unsafe { shutdown(self.raw.as_ptr(), &call, &mut error) });
        if code != TRACER_OK {
            let message = self.host.redact(&Reply::new(Function::Shutdown, code, &error).message);
            let what = format!(
                "backend `{}`: shutdown of an instance that was replaced failed: {message}",
                self.host.backend()
            );
            diagnostics::say("tracer_resolver::plugin", log::Level::Warn, &what);
        }
        if code != TRACER_ERR_TIMEOUT {
            // SAFETY: shut down, and not used after this.
            inside(self.library.type_name(), "destroy", || unsafe { destroy(self.raw.as_ptr()) });
            // SAFETY: once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.host) };
        }
    }
}

pub(super) fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}
