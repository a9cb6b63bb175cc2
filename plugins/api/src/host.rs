//! The way back from a backend to the host.

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
