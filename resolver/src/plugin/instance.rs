//! `Instance`: one backend at work, called safely.

use std::mem::ManuallyDrop;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde_json::Value;
use tracer_plugin_api::abi::{
    TRACER_BATCH_LAST_TRY, TRACER_BATCH_SHUTTING_DOWN, TRACER_ERR_CREDENTIALS, TRACER_ERR_PANIC, TRACER_ERR_PARTIAL,
    TRACER_ERR_RETRYABLE, TRACER_ERR_TIMEOUT, TRACER_OK, TRACER_SIGNAL_METRICS, TRACER_SIGNAL_TRACES, tracer_batch,
    tracer_call, tracer_create_args, tracer_error, tracer_instance, tracer_stats, tracer_str,
};

use super::calls::{MayThrow as _, exporting, inside};
use super::credentials::{Credentials, Look};
use super::forks::undisturbed;
use super::host_side::HostSide;
use super::host_thread::PATIENCE;
use super::reply::{Function, Reply};
use super::secrets::Secrets;
use super::set_up_code;
use super::{Complaint, PluginLibrary};
use crate::config;
use crate::counted::counted;
use crate::diagnostics;
use crate::export::{Exporter, FinishedBatch, Outcome, PluginCounts, Signal, Try};
use crate::quiet_thread;

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
    /// Where the settings may have others by now.
    credentials: Option<Credentials>,
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

/// The plugin's own instance. Whoever drops the last reference destroys it, if that is allowed.
struct Handle {
    raw: NonNull<tracer_instance>,
    library: Arc<PluginLibrary>,
    /// The plugin may use it until it is destroyed; with one that never is it stays.
    host: ManuallyDrop<Arc<HostSide>>,
    /// Set once the contract allows `destroy`: after a shutdown that was no time-out, or when poisoned.
    may_be_destroyed: AtomicBool,
    /// Another has taken its place: whoever drops the last reference has it shut down first.
    is_replaced: AtomicBool,
}

// SAFETY: the contract lets successive calls come from different threads.
unsafe impl Send for Handle {}
// SAFETY: `export_batch` and `flush` come only from the export queue, which makes no more calls at once than
// `concurrency()` says; `stats` may be called from any thread at any time.
unsafe impl Sync for Handle {}

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
            life: Mutex::new(Life {
                stage: Stage::Working(Arc::new(handle)),
                config_json,
                credentials: Credentials::of(backend),
                deaths: Vec::new(),
            }),
            counted: Mutex::default(),
        })
    }

    /// The plugin's own counters; `None` if it does not count, or there is no instance at the moment. Any thread; never
    /// blocks, not even while a new instance is made.
    pub(super) fn stats(&self) -> Option<tracer_stats> {
        let life = match self.life.try_lock() {
            Ok(life) => life,
            Err(TryLockError::Poisoned(life)) => life.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        let Stage::Working(handle) = &life.stage else { return None };
        let mut stats = tracer_stats::new();
        let ask = self.library.functions().stats.may_throw();
        // SAFETY: the instance is alive: `handle` is borrowed from `life`, whose lock must be taken to end it. It is held
        // across the call because the contract forbids `stats` to block.
        let code = inside(self.library.type_name(), "stats", || unsafe { ask(handle.raw.as_ptr(), &mut stats) });
        let reply = Reply::new(Function::Stats, code, &tracer_error::new());
        if reply.code == TRACER_ERR_PANIC {
            let handle = Arc::clone(handle);
            drop(life);
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
    fn handle(&self, cookie: u64) -> Result<Arc<Handle>, Outcome> {
        let mut life = self.life();
        match &life.stage {
            Stage::Working(handle) => return Ok(Arc::clone(handle)),
            Stage::OutOfService => return Err(Outcome::OutOfService { message: self.epitaph(life.deaths.len()) }),
            Stage::ShutDown => return Err(Outcome::Rejected { message: "the backend is shut down".to_owned() }),
            Stage::Dead { again_at } => {
                let pause = again_at.saturating_duration_since(Instant::now());
                if !pause.is_zero() {
                    let message = format!("the plugin panicked; it is started anew in {pause:.1?}");
                    return Err(Outcome::Retry { after: Some(pause), cookie, message });
                }
            }
            Stage::Reviving => {
                let message = "the plugin panicked; it is being started anew".to_owned();
                return Err(Outcome::Retry { after: None, cookie, message });
            }
        }
        life.stage = Stage::Reviving;
        let config_json = life.config_json.clone();
        // Whoever asks how it is does not wait for a create.
        drop(life);
        let created = Handle::create(&self.library, &self.host, &self.backend, &config_json, self.max_concurrency);
        let mut life = self.life();
        if !matches!(life.stage, Stage::Reviving) {
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
                Err(self.died(&mut life).unwrap_or(Outcome::Retry { after: None, cookie, message }))
            }
        }
    }

    /// A panic: this instance is not called any more. Concurrent calls that are still in it keep it from being
    /// destroyed until they return.
    fn poisoned(&self, handle: &Arc<Handle>, message: String) -> Outcome {
        // Relaxed: read by whoever drops the last `Arc`, which synchronizes.
        handle.may_be_destroyed.store(true, Ordering::Relaxed);
        let mut life = self.life();
        // Ten calls that find the same instance poisoned are one death.
        let is_current = matches!(&life.stage, Stage::Working(current) if Arc::ptr_eq(current, handle));
        let out_of_service = if is_current { self.died(&mut life) } else { None };
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

    fn life(&self) -> MutexGuard<'_, Life> {
        self.life.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn outcome(&self, handle: &Arc<Handle>, items: u32, reply: Reply) -> Outcome {
        let message = self.host.redact(&reply.message);
        let (after, cookie) = (reply.retry_after, reply.retry_cookie);
        match reply.code {
            TRACER_OK => Outcome::Exported,
            TRACER_ERR_PARTIAL => partial(reply.rejected_items, items, message),
            TRACER_ERR_RETRYABLE | TRACER_ERR_TIMEOUT => Outcome::Retry { after, cookie, message },
            TRACER_ERR_CREDENTIALS => match self.renew(handle) {
                Ok(Renewal { after: at_least, what }) => {
                    let message = if what.is_empty() { message } else { format!("{message} ({what})") };
                    Outcome::Retry { after: after.max(at_least), cookie, message }
                }
                Err(NoFiles) => Outcome::Rejected { message },
            },
            TRACER_ERR_PANIC => self.poisoned(handle, message),
            _ => Outcome::Rejected { message },
        }
    }

    /// The backend refuses the credentials: reads those from files anew, and makes the instance anew if they have changed.
    /// Says what came of it, for whoever reads why the batch waits.
    fn renew(&self, handle: &Arc<Handle>) -> Result<Renewal, NoFiles> {
        let waits = |what: &str| Ok(Renewal { after: None, what: what.to_owned() });
        let mut life = self.life();
        if life.credentials.is_none() {
            return Err(NoFiles);
        }
        // Ten calls that are refused together get one new instance.
        if !matches!(&life.stage, Stage::Working(current) if Arc::ptr_eq(current, handle)) {
            return waits("it has a new instance by now");
        }
        let look = life.credentials.as_mut().map(|files| files.look(&self.library, Instant::now()));
        let (settings, secrets) = match look {
            None | Some(Look::Unchanged) => return waits("what its `${file:}` references name has not changed"),
            Some(Look::TooSoon(pause)) => {
                return Ok(Renewal { after: Some(pause), what: "it was made anew only just now".to_owned() });
            }
            Some(Look::Unfit(why)) => {
                return waits(&format!(
                    "its `${{file:}}` references were read anew, in vain: {}",
                    self.host.redact(&why)
                ));
            }
            Some(Look::Renewed(settings, secrets)) => (settings, secrets),
        };
        self.host.has_secrets(secrets);
        let config_json = settings.to_string();
        match Handle::create(&self.library, &self.host, &self.backend, &config_json, self.max_concurrency) {
            Ok(successor) => {
                let what = format!(
                    "backend `{}`: its credentials were refused, and have changed in their file: its plugin was started \
                     anew with them",
                    self.backend
                );
                diagnostics::say(LOG_TARGET, log::Level::Info, &what);
                life.config_json = config_json;
                life.stage = Stage::Working(Arc::new(successor));
                // Relaxed: read by whoever drops the last `Arc`, which synchronizes.
                handle.is_replaced.store(true, Ordering::Relaxed);
                waits("its plugin was started anew with what the file says now")
            }
            Err(reply) => {
                let why = self.host.redact(&reply.message);
                waits(&format!("what the file says now makes no instance: {why}"))
            }
        }
    }
}

/// What became of refused credentials.
struct Renewal {
    /// The next try is not before this has passed.
    after: Option<Duration>,
    /// Empty if there is nothing to say.
    what: String,
}

/// Nothing in the settings comes from a file: what is refused stays refused.
struct NoFiles;

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

    fn export(&self, batch: &FinishedBatch, this_try: &Try, timeout: Duration) -> Outcome {
        if !self.library.accepts(batch.signal) {
            return Outcome::Rejected { message: format!("its plugin takes no {}", batch.signal.name()) };
        }
        let handle = match self.handle(this_try.cookie) {
            Ok(handle) => handle,
            Err(outcome) => return outcome,
        };
        let names: Vec<_> = batch.facts.services.iter().map(|name| tracer_str::new(name)).collect();
        let borrowed = lent(batch, this_try, &names);
        let mut error = tracer_error::new();
        let (export_batch, timeout) = (self.library.functions().export_batch.may_throw(), milliseconds(timeout).max(1));
        // SAFETY: the instance is alive as long as `handle`; `borrowed`, all it points to and `error` outlive the call; the
        // queue keeps to `concurrency()`, and calls nothing after `shutdown`.
        let code = exporting(self.library.type_name(), "export_batch", || unsafe {
            export_batch(handle.raw.as_ptr(), &borrowed, timeout, &mut error)
        });
        set_up_code::give_back();
        self.outcome(&handle, batch.item_count, Reply::new(Function::ExportBatch, code, &error))
    }

    fn flush(&self, timeout: Duration) -> bool {
        let Some(handle) = self.working() else { return true };
        let mut error = tracer_error::new();
        let call = tracer_call::within(milliseconds(timeout));
        let flush = self.library.functions().flush.may_throw();
        // SAFETY: as in `export`.
        let code =
            exporting(self.library.type_name(), "flush", || unsafe { flush(handle.raw.as_ptr(), &call, &mut error) });
        // Only panics and messages matter here: there are no items to account for.
        match self.outcome(&handle, 0, Reply::new(Function::Flush, code, &error)) {
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
        if let Some(stats) = self.stats() {
            log::debug!(target: LOG_TARGET, "backend `{}`: its plugin counted {stats:?}", self.backend);
        }
        let stage = std::mem::replace(&mut self.life().stage, Stage::ShutDown);
        // Anything else: there is no instance any more, or this was called before.
        let Stage::Working(handle) = stage else { return true };
        let mut error = tracer_error::new();
        let call = tracer_call::within(milliseconds(timeout));
        let shutdown = self.library.functions().shutdown.may_throw();
        // SAFETY: as in `export`; the stage was `Working`, so it is called once.
        let code = inside(self.library.type_name(), "shutdown", || unsafe {
            shutdown(handle.raw.as_ptr(), &call, &mut error)
        });
        // After a time-out, threads of the instance still run: it is never destroyed.
        // Relaxed: read by whoever drops the last `Arc`, which synchronizes.
        handle.may_be_destroyed.store(code != TRACER_ERR_TIMEOUT, Ordering::Relaxed);
        drop(handle);
        self.host.drain_log();
        if code != TRACER_OK {
            let message = self.host.redact(&Reply::new(Function::Shutdown, code, &error).message);
            let what = format!("backend `{}`: shutdown failed: {message}", self.backend);
            diagnostics::say(LOG_TARGET, log::Level::Warn, &what);
        }
        code == TRACER_OK
    }

    fn counted(&self) -> Option<PluginCounts> {
        let now = self.stats();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(now) = now.map(|stats| plugin_counts(&stats)) {
            let earlier = counted.latest.replace(now).filter(|earlier| now.began_anew_since(earlier));
            if let Some(earlier) = earlier {
                counted.before = counted.before.and(PluginCounts { in_flight: 0, ..earlier });
            }
        }
        counted.latest.map(|latest| counted.before.and(latest))
    }

    fn tick(&self) {
        self.host.drain_log();
    }
}

impl Handle {
    /// On a thread of the host's.
    fn create(
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
            is_replaced: AtomicBool::new(false),
        })
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
        } else if self.is_replaced.load(Ordering::Relaxed) {
            // SAFETY: once, and not used afterwards.
            let host = ManuallyDrop::new(unsafe { ManuallyDrop::take(&mut self.host) });
            let replaced = Replaced { raw: self.raw, library: Arc::clone(&self.library), host };
            // On a thread of its own: this one has batches to export. Without a thread it is leaked.
            let _ = quiet_thread::spawn("tr-plugin".to_owned(), move || replaced.end());
        }
    }
}

/// An instance whose place another has taken, and that nobody calls any more.
struct Replaced {
    raw: NonNull<tracer_instance>,
    library: Arc<PluginLibrary>,
    /// As in [`Handle`].
    host: ManuallyDrop<Arc<HostSide>>,
}

// SAFETY: the contract lets successive calls come from different threads; this is its only reference.
unsafe impl Send for Replaced {}

impl Replaced {
    /// Shuts it down, and destroys it unless threads of it still run.
    fn end(mut self) {
        let (functions, call) = (self.library.functions(), tracer_call::within(milliseconds(PATIENCE)));
        let (shutdown, destroy) = (functions.shutdown.may_throw(), functions.destroy.may_throw());
        let mut error = tracer_error::new();
        // SAFETY: the only reference, so no other call runs; `call` and `error` outlive this one.
        let code =
            inside(self.library.type_name(), "shutdown", || unsafe { shutdown(self.raw.as_ptr(), &call, &mut error) });
        if code != TRACER_ERR_TIMEOUT {
            // SAFETY: shut down, and not used after this.
            inside(self.library.type_name(), "destroy", || unsafe { destroy(self.raw.as_ptr()) });
            // SAFETY: once, and not used afterwards.
            unsafe { ManuallyDrop::drop(&mut self.host) };
        }
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

fn plugin_counts(stats: &tracer_stats) -> PluginCounts {
    PluginCounts {
        in_flight: stats.in_flight,
        items_sent: stats.items_sent,
        items_rejected: stats.items_rejected,
        batches_sent: stats.batches_sent,
        batches_failed: stats.batches_failed,
        bytes_sent: stats.bytes_sent,
        reconnects: stats.reconnects,
    }
}

/// The number of the header.
fn signal_number(signal: Signal) -> u32 {
    match signal {
        Signal::Traces => TRACER_SIGNAL_TRACES,
        Signal::Metrics => TRACER_SIGNAL_METRICS,
    }
}

fn milliseconds(timeout: Duration) -> u32 {
    u32::try_from(timeout.as_millis()).unwrap_or(u32::MAX)
}

const LOG_TARGET: &str = "tracer_resolver::plugin";
