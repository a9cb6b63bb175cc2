//! The configuration read again, while clients go on: all of the new is built and checked first, then one pointer changes.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::reloading::{Looks, Print, Refusal, Reloaded, Reloading};
use super::{Resolver, Shared, plan, tell};
use crate::config::{self, Origin, Report};
use crate::diagnostics;
use crate::error::ResolverError;
use crate::plugin::{Loader, is_in_plugin};
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
    /// Looks whether the file has changed since, and takes over what it says if it said so at the look before already: it
    /// may be half written. Whether it is to be looked at again soon.
    pub(super) fn look(self: &Arc<Self>) -> bool {
        // What came of it is said and counted.
        let _ = self.reload(Asked::ByTheWay);
        self.looks().settling.is_some()
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
        let mut looks = self.looks();
        Loader::remember_contents();
        let rules = self.rules();
        if let Origin::Once(path) = &rules.config().origin {
            let mut report = Report::new(path.display().to_string(), String::new());
            report.push(config::read_once(path));
            return Err(ResolverError::new(report));
        }
        let print = self.reloading.print();
        if print.whole == self.reloading.applied.load(Ordering::Relaxed) {
            *looks = Looks::default();
            self.reloading.counted().fails(None);
            return Ok(Reloaded::Unchanged);
        }
        if asked == Asked::ByTheWay {
            let known = looks.refused.as_ref().filter(|refused| refused.print == print.whole);
            if known.is_some_and(|refused| Instant::now() < refused.again_at) {
                looks.settling = None;
                return Ok(Reloaded::Unchanged);
            }
            if known.is_none() && looks.settling.replace(print.whole) != Some(print.whole) {
                return Ok(Reloaded::Unchanged);
            }
        }
        looks.settling = None;
        let result = self.take(print);
        match &result {
            Ok(_) => {
                looks.refused = None;
                self.watch();
            }
            Err(error) => self.is_refused(&mut looks, print, asked, error),
        }
        result
    }

    /// What the file says cannot be used: it is said once, however often it is looked at.
    fn is_refused(&self, looks: &mut Looks, print: Print, asked: Asked, error: &ResolverError) {
        let told = error.to_string();
        let is_known = looks.refused.as_ref().is_some_and(|known| (known.print, &known.told) == (print.whole, &told));
        if asked == Asked::Expressly || !is_known {
            self.reloading.counted().refused.fetch_add(1, Ordering::Relaxed);
        }
        if !is_known {
            diagnostics::error(&format!("not reloaded, what was in effect before stays so: {told}"));
            self.reloading.counted().fails(Some(told.clone()));
        }
        let again_at = Instant::now() + self.rules().config().reload.interval * LOOKS_BETWEEN_TRIES;
        looks.refused = Some(Refusal { print: print.whole, told, again_at });
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.reloading.one_at_a_time.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Builds what the configuration says now, and puts it in the place of what was.
    fn take(self: &Arc<Self>, print: Print) -> Result<Reloaded, ResolverError> {
        let Reloading { source, variables, strict, .. } = &self.reloading;
        let loaded = config::load_with(source.clone(), variables);
        let mut report = loaded.report;
        let wanted = loaded.config.filter(|config| !matches!(config.origin, Origin::Once(_)));
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
            return if report.has_errors() { Err(ResolverError::new(report)) } else { Ok(Reloaded::Off) };
        };
        self.reloading.has_read(print, &report);
        self.reloading.counted().taken.fetch_add(1, Ordering::Relaxed);
        self.reloading.counted().fails(None);
        let fresh = if fresh.is_empty() { "none".to_owned() } else { fresh.join(", ") };
        diagnostics::info(&format!("reloaded: tracing {}; backends that are new: {fresh}", self.describe()));
        tell::tell(&report, true);
        self.is_made_of(Arc::new(report));
        Ok(Reloaded::Changed)
    }
}

/// So many looks at a file that cannot be used are left out before it is tried again: a minute's, unless `interval` is set.
const LOOKS_BETWEEN_TRIES: u32 = 12;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Source;

    struct Site {
        folder: tempfile::TempDir,
        shared: Arc<Shared>,
        _resolver: Resolver,
    }

    impl Site {
        /// Without `[reload]`: nobody looks but the test.
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            std::fs::write(folder.path().join("t.toml"), text("one", "always_on")).unwrap();
            let resolver = Resolver::load(Source::File(folder.path().join("t.toml"))).unwrap();
            Self { folder, shared: resolver.shared().unwrap(), _resolver: resolver }
        }

        fn write(&self, text: &str) {
            std::fs::write(self.folder.path().join("t.toml"), text).unwrap();
        }

        fn services(&self) -> Vec<String> {
            self.shared.rules().config().services.iter().map(|service| service.name.clone()).collect()
        }

        /// So many were taken, and refused.
        fn counts(&self) -> (u64, u64) {
            let reloads = self.shared.stats().reloads;
            (reloads.taken, reloads.refused)
        }
    }

    fn text(service: &str, sampler: &str) -> String {
        format!("version = 1\n[services.{service}]\ntopics = [\"orders\"]\nsampler = \"{sampler}\"\n")
    }

    /// Half of a file may be right by itself, and means something else.
    #[test]
    fn what_is_half_written_and_right_by_chance_is_not_taken() {
        let site = Site::new();
        assert!(!site.shared.look());
        let (half, rest) = (text("one", "always_off"), text("two", "always_on").replace("\"orders\"", "\"mails\""));
        let whole = half.clone() + &rest.replace("version = 1\n", "");
        site.write(&half);
        assert!(site.shared.look());
        site.write(&whole);
        assert!(site.shared.look());
        assert_eq!(site.services(), ["one"]);
        assert!(!site.shared.look());
        assert_eq!((site.services(), site.counts()), (vec!["one".to_owned(), "two".to_owned()], (1, 0)));
        // Whoever asks for it knows that it is whole.
        site.write(&text("three", "always_on"));
        assert_eq!(site.shared.reload(Asked::Expressly).unwrap(), Reloaded::Changed);
        assert!(!site.shared.look());
    }

    #[test]
    fn an_error_is_counted_once_for_each_content_and_leaves_no_trace_when_it_is_mended() {
        let site = Site::new();
        let last_error = || site.shared.stats().reloads.last_error.map(|(error, _)| error);
        for broken in [text("one", "always_onn"), text("one", "always_offf")] {
            site.write(&broken);
            assert!(site.shared.look());
            let before = site.counts();
            assert!(!site.shared.look() && !site.shared.look());
            assert_eq!(site.counts(), (0, before.1 + 1));
            assert!(last_error().unwrap().contains("t.toml:4"));
        }
        std::fs::remove_file(site.folder.path().join("t.toml")).unwrap();
        assert!(site.shared.look() && !site.shared.look());
        assert!(last_error().unwrap().contains("does not exist"));
        site.write("");
        assert!(site.shared.look() && !site.shared.look());
        assert!(last_error().unwrap().contains("is empty"));
        site.write(&text("one", "always_on"));
        assert!(!site.shared.look());
        assert_eq!((site.counts(), last_error(), site.services()), ((0, 4), None, vec!["one".to_owned()]));
    }

    /// Nobody knows then what was in the files that it refers to when it was read.
    #[test]
    fn a_file_that_changes_while_it_is_read_is_read_again() {
        let site = Site::new();
        let reloading = &site.shared.reloading;
        let before = reloading.print();
        let mut report = Report::new(String::new(), text("one", "always_on"));
        reloading.has_read(before, &report);
        assert_eq!(site.shared.reload(Asked::Expressly).unwrap(), Reloaded::Unchanged);
        report.text = text("one", "always_off");
        reloading.has_read(before, &report);
        assert_eq!(site.shared.reload(Asked::Expressly).unwrap(), Reloaded::Changed);
    }

    /// The environment is that of the start: nothing can have changed.
    #[test]
    fn without_a_file_there_is_nothing_to_reload() {
        let (reloading, before) = Reloading::new(Source::Process, false);
        reloading.has_read(before, &Report::new(String::new(), String::new()));
        assert_eq!(reloading.print().whole, reloading.applied.load(Ordering::Relaxed));
    }
}
