//! The configuration read again, while clients go on: all of the new is built and checked first, then one pointer changes.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use super::reloading::{Refused, Reloaded, Reloading, print_of};
use super::{Resolver, Shared, plan};
use crate::config::{self, Origin, Report, Source};
use crate::diagnostics;
use crate::error::ResolverError;
use crate::plugin::is_in_plugin;
use crate::stack_room::with_room;

/// Who wants it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// Somebody, who is given the answer.
    Expressly,
    /// The look from time to time.
    ByTheWay,
}

thread_local! {
    /// Whether this thread is in a reload: the application's logger, for one, may come back to us.
    static RELOADS: Cell<bool> = const { Cell::new(false) };
}

impl Resolver {
    /// Reads the configuration again, and lets what it says now take effect: for the next message of every client that
    /// lives, and for those that come.
    ///
    /// What a message in flight began under the rules of before ends under them. A backend that is what it was keeps its
    /// instance, its queue and its counters; one that is not gets what ended before, and closes on a thread of its own.
    /// Variables (`INTERCEPTORS_CONFIG_FILE` too) are those of the start, and win as they do there.
    ///
    /// Reads files, and may run code of plugins; not to be called from a Kafka callback. A call out of the midst of another,
    /// by a plugin or the application's logger, changes nothing.
    ///
    /// # Errors
    ///
    /// When anything is wrong with it, strict or not: what was in effect stays so, whole. [`ResolverError`] has all problems,
    /// and the log says them once for each content.
    pub fn reload(&self) -> Result<Reloaded, ResolverError> {
        let Some(shared) = self.shared.as_ref().filter(|shared| !shared.has_ended()) else { return Ok(Reloaded::Off) };
        with_room(|| shared.reload(Asked::Expressly)).unwrap_or(Ok(Reloaded::Unchanged))
    }
}

impl Shared {
    /// Looks whether the file has changed since, and takes over what it says.
    pub(super) fn look(self: &Arc<Self>) {
        // What came of it is said and counted.
        let _ = self.reload(Asked::ByTheWay);
    }

    /// The same as [`Resolver::reload`], for another process, which is told what came of it: a number of
    /// `control_page`, and a text.
    pub(super) fn reload_for_others(self: &Arc<Self>) -> (u32, String) {
        match self.reload(Asked::Expressly) {
            Ok(Reloaded::Changed) => (0, format!("reloaded: tracing {}", self.describe())),
            Ok(Reloaded::Unchanged) => (1, format!("nothing has changed: tracing {}", self.describe())),
            Err(error) => (2, format!("not reloaded, what was in effect before stays so: {error}")),
            Ok(Reloaded::Off) => (3, "tracing is off".to_owned()),
        }
    }

    fn reload(self: &Arc<Self>, asked: Asked) -> Result<Reloaded, ResolverError> {
        struct Reloads;
        impl Drop for Reloads {
            fn drop(&mut self) {
                RELOADS.set(false);
            }
        }
        if is_in_plugin() || RELOADS.replace(true) {
            return Ok(Reloaded::Unchanged);
        }
        let _reloads = Reloads;
        let lock = self.reloading.one_at_a_time.get_or_init(Mutex::default);
        let mut refused = lock.lock().unwrap_or_else(PoisonError::into_inner);
        let rules = self.rules();
        if let Origin::Pipe(path) = &rules.config().origin {
            let mut report = Report::new(path.display().to_string(), String::new());
            report.push(config::read_once(path));
            return Err(ResolverError::new(report));
        }
        let print = self.reloading.print();
        if print == Some(self.reloading.applied.load(Ordering::Relaxed)) {
            *refused = Refused::default();
            return Ok(Reloaded::Unchanged);
        }
        if asked == Asked::ByTheWay && print == refused.told {
            return Ok(Reloaded::Unchanged);
        }
        match self.take(print) {
            Ok((report, fresh)) => {
                *refused = Refused::default();
                self.reloading.counted().taken.fetch_add(1, Ordering::Relaxed);
                let fresh = if fresh.is_empty() { "none".to_owned() } else { fresh.join(", ") };
                diagnostics::info(&format!("reloaded: tracing {}; backends that are new: {fresh}", self.describe()));
                super::tell(&report, true);
                self.is_made_of(Arc::new(report));
                Ok(Reloaded::Changed)
            }
            // It may be half written: whoever writes it is through when it is looked at again, or the error is one.
            Err(_) if asked == Asked::ByTheWay && refused.seen != print => {
                refused.seen = print;
                Ok(Reloaded::Unchanged)
            }
            Err(error) => {
                self.reloading.counted().refused.fetch_add(1, Ordering::Relaxed);
                if refused.told.is_none() || refused.told != print {
                    diagnostics::error(&format!("not reloaded, what was in effect before stays so: {error}"));
                }
                refused.told = print;
                Err(error)
            }
        }
    }

    /// Builds what the configuration says now, and puts it in the place of what was.
    fn take(self: &Arc<Self>, print: Option<u64>) -> Result<(Report, Vec<String>), ResolverError> {
        let Reloading { source, variables, strict, applied, .. } = &self.reloading;
        let loaded = config::load_with(source.clone(), variables);
        let mut report = loaded.report;
        let wanted = loaded.config.filter(|config| !matches!(config.origin, Origin::Pipe(_)));
        let Some(wanted) = wanted.filter(|_| !report.has_errors()) else {
            if let Some(untrusted) = &loaded.untrusted {
                plan::check(untrusted, *strict, &mut report);
            }
            if !report.has_errors() {
                report.push(config::nothing());
            }
            return Err(ResolverError::new(report));
        };
        let Some(fresh) = self.replace_rules(wanted, *strict, &mut report) else {
            return Err(ResolverError::new(report));
        };
        // Of what was read, should it have changed since it was looked at: then the next look finds it changed.
        let read = print_of(&Ok(report.text.clone()));
        applied.store(if matches!(source, Source::Process) { print.unwrap_or(read) } else { read }, Ordering::Relaxed);
        Ok((report, fresh))
    }
}
