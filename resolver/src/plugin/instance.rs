//! `Instance`: one backend at work, called safely.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracer_plugin_api::abi::{
    TRACER_BATCH_LAST_TRY, TRACER_BATCH_SHUTTING_DOWN, TRACER_ERR_CREDENTIALS, TRACER_ERR_PANIC, TRACER_ERR_PARTIAL,
    TRACER_ERR_RETRYABLE, TRACER_ERR_TIMEOUT, TRACER_OK, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, tracer_batch,
    tracer_call, tracer_error, tracer_stats, tracer_str,
};

use super::calls::{MayThrow as _, exporting, inside};
use super::credentials::{Credentials, Look};
use super::handle::{Handle, milliseconds};
use super::host_side::HostSide;
use super::host_thread::PATIENCE;
use super::reply::{Function, Reply};
use super::secrets::Secrets;
use super::set_up_code;
use super::{Complaint, PluginLibrary};
use crate::config;
use crate::counted::counted;
use crate::diagnostics;
use crate::export::{Exporter, FinishedBatch, Outcome, PluginCounts, Signal, Try, Watch};

/// When a plugin whose instance panicked gets a new one: after each of these pauses, and then never again, unless deaths lie
/// so far back that they do not count any more.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rebirth {
    /// One pause per new instance.
    pub(crate) pauses: [Duration; 3],
    /// How long a death counts.
    pub(crate) forgotten_after: Duration,
}

impl Default for Rebirth {
    fn default() -> Self {
        Self {
            pauses: [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)],
            forgotten_after: Duration::from_secs(600),
        }
    }
}

/// One backend's instance of a plugin, and its successors if it panics.
///
/// Dropping it without [`Exporter::shutdown`] leaks the plugin's instance: nobody then knows whether its threads still
/// run, and a leak is better than a use after free.
pub(crate) struct Instance {
    library: Arc<PluginLibrary>,
    host: Arc<HostSide>,
    backend: String,
    max_concurrency: u32,
    rebirth: Rebirth,
    life: Mutex<Life>,
    /// Where the settings may have others by now; `None`: nothing of them is in a file. Held while files are read and a plugin
    /// starts with what they say, which may take long: whoever wants `life` meanwhile gets it.
    credentials: Option<Mutex<Credentials>>,
    counted: Mutex<Counted>,
}

/// What its plugin has counted.
#[derive(Default)]
struct Counted {
    /// By instances that are gone.
    before: PluginCounts,
    /// By this one, when it was asked last; `None` before the plugin has counted for the first time.
    latest: Option<PluginCounts>,
}

struct Life {
    stage: Stage,
    /// Settings, for successors. May hold secrets.
    config_json: String,
    /// Panics, and failures to make a successor, that still count.
    deaths: Vec<Instant>,
}

enum Stage {
    Working(Arc<Handle>),
    /// Panicked; a successor may be made at this time.
    Dead {
        again_at: Instant,
    },
    /// A thread is making a successor.
    Reviving,
    OutOfService,
    ShutDown,
}

impl Instance {
    /// Makes a backend's instance. `settings` passed [`PluginLibrary::check`].
    ///
    /// On a thread of the host's: runs code of the plugin, and nobody knows how long it takes. Errors are the plugin's, with
    /// secrets blotted out.
    pub(crate) fn create(
        library: Arc<PluginLibrary>,
        backend: &config::Backend,
        settings: &Value,
        rebirth: Rebirth,
    ) -> Result<Self, Complaint> {
        let wished = if library.exports_concurrently() { backend.concurrency.max(1) } else { 1 };
        let host = HostSide::new(&backend.name, library.type_name(), Secrets::marked(library.schema(), settings));
        let max_concurrency = u32::try_from(wished).unwrap_or(u32::MAX);
        let config_json = settings.to_string();
        let handle = Handle::create(&library, &host, &backend.name, &config_json, max_concurrency);
        host.drain_log();
        let handle = handle.map_err(|reply| {
            let message = host.redact(&reply.message);
            let pointer = if settings.pointer(&reply.field).is_some() { reply.field } else { String::new() };
            Complaint::of_value(pointer, message)
        })?;
        Ok(Self {
            library,
            host,
            backend: backend.name.clone(),
            max_concurrency,
            rebirth,
            life: Mutex::new(Life { stage: Stage::Working(Arc::new(handle)), config_json, deaths: Vec::new() }),
            credentials: Credentials::of(backend).map(Mutex::new),
            counted: Mutex::default(),
        })
    }

    /// Asks the plugin for its own counters, without a lock of ours: it may not come back, though the contract says it does.
    fn ask_stats(&self) -> Option<tracer_stats> {
        let handle = self.working()?;
        let mut stats = tracer_stats::new();
        let ask = self.library.functions().stats.may_throw();
        // SAFETY: the instance is alive as long as `handle`; `stats` outlives the call; nothing is called after `shutdown`.
        let code = inside(self.library.type_name(), "stats", || unsafe { ask(handle.raw(), &mut stats) });
        let reply = Reply::new(Function::Stats, code, &tracer_error::new());
        if reply.code == TRACER_ERR_PANIC {
            let _ = self.poisoned(&handle, reply.message);
            return None;
        }
        (reply.code == TRACER_OK).then_some(stats)
    }

    /// The instance, if there is one.
    fn working(&self) -> Option<Arc<Handle>> {
        match &self.life().stage {
            Stage::Working(handle) => Some(Arc::clone(handle)),
            Stage::Dead { .. } | Stage::Reviving | Stage::OutOfService | Stage::ShutDown => None,
        }
    }

    /// The instance to call, a successor if it is time for one, or what to tell the queue.
    ///
    /// `cookie` is what the batch brought along: it is kept for the next try.
    fn handle(&self, cookie: u64, watch: Watch<'_>) -> Result<Arc<Handle>, Outcome> {
        // Nothing comes of this try; what came of those before is known.
        let may_be_stored = false;
        let mut life = self.life();
        match &life.stage {
            Stage::Working(handle) => return Ok(Arc::clone(handle)),
            Stage::OutOfService => return Err(Outcome::OutOfService { message: self.epitaph(life.deaths.len()) }),
            Stage::ShutDown => return Err(Outcome::Rejected { message: "the backend is shut down".to_owned() }),
            Stage::Dead { again_at } => {
                let pause = again_at.saturating_duration_since(Instant::now());
                if !pause.is_zero() {
                    let message = format!("the plugin panicked; it is started anew in {pause:.1?}");
                    return Err(Outcome::Retry { after: Some(pause), cookie, may_be_stored, message });
                }
            }
            Stage::Reviving => {
                let message = "the plugin panicked; it is being started anew".to_owned();
                return Err(Outcome::Retry { after: None, cookie, may_be_stored, message });
            }
        }
        life.stage = Stage::Reviving;
        let config_json = life.config_json.clone();
        // Whoever asks how it is does not wait for a create.
        drop(life);
        watch("create", PATIENCE);
        let created = Handle::create(&self.library, &self.host, &self.backend, &config_json, self.max_concurrency);
        let mut life = self.life();
        if !matches!(life.stage, Stage::Reviving) {
            if let Ok(late) = &created {
                late.is_to_be_ended();
            }
            return Err(Outcome::Rejected { message: "the backend is shut down".to_owned() });
        }
        match created {
            Ok(handle) => {
                log::info!(target: LOG_TARGET, "backend `{}`: its plugin was started anew", self.backend);
                let handle = Arc::new(handle);
                life.stage = Stage::Working(Arc::clone(&handle));
                Ok(handle)
            }
            Err(reply) => {
                let message = format!("the plugin could not be started anew: {}", self.host.redact(&reply.message));
                Err(self.died(&mut life).unwrap_or(Outcome::Retry { after: None, cookie, may_be_stored, message }))
            }
        }
    }

    /// A panic: this instance is not called any more. Concurrent calls that are still in it keep it from being
    /// destroyed until they return.
    fn poisoned(&self, handle: &Arc<Handle>, message: String) -> Outcome {
        handle.may_be_destroyed();
        let mut life = self.life();
        // Ten calls that find the same instance poisoned are one death.
        let out_of_service = if life.is_of(handle) { self.died(&mut life) } else { None };
        out_of_service.unwrap_or(Outcome::Rejected { message: format!("the plugin panicked: {message}") })
    }

    /// Counts a death. Returns the outcome for the queue if it was one too many.
    fn died(&self, life: &mut Life) -> Option<Outcome> {
        let now = Instant::now();
        life.deaths.retain(|death| now.saturating_duration_since(*death) < self.rebirth.forgotten_after);
        let pause = self.rebirth.pauses.get(life.deaths.len()).copied();
        life.deaths.push(now);
        match pause {
            Some(pause) => {
                life.stage = Stage::Dead { again_at: now + pause };
                None
            }
            None => {
                life.stage = Stage::OutOfService;
                Some(Outcome::OutOfService { message: self.epitaph(life.deaths.len()) })
            }
        }
    }

    fn epitaph(&self, deaths: usize) -> String {
        format!("its plugin `{}` broke {}", self.library.type_name(), counted(deaths as u64, "time"))
    }

    fn counts(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self, handle: &Arc<Handle>, items: u32, reply: Reply, watch: Watch<'_>) -> Outcome {
        let message = self.host.redact(&reply.message);
        let (after, cookie) = (reply.retry_after, reply.retry_cookie);
        // A cookie is what a batch has that was taken in part.
        let may_be_stored = reply.code == TRACER_ERR_TIMEOUT || cookie != 0;
        match reply.code {
            TRACER_OK => Outcome::Exported,
            TRACER_ERR_PARTIAL => partial(reply.rejected_items, items, message),
            TRACER_ERR_RETRYABLE | TRACER_ERR_TIMEOUT => Outcome::Retry { after, cookie, may_be_stored, message },
            TRACER_ERR_CREDENTIALS => {
                let Renewal { after: at_least, what } = self.renew(handle, watch);
                let message = format!("{message} ({what})");
                Outcome::Retry { after: after.max(at_least), cookie, may_be_stored, message }
            }
            TRACER_ERR_PANIC => self.poisoned(handle, message),
            _ => Outcome::Rejected { message },
        }
    }

    /// The backend refuses the credentials: reads those from files anew, and makes the instance anew if they have changed.
    /// Says what came of it, for whoever reads why the batch waits.
    fn renew(&self, handle: &Arc<Handle>, watch: Watch<'_>) -> Renewal {
        let waits = |what: &str| Renewal { after: None, what: what.to_owned() };
        let Some(credentials) = &self.credentials else {
            return waits(
                "none of its settings is from a file: `${file:}` references are read anew when they are refused",
            );
        };
        // Ten calls that are refused together get one new instance, and nine of them do not wait for it.
        let mut files = match credentials.try_lock() {
            Ok(files) => files,
            Err(TryLockError::Poisoned(files)) => files.into_inner(),
            Err(TryLockError::WouldBlock) => return waits("its plugin is being started anew at the moment"),
        };
        if !self.life().is_of(handle) {
            return waits("it has a new instance by now");
        }
        watch("validate", PATIENCE);
        let (settings, secrets) = match files.look(&self.library, Instant::now()) {
            Look::Unchanged => return waits("what its `${file:}` references name has not changed"),
            Look::TooSoon(pause) => {
                return Renewal { after: Some(pause), what: "what the file says was tried only just now".to_owned() };
            }
            Look::Unfit(why) => {
                return waits(&format!(
                    "its `${{file:}}` references were read anew, in vain: {}",
                    self.host.redact(&why)
                ));
            }
            Look::Renewed(settings, secrets) => (settings, secrets),
        };
        self.host.has_secrets(secrets);
        let config_json = settings.to_string();
        watch("create", PATIENCE);
        let created = Handle::create(&self.library, &self.host, &self.backend, &config_json, self.max_concurrency);
        let successor = match created {
            Ok(successor) => Arc::new(successor),
            Err(reply) => {
                let why = self.host.redact(&reply.message);
                return waits(&format!("what the file says now makes no instance: {why}"));
            }
        };
        files.are_used();
        let mut life = self.life();
        // Also for who is started anew because its predecessor panicked meanwhile.
        life.config_json = config_json;
        if !life.is_of(handle) {
            drop(life);
            successor.is_to_be_ended();
            return waits("it was ended meanwhile");
        }
        life.stage = Stage::Working(successor);
        drop(life);
        handle.is_to_be_ended();
        let what = format!(
            "backend `{}`: its credentials were refused, and have changed in their file: its plugin was started anew with \
             them",
            self.backend
        );
        diagnostics::say(LOG_TARGET, log::Level::Info, &what);
        waits("its plugin was started anew with what the file says now")
    }
}

impl Life {
    /// Whether this is the instance that works.
    fn is_of(&self, handle: &Arc<Handle>) -> bool {
        matches!(&self.stage, Stage::Working(current) if Arc::ptr_eq(current, handle))
    }
}

/// What became of refused credentials.
struct Renewal {
    /// The next try is not before this has passed.
    after: Option<Duration>,
    what: String,
}

/// A plugin, or a server behind it, may count more refused items than there were.
fn partial(rejected: u32, items: u32, message: String) -> Outcome {
    if rejected <= items {
        return Outcome::Partial { rejected_items: rejected, message };
    }
    let message = format!("{message} (all {items} items of the batch are taken as refused: {rejected} were counted)");
    Outcome::Partial { rejected_items: items, message }
}

impl Exporter for Instance {
    fn concurrency(&self) -> usize {
        self.max_concurrency as usize
    }

    fn export(&self, batch: &FinishedBatch, this_try: &Try, timeout: Duration, watch: Watch<'_>) -> Outcome {
        if !self.library.accepts(batch.signal) {
            return Outcome::Rejected { message: format!("its plugin takes no {}", batch.signal.name()) };
        }
        let handle = match self.handle(this_try.cookie, watch) {
            Ok(handle) => handle,
            Err(outcome) => return outcome,
        };
        watch("export_batch", timeout);
        let names: Vec<_> = batch.facts.services.iter().map(|name| tracer_str::new(name)).collect();
        let borrowed = lent(batch, this_try, &names);
        let mut error = tracer_error::new();
        let (export_batch, timeout) = (self.library.functions().export_batch.may_throw(), milliseconds(timeout).max(1));
        // SAFETY: the instance is alive as long as `handle`; `borrowed`, all it points to and `error` outlive the call; the
        // queue keeps to `concurrency()`, and calls nothing after `shutdown`.
        let code = exporting(self.library.type_name(), "export_batch", || unsafe {
            export_batch(handle.raw(), &borrowed, timeout, &mut error)
        });
        self.outcome(&handle, batch.item_count, Reply::new(Function::ExportBatch, code, &error), watch)
    }

    fn flush(&self, timeout: Duration, watch: Watch<'_>) -> bool {
        let Some(handle) = self.working() else { return true };
        let mut error = tracer_error::new();
        let call = tracer_call::within(milliseconds(timeout));
        let flush = self.library.functions().flush.may_throw();
        // SAFETY: as in `export`.
        let code = exporting(self.library.type_name(), "flush", || unsafe { flush(handle.raw(), &call, &mut error) });
        // Only panics and messages matter here: there are no items to account for.
        match self.outcome(&handle, 0, Reply::new(Function::Flush, code, &error), watch) {
            Outcome::Exported => true,
            Outcome::Partial { message, .. }
            | Outcome::Retry { message, .. }
            | Outcome::Rejected { message }
            | Outcome::OutOfService { message } => {
                let what = format!("backend `{}`: flush failed: {message}", self.backend);
                diagnostics::say(LOG_TARGET, log::Level::Warn, &what);
                false
            }
        }
    }

    fn shutdown(&self, timeout: Duration) -> bool {
        self.count();
        if let Some(counts) = self.counted() {
            log::debug!(target: LOG_TARGET, "backend `{}`: its plugin counted {counts:?}", self.backend);
        }
        let stage = std::mem::replace(&mut self.life().stage, Stage::ShutDown);
        // Anything else: there is no instance any more, or this was called before.
        let Stage::Working(handle) = stage else { return true };
        let mut error = tracer_error::new();
        let call = tracer_call::within(milliseconds(timeout));
        let shutdown = self.library.functions().shutdown.may_throw();
        // SAFETY: as in `export`; the stage was `Working`, so it is called once.
        let code =
            inside(self.library.type_name(), "shutdown", || unsafe { shutdown(handle.raw(), &call, &mut error) });
        // After a time-out, threads of the instance still run: it is never destroyed.
        if code != TRACER_ERR_TIMEOUT {
            handle.may_be_destroyed();
        }
        drop(handle);
        self.host.drain_log();
        if code != TRACER_OK {
            let message = self.host.redact(&Reply::new(Function::Shutdown, code, &error).message);
            let what = format!("backend `{}`: shutdown failed: {message}", self.backend);
            diagnostics::say(LOG_TARGET, log::Level::Warn, &what);
        }
        code == TRACER_OK
    }

    fn count(&self) {
        let asked = self.ask_stats();
        // All that follows a batch has been run once by now.
        set_up_code::give_back();
        let Some(now) = asked.map(plugin_counts) else { return };
        let mut counted = self.counts();
        if let Some(earlier) = counted.latest.replace(now).filter(|earlier| now.began_anew_since(earlier)) {
            counted.before = counted.before.and(PluginCounts { in_flight: 0, ..earlier });
        }
    }

    fn counted(&self) -> Option<PluginCounts> {
        let counted = self.counts();
        counted.latest.map(|latest| counted.before.and(latest))
    }

    fn tick(&self) {
        self.host.drain_log();
    }
}

/// A batch as a plugin gets it. What it points to lives as long as `batch` and `names`.
fn lent(batch: &FinishedBatch, this_try: &Try, names: &[tracer_str]) -> tracer_batch {
    let last = if this_try.is_last { TRACER_BATCH_LAST_TRY } else { 0 };
    let leaving = if this_try.is_leaving { TRACER_BATCH_SHUTTING_DOWN } else { 0 };
    let unix_ns = |at: SystemTime| at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    tracer_batch {
        attempt: this_try.attempt,
        flags: last | leaving,
        retry_cookie: this_try.cookie,
        oldest_start_unix_ns: batch.facts.oldest_start,
        first_attempt_unix_ns: u64::try_from(unix_ns(this_try.first_at)).unwrap_or(u64::MAX),
        service_names: if names.is_empty() { std::ptr::null() } else { names.as_ptr() },
        service_count: u32::try_from(names.len()).unwrap_or(u32::MAX),
        resource_count: batch.facts.resources,
        ..tracer_batch::first_try(signal_number(batch.signal), batch.bytes(), batch.item_count, batch.id)
    }
}

/// Field by field: one that a later header adds has to be named here.
fn plugin_counts(stats: tracer_stats) -> PluginCounts {
    let tracer_stats {
        struct_size: _,
        in_flight,
        items_sent,
        items_rejected,
        batches_sent,
        batches_failed,
        bytes_sent,
        reconnects,
    } = stats;
    PluginCounts { in_flight, items_sent, items_rejected, batches_sent, batches_failed, bytes_sent, reconnects }
}

/// The number of the header.
fn signal_number(signal: Signal) -> u32 {
    match signal {
        Signal::Traces => TRACER_SIGNAL_TRACES,
        Signal::Metrics => TRACER_SIGNAL_METRICS,
    }
}

const LOG_TARGET: &str = "tracer_resolver::plugin";
