//! The resolver: what a configuration means, ready to run, and the handle by which a program holds it.

#![forbid(unsafe_code)]

mod backends;
mod destination;
mod drain;
mod global;
mod ledger;
mod measured;
mod measurements;
mod plan;
mod reload;
mod reloading;
mod resource;
mod rules;
mod shared;
mod shedder;
mod starts;
mod tell;
mod trial;
mod watch;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use drain::Drained;
pub(crate) use drain::drain;
pub(crate) use plan::check_with as check_backends;
pub use reloading::Reloaded;
pub(crate) use rules::{Rules, batches_are_wanted, epoch};
pub(crate) use shared::Shared;
pub use trial::{BackendTrial, TrialOutcome, TrialSpan};

use self::reloading::Reloading;
use self::starts::Waits;
use self::tell::tell;
use crate::plugin::PATIENCE;

use crate::batch::Pipeline;
use crate::config::{self, Report, Source, Variables};
use crate::error::ResolverError;
use crate::status::{About, Moment, Stats, StatusFile, document};
use crate::{diagnostics, ends};

/// What one configuration means: services, their tracers, their backends.
///
/// Cheap to clone; all clones are one resolver. Clients hold it too, so it lives as long as they do. Share it between
/// threads as you like.
#[derive(Clone)]
pub struct Resolver {
    /// `None`: tracing is off.
    shared: Option<Arc<Shared>>,
    report: Arc<Report>,
    strict: bool,
    id: u64,
}

impl Resolver {
    /// One that traces nothing.
    fn off() -> Self {
        Self { shared: None, report: Arc::new(Report::new(String::new(), String::new())), strict: false, id: 0 }
    }

    /// A resolver for this file, strict or not as `INTERCEPTORS_STRICT` says.
    ///
    /// # Errors
    ///
    /// As [`Resolver::load`].
    pub fn from_file(path: impl Into<PathBuf>) -> Result<Self, ResolverError> {
        Self::load(Source::File(path.into()))
    }

    /// A resolver for `source`.
    ///
    /// # Errors
    ///
    /// With `INTERCEPTORS_STRICT=1`, when the configuration or a plugin has an error: [`ResolverError`] has them all.
    /// Otherwise never: what cannot be trusted is off, and one ERROR in the log says so.
    ///
    /// Waits for the plugins, ten seconds at most: the report says what is wrong with them. A backend whose plugin has not
    /// come back by then goes on starting by itself, and its spans wait, unless errors refuse.
    pub fn load(source: Source) -> Result<Self, ResolverError> {
        Self::load_with(source, Waits::For(PATIENCE))
    }

    /// As [`Resolver::load`]; where errors refuse, the plugins are waited for whatever `waits` says.
    fn load_with(source: Source, waits: Waits) -> Result<Self, ResolverError> {
        Pipeline::watch_forks();
        let strict = config::strict(&Variables::process());
        let waits = if strict { Waits::ForAll(PATIENCE) } else { waits };
        let (reloading, before) = Reloading::new(source.clone(), strict);
        let loaded = config::load(source);
        let mut report = loaded.report;
        reloading.has_read(before, &report);
        let made = loaded.config.map(|config| Shared::new(config, strict, waits, reloading, &mut report));
        let (shared, starts) = made.unzip();
        match loaded.untrusted {
            Some(untrusted) if waits == Waits::No => plan::check_later(untrusted, &report),
            Some(untrusted) => plan::check(&untrusted, strict, &mut report),
            None => {}
        }
        let status_file = StatusFile::asked_for(&Variables::process());
        if strict && report.has_errors() {
            say_off(status_file, Arc::new(report.clone()));
            return Err(ResolverError::new(report));
        }
        tell(&report, shared.is_some());
        let report = Arc::new(report);
        match &shared {
            Some(shared) => {
                shared.is_made_of(Arc::clone(&report));
                shared.writes_status(status_file);
            }
            None => say_off(status_file, Arc::clone(&report)),
        }
        if let Some(shared) = &shared {
            shared.ensure_running();
            ends::watch();
        }
        if let Some((shared, starts)) = shared.as_ref().zip(starts) {
            let shared = Arc::downgrade(shared);
            starts.tell(move |problems, are_all| {
                if let Some(shared) = shared.upgrade() {
                    shared.have_answered(problems, are_all);
                }
            });
        }
        Ok(Self { id: shared.as_ref().map_or(0, |shared| shared.id()), shared, report, strict })
    }

    /// Whether anything is traced.
    pub fn is_on(&self) -> bool {
        self.shared.is_some()
    }

    /// Whether errors refuse (`INTERCEPTORS_STRICT=1`) instead of turning off what they concern.
    pub fn is_strict(&self) -> bool {
        self.strict
    }

    /// A number that no other resolver of this process has; 0 for one that is off.
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Every problem of the configuration and its plugins, as they were at the start.
    pub fn report(&self) -> &Report {
        &self.report
    }

    /// The names of the services that there are now, in file order.
    pub fn service_names(&self) -> impl Iterator<Item = String> {
        let rules = self.shared.as_ref().map(|shared| shared.rules());
        let names = rules.map(|rules| rules.config().services.iter().map(|service| service.name.clone()).collect());
        names.into_iter().flat_map(|names: Vec<_>| names)
    }

    /// The number by which a client can be bound to a service in code. It stays the service's whatever a reload brings; a
    /// client of a service that a reload has taken out is not traced until it is back.
    pub fn service(&self, name: &str) -> Option<usize> {
        self.shared.as_ref()?.service(name)
    }

    /// Says in the log, once for each text, that a client of this resolver is not traced.
    pub fn report_untraced(&self, why: &str) {
        diagnostics::error(why);
    }

    /// Sends everything that is finished, and waits until the backends have it.
    ///
    /// `false` when `timeout` ends first, or a backend could not flush; nothing is lost by that, the spans stay on
    /// their way. Spans that have not ended stay open. Not to be called from a Kafka callback.
    pub fn flush(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        self.shared.as_ref().is_none_or(|shared| shared.flush(deadline))
    }

    /// [`Resolver::flush`], and then the end of the backends: what is traced after that is counted as dropped.
    ///
    /// `false` when not everything ended within `timeout`. The second call does nothing.
    pub fn shutdown(&self, timeout: Duration) -> bool {
        let deadline = Instant::now() + timeout;
        let Some(shared) = &self.shared else { return true };
        shared.end();
        let sealed = Pipeline::current().seal_all(Some(self.id), deadline);
        shared.end_metrics();
        let ended = shared.backends().shutdown(deadline);
        shared.tell_sum(Moment::Seen);
        Pipeline::current()
            .retire_backend_sets(shared.rules().backend_sets().iter().map(|backend_set| backend_set.index()));
        ended && sealed
    }

    /// What was counted so far: spans by service, and where they went by backend.
    ///
    /// Every span that had ended is among them, the latest as `waiting`; to know what becomes of those too, call
    /// [`Resolver::flush`] first. A consumed message's span ends when no guard can be opened for it any more, two
    /// seconds after the delivery. Waits for the batch thread, a second at most: not to be called from a Kafka callback.
    pub fn stats(&self) -> Stats {
        let Some(shared) = &self.shared else { return Stats::default() };
        if Pipeline::is_running() {
            // What is counted is what is in batches. Nobody's deliveries are to leave for that.
            Pipeline::current().seal_all(Some(NOBODY), Instant::now() + COUNTING);
        }
        shared.stats()
    }

    /// How it is, as one JSON text: what the file that `INTERCEPTORS_STATUS` names holds, as `docs/status.md` describes it.
    ///
    /// Waits for nothing but the moments in which its parts change: not to be called from a Kafka callback.
    pub fn status(&self) -> String {
        match &self.shared {
            Some(shared) => shared.status(false),
            None => off_status(&self.report),
        }
    }

    /// What clients hold.
    pub(crate) fn shared(&self) -> Option<Arc<Shared>> {
        self.shared.clone()
    }
}

/// Nobody will say later how a process is whose tracing is off.
fn say_off(file: Option<StatusFile>, report: Arc<Report>) {
    if let Some(file) = file {
        file.write(|| off_status(&report));
    }
}

fn off_status(report: &Arc<Report>) -> String {
    document(Some(&About::new(Arc::clone(report), None)), &Stats::default(), false)
}

/// The number of a resolver that is off, which has no deliveries.
const NOBODY: u64 = 0;
/// How long [`Resolver::stats`] waits for what is on its way into batches.
const COUNTING: Duration = Duration::from_secs(1);

impl fmt::Debug for Resolver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolver").field("source", &self.report.name).field("on", &self.is_on()).finish_non_exhaustive()
    }
}
