//! One line that leads the clients of a configuration to the engine.

use std::collections::HashMap;
use std::ffi::{c_char, c_int, c_void};
use std::fmt;
use std::sync::{Mutex, PoisonError};

use rdkafka::ClientConfig;
use tracer_resolver::interceptor::{Door, conf_init};
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

    /// Traces the clients that are created from `config`.
    ///
    /// # Errors
    ///
    /// [`InstrumentError::UnknownService`] always, since it is a mistake in the program; the others only when the
    /// resolver is strict.
    pub fn apply(&self, config: &mut ClientConfig) -> Result<(), InstrumentError> {
        let service = match &self.service {
            Some(name) if self.resolver.is_on() => Some(self.resolver.service(name).ok_or_else(|| {
                let known = self.resolver.service_names().map(str::to_owned).collect();
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
                    "this client is not traced: librdkafka cannot be given a way in: {error}. \
                     Allow executable memory files (sysctl vm.memfd_noexec) or a temporary folder without noexec (TMPDIR)"
                ));
                return Ok(());
            }
        };
        let paths = match config.get(PROPERTY) {
            Some(others) if others.split(';').any(|other| other == path) => others.to_owned(),
            Some(others) if !others.is_empty() => format!("{others};{path}"),
            _ => path,
        };
        config.set(PROPERTY, paths);
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
            Self::NotLoadable(error) => write!(f, "librdkafka cannot be given a way in: {error}"),
        }
    }
}

impl std::error::Error for InstrumentError {}

const PROPERTY: &str = "plugin.library.paths";

/// What a stub's number stands for. Grows by one for each resolver and bound service, never shrinks: a client may be
/// created from an old configuration at any time.
struct Bindings {
    all: Vec<(Resolver, Option<usize>)>,
    paths: HashMap<(u64, Option<usize>), String>,
}

static BINDINGS: Mutex<Option<Bindings>> = Mutex::new(None);

/// The shared object that leads to `resolver` and `service`; made at the first call for the two.
fn path(resolver: &Resolver, service: Option<usize>) -> std::io::Result<String> {
    let mut bindings = BINDINGS.lock().unwrap_or_else(PoisonError::into_inner);
    let bindings = bindings.get_or_insert_with(|| Bindings { all: Vec::new(), paths: HashMap::new() });
    let key = (resolver.id(), service);
    if let Some(path) = bindings.paths.get(&key) {
        return Ok(path.clone());
    }
    let path = plugin_stub::publish(bound_conf_init, bindings.all.len() as u64)?;
    bindings.all.push((resolver.clone(), service));
    bindings.paths.insert(key, path.clone());
    Ok(path)
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
    // `conf_init` contains its own panics, and the lock cannot be poisoned for long: see `PoisonError::into_inner`.
    let found = {
        let bindings = BINDINGS.lock().unwrap_or_else(PoisonError::into_inner);
        bindings.as_ref().and_then(|bindings| bindings.all.get(binding as usize).cloned())
    };
    if let Some((resolver, service)) = found {
        // SAFETY: `conf` is librdkafka's, and this program has one librdkafka.
        unsafe { conf_init(&KAFKA_API, conf.cast(), &resolver, service, Door::Rust) };
    }
    0
}
