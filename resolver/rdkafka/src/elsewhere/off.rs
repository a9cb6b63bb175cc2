//! A resolver that is off, and the one warning that says so.

use std::fmt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::config::{Report, Source};
use super::measurement::Measurement;
use super::stats::{Reloaded, Stats};

/// A resolver that traces nothing.
#[derive(Clone, Debug)]
pub struct Resolver(());

/// Why a resolver was refused, which none is here.
#[derive(Clone, Debug)]
pub struct ResolverError(Report);

/// The configuration names no such service, which is not looked for here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownService {
    /// As it was asked for.
    pub service: String,
    /// The services that there are.
    pub known: Vec<String>,
}

/// How long a process that ends may wait for its spans, where it has any.
pub const EXIT_DEADLINE: Duration = Duration::from_secs(5);

impl Resolver {
    /// The resolver of this process; the first call of all warns that it is off.
    ///
    /// # Errors
    ///
    /// None, strict or not: the program is to run.
    pub fn global() -> Result<&'static Self, ResolverError> {
        static OFF: Resolver = Resolver(());
        warn();
        Ok(&OFF)
    }

    /// The same; the file is not read.
    ///
    /// # Errors
    ///
    /// None.
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ResolverError> {
        Self::load(Source::File(path.into()))
    }

    /// The same; nothing is read.
    ///
    /// # Errors
    ///
    /// None.
    pub fn load(_source: Source) -> Result<Self, ResolverError> {
        warn();
        Ok(Self(()))
    }

    /// Never.
    pub fn is_on(&self) -> bool {
        false
    }

    /// Never: a program that must be traced is not stopped where it cannot be.
    pub fn is_strict(&self) -> bool {
        false
    }

    /// 0, as that of any resolver that is off.
    pub fn id(&self) -> u64 {
        0
    }

    /// Nothing was found, for nothing was read.
    pub fn report(&self) -> &Report {
        static NOTHING: std::sync::LazyLock<Report> = std::sync::LazyLock::new(Report::default);
        &NOTHING
    }

    /// None.
    pub fn service_names(&self) -> impl Iterator<Item = String> {
        std::iter::empty()
    }

    /// None.
    pub fn service(&self, _name: &str) -> Option<usize> {
        None
    }

    /// Says nothing more than was said already.
    pub fn report_untraced(&self, _why: &str) {}

    /// The same.
    ///
    /// # Errors
    ///
    /// None.
    pub fn reload_global() -> Result<Reloaded, ResolverError> {
        Ok(Reloaded::Off)
    }

    /// Nothing is in effect that could change.
    ///
    /// # Errors
    ///
    /// None.
    pub fn reload(&self) -> Result<Reloaded, ResolverError> {
        Ok(Reloaded::Off)
    }

    /// `true`: nothing waits.
    pub fn flush(&self, _timeout: Duration) -> bool {
        true
    }

    /// `true`: nothing waits.
    pub fn shutdown(&self, _timeout: Duration) -> bool {
        true
    }

    /// Nothing was counted.
    pub fn stats(&self) -> Stats {
        Stats::default()
    }

    /// A JSON text that says that nothing is traced.
    pub fn status(&self) -> String {
        "{\"interceptors_status\":1,\"tracing\":false}\n".to_owned()
    }

    /// Nothing was measured.
    pub fn measurements(&self) -> Vec<Measurement> {
        Vec::new()
    }

    /// Does nothing: there are no metrics.
    #[cfg(feature = "application-metrics")]
    pub fn export_metrics_to(&self, _provider: &dyn opentelemetry::metrics::MeterProvider) {}

    /// A provider that records nothing.
    ///
    /// # Errors
    ///
    /// None.
    pub fn tracer_provider(&self, _service: &str) -> Result<SdkTracerProvider, UnknownService> {
        Ok(SdkTracerProvider::builder().with_sampler(Sampler::AlwaysOff).build())
    }
}

impl ResolverError {
    /// Its problems.
    pub fn report(&self) -> &Report {
        &self.0
    }
}

impl fmt::Display for ResolverError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the resolver was refused")
    }
}

impl std::error::Error for ResolverError {}

impl fmt::Display for UnknownService {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the configuration has no service {:?} (it has: {})", self.service, self.known.join(", "))
    }
}

impl std::error::Error for UnknownService {}

/// Once in a process; to stderr where the program has no logger, as the engine does. Not by a `Once`: the application's logger may
/// have a client of its own, and come back here.
fn warn() {
    static SAID: AtomicBool = AtomicBool::new(false);
    if SAID.swap(true, Ordering::Relaxed) {
        return;
    }
    if log::max_level() == log::LevelFilter::Off {
        use std::io::Write as _;
        // A closed stderr leaves nobody to tell.
        let _ = writeln!(std::io::stderr(), "tracer-resolver: WARN: {WARNING}");
    }
    log::warn!(target: "tracer_resolver", "{WARNING}");
}

const WARNING: &str = "Kafka clients are not traced on this platform: that takes Linux with glibc on x86_64 or aarch64. The program \
    runs as without tracing";
