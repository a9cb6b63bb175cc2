//! What the host gives a plugin: a table of its own, with the log in it.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use log::Level;
use tracer_plugin_api::abi::{
    TRACER_ABI_MAJOR, TRACER_ABI_MINOR, TRACER_LOG_DEBUG, TRACER_LOG_ERROR, TRACER_LOG_INFO, TRACER_LOG_WARN,
    tracer_host, tracer_str,
};

use super::secrets::Secrets;
use super::{c_text, calls};
use crate::diagnostics;
use crate::per_process::{self, PerProcess};

/// The host as one backend's plugin sees it. Shared by its instances, which follow each other if they panic; what it holds is
/// freed with the last of them.
pub(super) struct HostSide {
    outlet: &'static Outlet,
    log: Arc<PluginLog>,
    /// The process whose plugin has it.
    generation: usize,
}

/// What a plugin has in its hands. Never freed: a plugin that keeps its promise badly may still log after its instance is
/// gone, and then finds nobody here. The next backend gets it, or one after [`RESTING`] others: a thousand reloads that each
/// change a backend need no more of them than there are backends at once, and as many as rest.
struct Outlet {
    /// Always the same.
    table: tracer_host,
    /// Held while one pointer is read or changed. `None`: nobody's.
    log: Mutex<Option<Arc<PluginLog>>>,
}

// SAFETY: the table is never changed; what it points to is static.
unsafe impl Send for Outlet {}
// SAFETY: as above; the rest has a lock.
unsafe impl Sync for Outlet {}

/// Nobody's, the one that rests longest first.
fn resting() -> MutexGuard<'static, VecDeque<&'static Outlet>> {
    static OUTLETS: PerProcess<Mutex<VecDeque<&'static Outlet>>> = PerProcess::new();
    OUTLETS.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

/// Lines on their way from a plugin to the application's log.
struct PluginLog {
    backend: String,
    /// What lines without a target are of.
    plugin: String,
    /// The latest last: what an instance knew that has just been replaced may still be said.
    secrets: RwLock<Vec<Secrets>>,
    sender: SyncSender<Line>,
    /// Locked by whoever writes lines to the log, never by the plugin.
    receiver: Mutex<Receiver<Line>>,
    dropped: AtomicU64,
}

struct Line {
    level: Level,
    target: String,
    text: String,
}

impl HostSide {
    pub(super) fn new(backend: &str, plugin: &str, secrets: Secrets) -> Arc<Self> {
        let (sender, receiver) = sync_channel(LINES);
        let log = Arc::new(PluginLog {
            backend: backend.to_owned(),
            plugin: plugin.to_owned(),
            secrets: RwLock::new(vec![secrets]),
            sender,
            receiver: Mutex::new(receiver),
            dropped: AtomicU64::new(0),
        });
        let outlet = Outlet::free();
        outlet.say_to(Some(Arc::clone(&log)));
        Arc::new(Self { outlet, log, generation: per_process::generation() })
    }

    pub(super) fn table(&self) -> *const tracer_host {
        &raw const self.outlet.table
    }

    pub(super) fn backend(&self) -> &str {
        &self.log.backend
    }

    /// The text without the backend's secrets.
    pub(super) fn redact(&self, text: &str) -> String {
        let known = self.log.secrets.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().fold(text.to_owned(), |text, secrets| secrets.redact(&text))
    }

    /// The backend has other secrets now. Those that are tried again and again take one place only: the working instance may still
    /// quote others.
    pub(super) fn has_secrets(&self, secrets: Secrets) {
        let mut known = self.log.secrets.write().unwrap_or_else(PoisonError::into_inner);
        known.retain(|before| *before != secrets);
        if known.len() >= GENERATIONS {
            known.remove(0);
        }
        known.push(secrets);
    }

    /// Writes what the plugin has said to the application's log. Does nothing if another thread is at it.
    pub(super) fn drain_log(&self) {
        let Ok(receiver) = self.log.receiver.try_lock() else { return };
        // Not more than fit in: a plugin that logs faster than we write must not keep us here.
        for line in receiver.try_iter().take(LINES) {
            let target = log_target(&line.target, &self.log.plugin);
            diagnostics::say(
                &target,
                line.level,
                &format!("backend `{}`: {}", self.log.backend, self.redact(&line.text)),
            );
        }
        // Relaxed: a number for people.
        let dropped = self.log.dropped.swap(0, Ordering::Relaxed);
        if dropped > 0 {
            let what = format!(
                "backend `{}`: {dropped} log lines of its plugin were dropped; they came too fast",
                self.log.backend
            );
            diagnostics::say("tracer_resolver::plugin", Level::Warn, &what);
        }
    }
}

impl Drop for HostSide {
    /// Its plugin's last instance is destroyed, or was never made.
    fn drop(&mut self) {
        // In the child of a fork a thread of its parent's may have the lock, which is not there.
        if self.generation != per_process::generation() {
            return;
        }
        self.outlet.say_to(None);
        resting().push_back(self.outlet);
    }
}

impl Outlet {
    fn free() -> &'static Self {
        let mut resting = resting();
        let rested = if resting.len() > RESTING { resting.pop_front() } else { None };
        drop(resting);
        rested.unwrap_or_else(|| {
            let outlet = Box::into_raw(Box::new(Self {
                table: tracer_host {
                    struct_size: size_of::<tracer_host>() as u32,
                    abi_major: TRACER_ABI_MAJOR,
                    abi_minor: TRACER_ABI_MINOR,
                    name: tracer_str::new(HOST_NAME),
                    version: tracer_str::new(HOST_VERSION),
                    ctx: std::ptr::null_mut(),
                    log: Some(log_line),
                    get_extension: Some(no_extension),
                    is_logged: Some(is_logged),
                    is_export_thread: Some(is_export_thread),
                },
                log: Mutex::new(None),
            }));
            // SAFETY: just made, nobody else knows it, and it is never freed.
            unsafe {
                (*outlet).table.ctx = outlet.cast();
                &*outlet
            }
        })
    }

    fn say_to(&self, log: Option<Arc<PluginLog>>) {
        let before = std::mem::replace(&mut *self.log(), log);
        // Not with the lock: a plugin's thread may wait for it.
        drop(before);
    }

    fn log(&self) -> MutexGuard<'_, Option<Arc<PluginLog>>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Takes one log line of a plugin.
///
/// Runs on: any thread, of the plugin's or ours. Never blocks and never calls the application's logger, which may.
/// Borrows: both texts, until return.
///
/// # Safety
///
/// Called by plugins only, with the `ctx` of their `tracer_host`.
unsafe extern "C" fn log_line(ctx: *mut c_void, level: u32, target: tracer_str, message: tracer_str) {
    let level = level_of(level);
    if !diagnostics::is_heard(level) || ctx.is_null() {
        return;
    }
    // A formatter that fails must not unwind into the plugin; the line is lost then, which logging may do.
    let taken = catch_unwind(AssertUnwindSafe(|| {
        // SAFETY: `ctx` is the `&'static Outlet` that `Outlet::free` put there.
        let Some(log) = unsafe { &*ctx.cast::<Outlet>() }.log().clone() else { return };
        // SAFETY: the plugin lends both texts for this call.
        let (target, message) = unsafe { (target.as_bytes(), message.as_bytes()) };
        log.take(level, target, message);
    }));
    // Whoever panics in a panic's payload is beyond help; forgetting it cannot unwind.
    if let Err(payload) = taken {
        std::mem::forget(payload);
    }
}

/// Whether a line would be written. Runs on: any thread; never blocks.
unsafe extern "C" fn is_logged(_ctx: *mut c_void, level: u32) -> i32 {
    // A logger that is asked and panics must not unwind into the plugin.
    catch_unwind(|| diagnostics::is_heard(level_of(level))).is_ok_and(|heard| heard).into()
}

/// Whether it is called on an export thread. Runs on: any thread.
unsafe extern "C" fn is_export_thread(_ctx: *mut c_void) -> i32 {
    calls::is_export_thread().into()
}

fn level_of(number: u32) -> Level {
    match number {
        TRACER_LOG_ERROR => Level::Error,
        TRACER_LOG_WARN => Level::Warn,
        TRACER_LOG_INFO => Level::Info,
        TRACER_LOG_DEBUG => Level::Debug,
        _ => Level::Trace,
    }
}

/// ABI 1.0 has no extension of the host.
unsafe extern "C" fn no_extension(_ctx: *mut c_void, _id: tracer_str) -> *const c_void {
    std::ptr::null()
}

impl PluginLog {
    fn take(&self, level: Level, target: &[u8], message: &[u8]) {
        let line =
            Line { level, target: c_text::printable(target, 64), text: c_text::printable(message, LONGEST_LINE) };
        if self.sender.try_send(line).is_err() {
            // Relaxed: a number for people.
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// The target of a plugin's line in the application's log. Nothing in it can be taken for another part of the line.
fn log_target(said: &str, plugin: &str) -> String {
    let said = said.trim();
    let part = if said.is_empty() { plugin } else { said };
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let part: String = part.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    format!("tracer_plugin::{}", part.trim_start_matches("tracer_plugin::"))
}

/// Secrets of so many instances of a backend are blotted out.
const GENERATIONS: usize = 4;

/// Outlets that rest before one is another backend's. What comes too late for the one would be said under the other's name.
const RESTING: usize = 64;
/// Lines that wait for the next tick, which is never far.
const LINES: usize = 64;
const LONGEST_LINE: usize = 1024;

const HOST_NAME: &str = "tracer-resolver";
const HOST_VERSION: &str = env!("CARGO_PKG_VERSION");

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn host(backend: &str) -> Arc<HostSide> {
        HostSide::new(backend, "mine", Secrets::default())
    }

    fn say(table: *const tracer_host, text: &str) {
        // SAFETY: a table that is never freed.
        let (log, ctx) = unsafe { ((*table).log.unwrap(), (*table).ctx) };
        // SAFETY: as a plugin does it.
        unsafe { log(ctx, TRACER_LOG_ERROR, tracer_str::new("t"), tracer_str::new(text)) };
    }

    fn waiting(host: &HostSide) -> Vec<String> {
        host.log.receiver.lock().unwrap().try_iter().map(|line| line.text).collect()
    }

    #[test]
    fn what_a_plugin_says_too_late_reaches_nobody_and_its_table_is_used_again_later() {
        log::set_max_level(log::LevelFilter::Info);
        let first = host("first");
        let late = first.table();
        say(late, "in time");
        assert_eq!(waiting(&first), ["in time"]);
        let kept = Arc::downgrade(&first.log);
        drop(first);
        assert!(kept.upgrade().is_none(), "what is not used any more is freed");
        let second = host("second");
        say(late, "too late");
        assert!(waiting(&second).is_empty() && second.table() != late);
        let tables: BTreeSet<_> = (0..1_000).map(|_| host("other").table() as usize).collect();
        assert!(tables.len() <= 2 * RESTING, "{} tables", tables.len());
    }

    #[test]
    fn a_line_s_target_begins_with_ours_names_the_plugin_and_is_one_word() {
        for (said, target) in [
            ("zipkin::http", "tracer_plugin::zipkin::http"),
            ("tracer_plugin::zipkin", "tracer_plugin::zipkin"),
            ("", "tracer_plugin::mine"),
            ("  ", "tracer_plugin::mine"),
            ("a b] ERROR\u{e9}", "tracer_plugin::a_b__ERROR_"),
            ("com.example/flusher", "tracer_plugin::com.example/flusher"),
        ] {
            assert_eq!(log_target(said, "mine"), target, "{said:?}");
        }
    }

    #[test]
    fn secrets_of_an_instance_that_was_replaced_are_still_blotted_out() {
        let of = |secret: &str| Secrets::default().with_values_at(&serde_json::json!([secret]), &["/0".to_owned()]);
        let host = HostSide::new("b", "mine", of("token-0"));
        (1..=3).for_each(|next| host.has_secrets(of(&format!("token-{next}"))));
        assert_eq!(host.redact("token-0 token-1 token-2 token-3"), "[redacted] [redacted] [redacted] [redacted]");
        // In vain, again and again.
        (1..=9).for_each(|_| host.has_secrets(of("token-3")));
        assert_eq!(host.redact("token-0"), "[redacted]");
        host.has_secrets(of("token-4"));
        assert_eq!(host.redact("token-0 token-4"), "token-0 [redacted]", "of so many, and no more");
    }
}
