//! The way back from a backend to the host.

use std::ffi::c_void;
use std::fmt;
use std::ptr::NonNull;
use std::sync::{Arc, PoisonError, RwLock};

use crate::abi::{self, tracer_host, tracer_str};
use crate::foreign::read_field;

/// The application that loaded the plugin, as far as the plugin may see it.
///
/// Clone it, keep it, use it from any thread. Once the instance is gone its clones do nothing: a thread that outlives
/// its backend cannot reach a host that is no longer there.
#[derive(Clone)]
pub struct Host {
    link: Arc<RwLock<Option<HostPointer>>>,
}

/// How much a log line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum LogLevel {
    /// Needs a person.
    Error,
    /// May need one.
    Warn,
    /// Happens once in a while.
    Info,
    /// For finding a fault.
    Debug,
    /// For finding it at any price.
    Trace,
}

impl Host {
    /// A host that is not there: logs nowhere. For unit tests of a backend.
    pub fn detached() -> Self {
        Self { link: Arc::new(RwLock::new(None)) }
    }

    /// Writes one line to the application's log; `target` names the part of the plugin that speaks, `zipkin::http`.
    ///
    /// Never blocks: the host drops lines when it must. No secrets.
    pub fn log(&self, level: LogLevel, target: &str, message: &str) {
        // Held during the call, so that `detach` cannot return while the host is being used.
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = *link else { return };
        // SAFETY: `attached` was promised a live host until `detach`, which the read lock holds back.
        let (log, ctx) =
            unsafe { (read_field!(host.0.as_ptr(), tracer_host, log), read_field!(host.0.as_ptr(), tracer_host, ctx)) };
        let (Some(Some(log)), Some(ctx)) = (log, ctx) else { return };
        // SAFETY: the host's own function and context; both texts outlive the call.
        unsafe { log(ctx, level.code(), tracer_str::new(target), tracer_str::new(message)) };
    }

    /// Whether a line of this level would be written at the moment: ask before a costly one is put into words. A host that
    /// cannot say so is taken to write all. Never blocks.
    pub fn is_logged(&self, level: LogLevel) -> bool {
        // SAFETY: the host's own function and context; nothing is lent.
        self.ask(|host, ctx| unsafe { Some(read_field!(host, tracer_host, is_logged)??(ctx, level.code()) != 0) }, true)
    }

    /// Whether this thread is an export thread of the host's, of whichever backend. Code that may be reached from
    /// elsewhere asks before it blocks. False where the host cannot say so. Never blocks.
    pub fn is_export_thread(&self) -> bool {
        // SAFETY: as above.
        self.ask(|host, ctx| unsafe { Some(read_field!(host, tracer_host, is_export_thread)??(ctx) != 0) }, false)
    }

    /// An extension of the host, if it has one of this id. It lives until the backend is dropped.
    pub fn extension(&self, id: &str) -> Option<Extension> {
        let found = |host, ctx| {
            // SAFETY: the host's own function and context; `id` outlives the call.
            unsafe { Some(read_field!(host, tracer_host, get_extension)??(ctx, tracer_str::new(id))) }
        };
        Extension::from_raw(self.ask(found, std::ptr::null()))
    }

    /// What `question` finds at the host; `otherwise` if there is none, or if it is too old to know.
    fn ask<T>(&self, question: impl FnOnce(*const tracer_host, *mut c_void) -> Option<T>, otherwise: T) -> T {
        // Held during the call, as in `log`.
        let link = self.link.read().unwrap_or_else(PoisonError::into_inner);
        let Some(host) = *link else { return otherwise };
        let host = host.0.as_ptr();
        // SAFETY: `attached` was promised a live host until `detach`, which the read lock holds back.
        let ctx = unsafe { read_field!(host, tracer_host, ctx) };
        ctx.and_then(|ctx| question(host, ctx)).unwrap_or(otherwise)
    }

    /// A link to `host`; null is a detached one.
    ///
    /// # Safety
    ///
    /// `host` is null or points to a `tracer_host` that lives until [`detach`](Self::detach) has returned.
    pub(crate) unsafe fn attached(host: *const tracer_host) -> Self {
        Self { link: Arc::new(RwLock::new(NonNull::new(host.cast_mut()).map(HostPointer))) }
    }

    /// Cuts the link for this and all clones, after waiting for those that are using it.
    pub(crate) fn detach(&self) {
        *self.link.write().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// A struct of functions that one side offers and the other may use, beyond what the contract itself has. Its id names
/// the struct and its version: `com.example.flusher/1`.
///
/// Offered by [`Backend::extension`](crate::Backend::extension), or found by [`Host::extension`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extension(NonNull<c_void>);

// SAFETY: a bare address; whoever follows it is unsafe code that vouches for its own.
unsafe impl Send for Extension {}
// SAFETY: as above.
unsafe impl Sync for Extension {}

impl Extension {
    /// One that is offered: any thread of the other side may use it, for ever. `T` is `#[repr(C)]`, and begins with its
    /// size so that it can grow.
    pub const fn of<T: Sync>(table: &'static T) -> Self {
        // SAFETY: a reference is not null.
        Self(unsafe { NonNull::new_unchecked(std::ptr::from_ref(table).cast_mut().cast()) })
    }

    /// One that was found: where the struct lies. What it is, its id says.
    pub const fn as_ptr(self) -> *const c_void {
        self.0.as_ptr().cast_const()
    }

    fn from_raw(found: *const c_void) -> Option<Self> {
        NonNull::new(found.cast_mut()).map(Self)
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let attached = self.link.read().unwrap_or_else(PoisonError::into_inner).is_some();
        f.debug_struct("Host").field("attached", &attached).finish()
    }
}

impl LogLevel {
    fn code(self) -> u32 {
        match self {
            Self::Error => abi::TRACER_LOG_ERROR,
            Self::Warn => abi::TRACER_LOG_WARN,
            Self::Info => abi::TRACER_LOG_INFO,
            Self::Debug => abi::TRACER_LOG_DEBUG,
            Self::Trace => abi::TRACER_LOG_TRACE,
        }
    }
}

#[derive(Clone, Copy)]
struct HostPointer(NonNull<tracer_host>);

// SAFETY: the header lets any thread call the functions behind it, and nothing behind it is written.
unsafe impl Send for HostPointer {}
// SAFETY: as above.
unsafe impl Sync for HostPointer {}
