//! The spool of a backend sent on by a program that traces nothing, for whoever wants it empty.

#![forbid(unsafe_code)]

use std::path::Path;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::plan::{Wanted, text_of};
use crate::config::{Backend, Config, Report};
use crate::export::{BackendQueue, Exporter, SpoolStats, Timing};
use crate::plugin::{Failed, Loader, PATIENCE};

/// What became of the spans in a backend's spool.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Drained {
    /// Taken by the backend.
    pub exported: u64,
    /// Refused by the backend, or damaged.
    pub lost: u64,
    /// Still in the spool.
    pub left: u64,
    /// Of the exported, those of which nobody knows whether they had arrived before: they may be there twice.
    pub maybe_twice: u64,
    /// Places in the files that could not be read.
    pub damaged: u64,
    /// What of the spool could not be looked at, and why: it is still there, and nobody knows how much it is.
    pub unread: Option<String>,
    /// What went wrong last.
    pub trouble: Option<String>,
}

/// Sends what processes that ended have left in `folder` for this backend. Gives up when the backend takes nothing for half a
/// minute. `None`: the plugin cannot be used or makes no backend, and the report says why.
pub(crate) fn drain(
    loader: &Loader,
    config: &Config,
    backend: &Backend,
    folder: &Path,
    report: &mut Report,
) -> Option<Drained> {
    let mut backend = backend.clone();
    let limit = backend.spool.as_ref().map_or(u64::MAX, |spool| spool.limit);
    backend.spool = Some(crate::config::Spool { folder: folder.to_owned(), limit });
    let wanted = Wanted::new(loader, &config.plugins, &backend, &text_of(report));
    let plan = match wanted.plan_in_time() {
        Ok(plan) => plan,
        Err(problems) => {
            report.problems.extend(problems);
            return None;
        }
    };
    let timeout = backend.timeout;
    let (complains, complaints) = mpsc::channel();
    let queue = BackendQueue::start(&backend, Timing::default(), Duration::ZERO, move || {
        plan.create().map(|instance| Box::new(instance) as Box<dyn Exporter>).map_err(|complaint| {
            let message = complaint.message.clone();
            // Nobody listens any more to one that comes too late.
            let _ = complains.send(complaint);
            message
        })
    });
    if !queue.wait_for_start(Instant::now() + PATIENCE) {
        report.push(wanted.late(&Failed::Late));
        return None;
    }
    if let Ok(complaint) = complaints.try_recv() {
        report.push(wanted.complaint(&complaint));
        return None;
    }
    // Before it looks for the first time, so that there is no pause after that.
    queue.looks_everywhere();
    queue.takes_over(true);
    let spool = until_nothing_is_left(&queue);
    let has_looked = queue.has_looked_everywhere();
    queue.shutdown(Instant::now() + timeout);
    let counters = queue.counters();
    let SpoolStats { exported_of_others, lost_of_others, spans_of_others, maybe_twice, damaged, .. } =
        counters.spool.unwrap_or(spool);
    let trouble = counters.last_error.map(|(message, _)| message);
    // Who sent nothing because he did not come to look has not found an empty spool.
    let was_not_looked_at = || trouble.clone().unwrap_or_else(|| "nobody came to look at it".to_owned());
    let not_looked_at = (!has_looked && spans_of_others == 0).then(was_not_looked_at);
    Some(Drained {
        exported: exported_of_others,
        lost: lost_of_others,
        left: spans_of_others,
        maybe_twice,
        damaged,
        unread: queue.unread_in_the_spool().or(not_looked_at),
        trouble,
    })
}

fn until_nothing_is_left(queue: &BackendQueue) -> SpoolStats {
    let mut before = SpoolStats::default();
    let mut progress = Instant::now();
    loop {
        let now = Instant::now();
        queue.tick(now);
        let spool = queue.counters().spool.unwrap_or_default();
        let settled = |of: &SpoolStats| of.exported_of_others + of.lost_of_others;
        if settled(&spool) > settled(&before) {
            progress = now;
        }
        before = spool;
        let is_done = spool.spans_of_others == 0 && queue.has_looked_everywhere();
        if is_done || queue.has_failed_to_start() || now.saturating_duration_since(progress) > PATIENCE_WITH_A_BACKEND {
            return spool;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
}

const PATIENCE_WITH_A_BACKEND: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::PathBuf;

    use super::super::plan;
    use super::*;
    use crate::config::{Source, load};
    use crate::export::Try;
    use crate::export::test_words::batch_of;

    /// A spool in which a process has left something for the backend `name`.
    struct Left {
        folder: tempfile::TempDir,
        config: Config,
    }

    impl Left {
        fn new(name: &str, mode: &str) -> Self {
            let text = format!(
                "version = 1\n[services.s]\ntopics = [\"t\"]\nexport = [\"{name}\"]\n[backends.{name}]\n\
                 plugin = \"misbehaving\"\nconfig = {{ mode = \"{mode}\" }}\n"
            );
            let config = load(Source::Text { name: "t.toml".to_owned(), text }).config.unwrap();
            let left = Self { folder: tempfile::tempdir().unwrap(), config };
            fs::create_dir_all(left.of_a_process()).unwrap();
            fs::set_permissions(left.place(), fs::Permissions::from_mode(0o700)).unwrap();
            fs::write(left.of_a_process().join("lock"), "").unwrap();
            left
        }

        fn place(&self) -> PathBuf {
            let user = self.folder.path().metadata().unwrap().uid();
            self.folder.path().join(format!("{}.{user}", self.config.backends[0].name))
        }

        fn of_a_process(&self) -> PathBuf {
            self.place().join("of-one-that-ended")
        }

        fn drained(&self) -> Result<Drained, String> {
            let mut report = Report::new(String::new(), String::new());
            let (loader, backend) = (plan::loader(false), &self.config.backends[0]);
            let drained = drain(&loader, &self.config, backend, self.folder.path(), &mut report);
            drained.ok_or_else(|| report.render(false))
        }

        /// What is said of a spool that is not looked at.
        fn unread(&self) -> String {
            self.drained().unwrap().unread.unwrap()
        }
    }

    #[test]
    fn an_empty_spool_is_drained_and_one_that_nobody_may_look_at_is_not() {
        let left = Left::new("drained", "ok");
        assert_eq!(left.drained().unwrap(), Drained::default());
        fs::set_permissions(left.place(), fs::Permissions::from_mode(0o770)).unwrap();
        assert!(left.unread().contains("chmod go-w"), "{}", left.unread());
        fs::set_permissions(left.place(), fs::Permissions::from_mode(0o700)).unwrap();
        fs::set_permissions(left.folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(left.unread().contains("can be written by every user"), "{}", left.unread());
        fs::set_permissions(left.folder.path(), fs::Permissions::from_mode(0o700)).unwrap();
        assert_eq!(left.drained().unwrap().unread, None);
    }

    #[test]
    fn what_cannot_be_read_is_said_and_stays() {
        let left = Left::new("drained-in-part", "ok");
        let file = left.of_a_process().join("0000000000.batches");
        fs::write(&file, b"TRSPOOL\0\x09\0\0\0\0\0\0\0").unwrap();
        assert!(left.unread().contains("was not written by this version"), "{}", left.unread());
        assert!(file.exists());
    }

    #[test]
    fn a_backend_that_cannot_be_created_has_drained_nothing() {
        let left = Left::new("never-again", "panic_in_create");
        let backend = &left.config.backends[0];
        let text = text_of(&Report::new(String::new(), String::new()));
        let plan =
            Wanted::new(&plan::loader(false), &left.config.plugins, backend, &text).plan().map_err(|_| ()).unwrap();
        // It cannot be created after that.
        let instance = plan.create().map_err(|complaint| complaint.message).unwrap();
        instance.export(&batch_of(1, 1, &[(0, 1)]), &Try::first(), Duration::from_secs(1), &|_, _| ());
        let why = left.drained().unwrap_err();
        assert!(why.contains("cannot be created again"), "{why}");
    }
}
