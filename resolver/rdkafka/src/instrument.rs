//! One line that leads the clients of a configuration to the engine.

use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::sync::atomic::{AtomicPtr, Ordering};

use rdkafka::ClientConfig;
use tracer_resolver::interceptor::{Integration, conf_init};
use tracer_resolver::{Resolver, ResolverError};

use crate::kafka_api::KAFKA_API;
use crate::plugin_stub;

/// Traces the clients that are created from `config`, by the process's own resolver ([`Resolver::global`]).
///
/// Call it once for each configuration, after or before its other settings. The client types stay rdkafka's own, the
/// program needs no link flags, and may be stripped. Takes microseconds; the first call of a process reads the file
/// and loads the plugins.
///
/// # Errors
///
/// Only with `INTERCEPTORS_STRICT=1`, and then [`InstrumentError`] says what is wrong. Otherwise a file that cannot be
/// trusted turns tracing off, one ERROR says so, and `Ok` is returned: tracing never stops a program from starting.
pub fn instrument(config: &mut ClientConfig) -> Result<(), InstrumentError> {
    match Resolver::global() {
        Ok(resolver) => Instrumentation::new(resolver).apply(config),
        Err(error) => Err(InstrumentError::Resolver(error)),
    }
}

/// [`instrument`], with a say in which resolver and which service.
#[derive(Clone, Debug)]
pub struct Instrumentation {
    resolver: Resolver,
    service: Option<String>,
}

/// Why the clients of a configuration will not be traced.
#[derive(Debug)]
#[non_exhaustive]
pub enum InstrumentError {
    /// The resolver refused its configuration, in strict mode.
    Resolver(ResolverError),
    /// The configuration names no service of this name.
    UnknownService {
        /// As it was asked for.
        service: String,
        /// The services that there are.
        known: Vec<String>,
    },
    /// Neither a memory file nor a temporary file could be made and loaded, and the resolver is strict.
    NotLoadable(std::io::Error),
}

impl Instrumentation {
    /// For the clients of `resolver`.
    pub fn new(resolver: &Resolver) -> Self {
        Self { resolver: resolver.clone(), service: None }
    }

    /// Binds the clients to a service, whatever the rules of the file, `exclude` included, say of their topics.
    pub fn service(mut self, name: impl Into<String>) -> Self {
        self.service = Some(name.into());
        self
    }

    /// Traces the clients that are created from `config`. Where that was done before, for another service or resolver, this call
    /// counts.
    ///
    /// # Errors
    ///
    /// [`InstrumentError::UnknownService`] always, since it is a mistake in the program; the others only when the
    /// resolver is strict.
    pub fn apply(&self, config: &mut ClientConfig) -> Result<(), InstrumentError> {
        let service = match &self.service {
            Some(name) if self.resolver.is_on() => Some(self.resolver.service(name).ok_or_else(|| {
                let known = self.resolver.service_names().collect();
                InstrumentError::UnknownService { service: name.clone(), known }
            })?),
            _ => None,
        };
        if !self.resolver.is_on() {
            return Ok(());
        }
        let path = match path(&self.resolver, service) {
            Ok(path) => path,
            Err(error) if self.resolver.is_strict() => return Err(InstrumentError::NotLoadable(error)),
            Err(error) => {
                self.resolver.report_untraced(&format!(
                    "this client is not traced: librdkafka cannot load the tracer: {error}. \
                     Allow executable memory files (sysctl vm.memfd_noexec) or a temporary folder without noexec (TMPDIR)"
                ));
                return Ok(());
            }
        };
        // The last call counts: librdkafka would take the first of ours, and say nothing of the others.
        let paths = config.get(PROPERTY).unwrap_or_default().split(';');
        let others = paths.filter(|other| !other.is_empty() && !bindings().any(|binding| binding.path == *other));
        let paths: Vec<_> = others.chain([&*path]).collect();
        config.set(PROPERTY, paths.join(";"));
        Ok(())
    }
}

impl fmt::Display for InstrumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Resolver(error) => error.fmt(f),
            Self::UnknownService { service, known } => {
                write!(f, "the configuration has no service {service:?} (it has: {})", known.join(", "))
            }
            Self::NotLoadable(error) => write!(f, "librdkafka cannot load the tracer: {error}"),
        }
    }
}

impl std::error::Error for InstrumentError {}

const PROPERTY: &str = "plugin.library.paths";

/// What a stub's number, its address, stands for. Never freed: a client may be created from an old configuration at any
/// time. Grows by one for each resolver and bound service.
struct Binding {
    resolver: Resolver,
    service: Option<usize>,
    path: String,
    next: *const Binding,
}

// SAFETY: `next` is written before the binding is published, and what it points to is never freed.
unsafe impl Sync for Binding {}

/// The latest one. A list without a lock, because a lock that is held while another thread forks stays held in the
/// child for ever.
static BINDINGS: AtomicPtr<Binding> = AtomicPtr::new(std::ptr::null_mut());

fn bindings() -> impl Iterator<Item = &'static Binding> {
    // SAFETY: what the list holds was leaked in `path`.
    let binding = |at: *const Binding| unsafe { at.as_ref() };
    // Acquire: pairs with the release in `path`.
    let latest = binding(BINDINGS.load(Ordering::Acquire));
    std::iter::successors(latest, move |before| binding(before.next))
}

/// The shared object that leads to `resolver` and `service`; made at the first call for the two, or, by threads that
/// are first at the same time, once for each of them.
fn path(resolver: &Resolver, service: Option<usize>) -> std::io::Result<String> {
    if let Some(known) = bindings().find(|known| known.resolver.id() == resolver.id() && known.service == service) {
        return Ok(known.path.clone());
    }
    let binding = Box::into_raw(Box::new(Binding {
        resolver: resolver.clone(),
        service,
        path: String::new(),
        next: std::ptr::null(),
    }));
    let published = plugin_stub::publish(bound_conf_init, binding.expose_provenance() as u64);
    let path = match published {
        Ok(path) => path,
        Err(error) => {
            // SAFETY: made above, and no stub leads to it.
            drop(unsafe { Box::from_raw(binding) });
            return Err(error);
        }
    };
    // SAFETY: ours alone until it is published; from then on it is only read.
    unsafe { (*binding).path = path.clone() };
    let mut latest = BINDINGS.load(Ordering::Acquire);
    loop {
        // SAFETY: as above.
        unsafe { (*binding).next = latest };
        // AcqRel: publishes the binding to the acquire loads, and sees what the latest one points to.
        match BINDINGS.compare_exchange(latest, binding, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => return Ok(path),
            Err(current) => latest = current,
        }
    }
}

/// A client configuration takes the property `plugin.library.paths`, or is a copy of one that did.
///
/// Runs on: the application's thread, inside `rd_kafka_conf_set()` or `rd_kafka_conf_dup()`.
///
/// # Safety
///
/// Called by librdkafka only, through a stub of `plugin_stub`.
unsafe extern "C" fn bound_conf_init(
    conf: *mut c_void,
    _plugin_opaque: *mut *mut c_void,
    _errstr: *mut c_char,
    _errstr_size: usize,
    binding: u64,
) -> c_int {
    // SAFETY: `path` made the stub with the address of a binding, which is never freed once there is a stub.
    let Some(binding) = (unsafe { std::ptr::with_exposed_provenance::<Binding>(binding as usize).as_ref() }) else {
        return 0;
    };
    // SAFETY: `conf` is librdkafka's, and this program has one librdkafka. Contains its own panics.
    unsafe { conf_init(&KAFKA_API, conf.cast(), &binding.resolver, binding.service, Integration::Rust) };
    0
}
